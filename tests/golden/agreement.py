"""Golden values of divergences, calibration error and rank correlation: python tests/golden/agreement.py > tests/golden/agreement.json"""

import json

import numpy as np
import scipy
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy, kendalltau

rng = np.random.default_rng(20260101)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


divergences = []
for scale in (0.5, 2.0, 8.0):
    p, q = softmax(scale * rng.standard_normal((2, 7)))
    divergences.append({"p": p.tolist(), "q": q.tolist(), "kl": entropy(p, q), "js": jensenshannon(p, q) ** 2, "l2": float(np.linalg.norm(p - q))})
p, q = np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.0, 0.75])
divergences.append({"p": p.tolist(), "q": q.tolist(), "kl": None, "js": jensenshannon(p, q) ** 2, "l2": float(np.linalg.norm(p - q))})

ranks = []
for n, levels in ((4, 4), (9, 4), (12, 100), (30, 6)):
    x, y = rng.integers(0, levels, (2, n)).astype(float)
    y = np.where(rng.random(n) < 0.5, x, y)
    ranks.append({"x": x.tolist(), "y": y.tolist(), "tau_b": float(kendalltau(x, y, variant="b").statistic)})


def ece(confidence, right, bins=15):
    # Guo et al. 2017, eq. 3, with bins (lower, upper] as in the authors' code
    edges = np.linspace(0, 1, bins + 1)
    total = 0.0
    for lo, hi in zip(edges[:-1], edges[1:]):
        inside = (confidence > lo) & (confidence <= hi)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


confidence = np.concatenate([rng.uniform(0.1, 1.0, 197), [1.0, 0.2, 0.4]])
right = rng.random(200) < confidence**1.5
calibration = {"confidence": confidence.tolist(), "right": right.tolist(), "ece": float(ece(confidence, right))}

json.dump(
    {"numpy": np.__version__, "scipy": scipy.__version__, "divergences": divergences, "ranks": ranks, "calibration": calibration},
    __import__("sys").stdout,
    indent=1,
)
print()
