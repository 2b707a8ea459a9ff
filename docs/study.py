#!/usr/bin/env python3
"""Tables over the draws of a variant in docs/study.md: docs/study.py RUN, of docs/study.sh. A row a variant: means over its draws, `@NAME` and `@NAME-seed-I`."""
import json
import re
import sys
import tomllib
from pathlib import Path

FAMILIES = ["utility", "output", "features", "membership", "relearning"]
LAST = object()
FIGURES = [
    ("retain acc.", "accuracy", "retain_test", None),
    ("new acc.", "accuracy", "new_test", None),
    ("old output: TV to oracles", "profile", "tv_to_oracles", None),
    ("old probe, last cut", "probe", "ridge_accuracy_old", LAST),
]


def variant_of(model):
    """The variant that `model` is a draw of."""
    return re.sub(r"-?seed-\d+$", "", model.partition("@")[2]) or "default"


def mean(values):
    return sum(values) / len(values)


def cell(scores, models, audit, metric, cut):
    """A figure's mean in percent, and its gap to the oracles' mean."""
    rows = [s for s in scores["scores"] if s["model"] in models and (s["audit"], s["metric"]) == (audit, metric)]
    at = rows[-1].get("cut") if cut is LAST else cut
    rows = [s for s in rows if s.get("cut") == at]
    return f"{100 * mean([s['value'] for s in rows]):.1f} ({100 * mean([s['gap'] for s in rows]):+.1f})"


def main():
    run = Path(sys.argv[1])
    scores = json.loads((run / "scores.json").read_text())
    epochs = tomllib.loads((run / "config.toml").read_text())["train"]["epochs"]
    passes = {c["model"]: c["train_passes"] for c in scores["cost"]}
    judged = {}
    for verdict in scores["verdict"]:
        if verdict["model"].partition("@")[0] == "regrow":
            judged.setdefault(variant_of(verdict["model"]), []).append(verdict)
    heads = ["variant", "passes, % of a retraining's", "matched", "figures within", *FAMILIES, *(f[0] for f in FIGURES)]
    print("| " + " | ".join(heads) + " |\n|" + "---|" + "---:|" * (len(heads) - 1))
    for name, draws in judged.items():
        models = [d["model"] for d in draws]
        limits = {f["family"]: f["excess_limit"] for f in draws[0]["families"]}
        excess = {f: mean([x["excess"] for d in draws for x in d["families"] if x["family"] == f]) for f in FAMILIES}
        matched = sum(d["verdict"] == "matched" for d in draws)
        row = [name, f"{100 * passes[models[0]] / epochs:.1f}", f"{matched} of {len(draws)}", f"{mean([d['audits_within'] for d in draws]):.0f} of {draws[0]['audits_total']}"]
        families = [f"{excess[f]:.2f} of {limits[f]:.2f}" for f in FAMILIES]
        print("| " + " | ".join(row + families + [cell(scores, models, *f[1:]) for f in FIGURES]) + " |")


if __name__ == "__main__":
    main()
