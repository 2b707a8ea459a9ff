"""Golden values for src/audit/linalg.rs: balanced ridge regression with leave-one-out by an explicit loop, and scikit-learn's RidgeCV.

python tests/golden/ridge.py > tests/golden/ridge.json   (numpy, scikit-learn)
"""

import json

import numpy as np
import sklearn
from sklearn.linear_model import Ridge, RidgeCV

LAMBDAS = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0]


def case(rng, n, d, olds):
    old = np.arange(n) < olds
    x = rng.normal(size=(n, d)) @ np.diag(np.geomspace(3, 0.1, d)) + 0.7 * old[:, None] * (np.arange(d) % 2) + 2
    x = np.round(x, 3).astype(np.float32).astype(np.float64)
    y = np.where(old, 1.0, -1.0)
    w = np.where(old, 0.5 / olds, 0.5 / (n - olds))
    mean = w @ x
    centred = x - mean
    penalties = np.array(LAMBDAS) * np.einsum("i,ij,ij->", w, centred, centred) / d

    left_out = np.zeros((len(penalties), n))
    for i in range(n):
        rest = np.arange(n) != i
        for k, penalty in enumerate(penalties):
            left_out[k, i] = Ridge(alpha=penalty, solver="svd").fit(x[rest], y[rest], sample_weight=w[rest]).predict(x[[i]])[0]
    press = (w * (y - left_out) ** 2).sum(axis=1)
    best = int(press.argmin())
    model = Ridge(alpha=penalties[best], solver="svd").fit(x, y, sample_weight=w)
    cv = RidgeCV(alphas=penalties).fit(x, y, sample_weight=w)
    return {
        "width": d,
        "x": x.ravel().tolist(),
        "old": old.tolist(),
        "press": press.tolist(),
        "lambda": LAMBDAS[best],
        "ridge_cv_lambda": LAMBDAS[int(np.argmin(abs(penalties - cv.alpha_)))],
        "left_out": left_out[best].tolist(),
        "w": model.coef_.tolist(),
        "b": float(model.intercept_),
    }


rng = np.random.default_rng(7)
cases = [case(rng, 40, 6, 9), case(rng, 15, 24, 6), case(rng, 90, 12, 30)]
print(json.dumps({"versions": {"numpy": np.__version__, "scikit-learn": sklearn.__version__}, "cases": cases}, indent=1))
