#!/usr/bin/env python3
"""The ablation tables of docs/study.md: docs/study.py VARIANTS, a folder that docs/study.sh filled."""
import json
import sys
import tomllib
from pathlib import Path

FAMILIES = ["utility", "output", "features", "membership", "relearning"]
FIGURES = [
    ("retain acc.", "accuracy", "retain_test", None, 100),
    ("new acc.", "accuracy", "new_test", None, 100),
    ("old output: TV to oracles", "profile", "tv_to_oracles", None, 100),
    ("old probe, last cut", "probe", "ridge_accuracy_old", "fc", 100),
]


def passes(variant):
    """Passes over the training set as a share of one retraining's."""
    scores = json.loads((variant / "scores.json").read_text())
    epochs = tomllib.loads((variant / "config.toml").read_text())["train"]["epochs"]
    return next(c["train_passes"] for c in scores["cost"] if c["model"] == "regrow") / epochs


def cell(scores, model, audit, metric, cut, scale):
    """A figure, its gap to the oracles' mean, and whether it is within."""
    for s in scores["scores"]:
        if (s["model"], s["audit"], s["metric"], s.get("cut")) == (model, audit, metric, cut) and s["value"] is not None:
            sign = "✓" if s["within"] else "▲" if s["gap"] > 0 else "▼"
            return f"{scale * s['value']:.1f} ({scale * s['gap']:+.1f} {sign})"
    return "–"


def main():
    folder = Path(sys.argv[1])
    scores = json.loads((folder / "audit" / "scores.json").read_text())
    heads = ["variant", "passes, % of a retraining's", "verdict", "within", *FAMILIES, *(f[0] for f in FIGURES)]
    print("| " + " | ".join(heads) + " |\n|" + "---|" + "---:|" * (len(heads) - 1))
    judged = {v["model"]: v for v in scores["verdict"] if v["kind"] == "subject"}
    order = sorted(judged, key=lambda m: (m != "default", (folder / m / "config.toml").stat().st_mtime))
    for model in order:
        verdict = judged[model]
        beyond = {f["family"]: f for f in verdict["families"]}
        families = [f"{beyond[f]['excess']:.2f} of {beyond[f]['excess_limit']:.2f}" for f in FAMILIES]
        row = [model, f"{100 * passes(folder / model):.1f}", verdict["verdict"], f"{verdict['audits_within']} of {verdict['audits_total']}"]
        print("| " + " | ".join(row + families + [cell(scores, model, *f[1:]) for f in FIGURES]) + " |")


if __name__ == "__main__":
    main()
