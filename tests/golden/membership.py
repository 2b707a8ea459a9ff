"""Golden values of src/stats/roc.rs, src/stats/logistic.rs and src/audit/membership/: python membership.py > membership.json

Needs numpy, scipy and scikit-learn; their versions stand in the file.
"""

import json
import warnings

import numpy as np
import scipy
import scipy.stats
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.preprocessing import StandardScaler

rng = np.random.default_rng(7)


def delong_se(m, n):
    """By the definition of the placement values, all pairs at once."""
    psi = (m[:, None] > n[None, :]) + 0.5 * (m[:, None] == n[None, :])
    return float(np.sqrt(psi.mean(1).var(ddof=1) / len(m) + psi.mean(0).var(ddof=1) / len(n)))


def roc_case(m, n):
    m, n = np.asarray(m, float), np.asarray(n, float)
    y = np.r_[np.ones(len(m)), np.zeros(len(n))]
    s = np.r_[m, n]
    fpr, tpr, _ = roc_curve(y, s, drop_intermediate=False)
    at = {}
    for level in (0.01, 0.1):
        at[str(level)] = float(tpr[fpr <= level + 1e-12].max()) if level * len(n) >= 1 - 1e-9 else None
    u = scipy.stats.mannwhitneyu(m, n).statistic
    auc = float(roc_auc_score(y, s))
    assert abs(u / (len(m) * len(n)) - auc) < 1e-12
    return {
        "members": m.tolist(),
        "non_members": n.tolist(),
        "fpr": fpr.tolist(),
        "tpr": tpr.tolist(),
        "auc": auc,
        "se": delong_se(m, n),
        "tpr_at_001": at["0.01"],
        "tpr_at_01": at["0.1"],
    }


def wilson_case(k, n):
    ci = scipy.stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    return {"hits": k, "trials": n, "low": float(ci.low), "high": float(ci.high)}


def logistic_case(n, d, shift):
    x = np.round(rng.normal(size=(n, d)) * np.arange(1, d + 1) + np.arange(d), 3)
    y = np.arange(n) % 3 == 0
    x[y] += shift
    z = StandardScaler().fit_transform(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = LogisticRegression(C=1.0, class_weight="balanced", solver="newton-cholesky", tol=1e-13, max_iter=1000).fit(z, y)
    return {"x": x.tolist(), "y": y.tolist(), "log_odds": fit.decision_function(z).tolist()}


def signal_case(logits, y):
    z = np.asarray(logits, float)
    p = scipy.special.softmax(z)
    log_p = scipy.special.log_softmax(z)
    others = np.delete(np.arange(len(p)), y)
    top = np.sort(log_p)[::-1]
    return {
        "logits": logits,
        "label": y,
        "entropy": float(scipy.stats.entropy(p)),
        "max_probability": float(scipy.special.logit(p.max())),
        "margin": float(top[0] - top[1]),
        "energy": float(scipy.special.logsumexp(z)),
        "confidence": float(log_p.var(ddof=1)),
        "loss": float(-log_p[y]),
        "modified_entropy": float(-(1 - p[y]) * np.log(p[y]) - np.sum(p[others] * np.log(1 - p[others]))),
    }


golden = {
    "versions": {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__},
    "roc": [
        roc_case(np.round(rng.normal(1, 1, 40), 1), np.round(rng.normal(0, 1, 120), 1)),
        roc_case(np.round(rng.normal(0, 1, 150), 2), np.round(rng.normal(0, 1, 100), 2)),
        roc_case(rng.integers(0, 3, 30), rng.integers(0, 3, 20)),
        roc_case([1, 2, 3], [1, 2, 3]),
    ],
    "wilson": [wilson_case(k, n) for k, n in ((0, 10), (1, 10), (5, 10), (10, 10), (7, 780), (390, 780))],
    "logistic": [logistic_case(30, 1, 0.5), logistic_case(90, 4, 0.3), logistic_case(24, 3, 20.0)],
    "signals": [
        signal_case([2.0, -1.0, 0.5, 0.25], 0),
        signal_case([2.0, -1.0, 0.5, 0.25], 3),
        signal_case([0.0, 6.0, -3.0], 1),
        signal_case([0.5, 0.5], 0),
    ],
}
print("{\n" + ",\n".join(f'"{k}": {json.dumps(v)}' for k, v in golden.items()) + "\n}")
