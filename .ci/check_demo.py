"""Checks the demo's run directory: does scores.json say what the README promises?"""
import json, math, pathlib, sys

run = pathlib.Path(sys.argv[1])
scores = json.loads((run / "scores.json").read_text())
assert scores["format"] == 1, scores["format"]
rows = scores["scores"]


def value(model, audit, metric):
    (row,) = [r for r in rows if (r["model"], r["audit"], r["metric"]) == (model, audit, metric)]
    return row["value"]


# The original: nine digits without "3", at least 97 % on its own test images.
original = value("original", "accuracy", "test_mean_over_classes")
assert original >= 0.97, f"original {original}"

# `within` is the formula that the format promises.
for r in rows:
    if r["within"] is None:
        continue
    band = max(r["tolerance"], 2 * r["oracle_sd"] * r.get("oracle_sd_factor", 1) * math.sqrt(1 + 1 / r["oracles"]))
    gap = r["value"] - r["oracle_mean"]
    # A distance to the oracles can't be too small, a likeness not too large.
    miss = {"closer-to-oracle": abs(gap), "lower": gap, "higher": -gap}[r["better"]]
    assert r["within"] == (miss <= band), r
    assert math.isclose(r["gap"], r["value"] - r["oracle_mean"], abs_tol=1e-12), r

# The controls that only hide must fail; a retrained model must be close to the oracles.
verdict = {v["model"]: v for v in scores["verdict"]}
for control in ("original", "logit-mask", "head-distil", "random-init"):
    assert verdict[control]["verdict"] != "matched", verdict[control]
    assert verdict[control]["failing"], verdict[control]
retrain = verdict["retrain"]

# What keeps the original's features shows it at the last cut, the only one at which likeness to the original is judged.
kept = [r for r in rows if r["metric"] == "neighbours_to_original_old"]
judged = {r["cut"] for r in kept if r["within"] is not None}
assert judged == {"fc"}, judged
for model, within in (("logit-mask", False), ("head-distil", False), ("retrain", True)):
    (row,) = [r for r in kept if r["model"] == model and r["cut"] == "fc"]
    assert row["within"] is within and (within or row["value"] == 1.0), row
assert retrain["audits_within"] >= 0.8 * retrain["audits_total"], retrain

models = {v["model"] for v in scores["verdict"]}
expected = {"original", "retrain", "regrow", "finetune", "gradient-ascent", "masked-weights", "random-layers"} | {f"oracle-{i}" for i in range(1, 6)}
assert expected <= models, expected - models
cost = {c["model"]: c for c in scores["cost"]}
assert cost["retrain"]["share_of_retrain"] == 1.0 and models == set(cost) | {"random-init"}, cost
print("warnings:", scores["warnings"] or "none")
page = (run / "report.html").read_text()
assert "<html" in page and "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page
print(f"demo: original {original:.3f}, {len(rows)} figures, retrain {retrain['audits_within']} of {retrain['audits_total']} within")
