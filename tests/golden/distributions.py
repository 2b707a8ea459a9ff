"""Golden values of Student's t and of binomial quantiles in src/stats.rs and src/audit/verdict/limits.rs, and of a root in src/stats/logistic.rs:

python tests/golden/distributions.py > tests/golden/distributions.json   (numpy, scipy)
"""

import json

import numpy as np
import scipy
from scipy.optimize import brentq
from scipy.stats import binom, poisson_binom, t

tails = [{"x": x, "dof": dof, "p": float(2 * t.sf(x, dof))} for x, dof in ((2, 1), (2, 2), (2, 3), (2, 4), (2, 9), (6, 2), (0.5, 3), (12, 4))]
quantiles = [{"p": p, "dof": dof, "x": float(t.isf(p / 2, dof))} for p, dof in ((0.05, 2), (0.05 / 3, 2), (0.05, 4), (0.002, 4), (0.5, 9))]
hits = [{"p": [p] * n, "confidence": c, "hits": int(binom.ppf(c, n, p))} for c, n, p in ((0.95, 24, 0.1835), (0.95, 10, 0.5), (0.95, 5, 0.05), (0.5, 9, 0.3))]
uneven = [0.9, 0.1, 0.5, 0.05, 0.3]
hits.append({"p": uneven, "confidence": 0.95, "hits": int(poisson_binom.ppf(0.95, uneven))})
root = brentq(lambda w: w - 4 / (1 + np.exp(w)), 0, 4, xtol=1e-15)

golden = {
    "versions": {"numpy": np.__version__, "scipy": scipy.__version__},
    "tails": tails,
    "quantiles": quantiles,
    "hits": hits,
    "logistic_root": float(root),
}
print(json.dumps(golden, indent=1))
