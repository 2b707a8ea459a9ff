"""Golden values for src/audit/cka.rs: debiased linear CKA by U-centred Gram matrices, mutual nearest neighbours by scikit-learn.

python tests/golden/cka.py > tests/golden/cka.json   (numpy, scikit-learn)
"""

import json

import numpy as np
import sklearn
from sklearn.neighbors import NearestNeighbors


def u_centred(x):
    """Szekely & Rizzo 2014, definition 2: the matrix whose inner product gives the unbiased HSIC."""
    k = x @ x.T
    np.fill_diagonal(k, 0)
    n = len(k)
    rows = k.sum(axis=1)
    k = k - rows[:, None] / (n - 2) - rows[None, :] / (n - 2) + k.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(k, 0)
    return k


def cka(x, y):
    k, l = u_centred(x), u_centred(y)
    return (k * l).sum() / np.sqrt((k * k).sum() * (l * l).sum())


def neighbours(x, y, k=10):
    a, b = (NearestNeighbors(n_neighbors=k).fit(z).kneighbors(return_distance=False) for z in (x, y))
    return np.mean([len(set(p) & set(q)) / k for p, q in zip(a, b)])


def case(rng, n, d, e, share):
    x = rng.normal(size=(n, d))
    y = share * (x @ rng.normal(size=(d, e))) / np.sqrt(d) + (1 - share) * rng.normal(size=(n, e)) + 3
    x, y = (np.round(z, 3).astype(np.float32) for z in (x, y))
    x64, y64 = x.astype(np.float64), y.astype(np.float64)
    return {
        "widths": [d, e],
        "x": x.ravel().tolist(),
        "y": y.ravel().tolist(),
        "cka": float(cka(x64, y64)),
        "neighbours": float(neighbours(x64, y64)),
    }


rng = np.random.default_rng(11)
cases = [case(rng, 30, 5, 8, 0.7), case(rng, 24, 12, 3, 0.3), case(rng, 40, 4, 4, 0.95)]
print(json.dumps({"versions": {"numpy": np.__version__, "scikit-learn": sklearn.__version__}, "cases": cases}, indent=1))
