#!/usr/bin/env python3
"""The table by depth of docs/baseline.md: docs/baseline.py OUT, where docs/baseline.sh left its runs in OUT. No packages needed."""
import json
import sys
from pathlib import Path

SETS = [("mnist", "MNIST"), ("emnist-derived47", "emnist-derived47")]
READ_OUTS = [("probe", "ridge_accuracy_old", "ridge probe"), ("nearest-mean", "nearest_mean_accuracy_old", "nearest mean")]


def main(out):
    rows, models = [], []
    for folder, name in SETS:
        scores = json.loads((Path(out) / folder / "scores.json").read_text())
        models = [v["model"] for v in scores["verdict"] if v["kind"] != "oracle"]
        for audit, metric, title in READ_OUTS:
            found = {(s["model"], s["cut"]): s for s in scores["scores"] if s["audit"] == audit and s["metric"] == metric}
            for cut in dict.fromkeys(cut for _, cut in found):
                mine = [found[model, cut] for model in models]
                # Of any model but an oracle: by all of them. The deviation of a figure that is the model's own needs no correction.
                theirs = f"{100 * mine[0]['oracle_mean']:.1f} ± {100 * mine[0]['oracle_sd']:.1f}"
                mark = lambda s: "" if s["within"] else " ▲" if s["gap"] > 0 else " ▼"
                rows.append([f"{name}, {title}", cut, theirs, *(f"{100 * s['value']:.1f}{mark(s)}" for s in mine)])
    print("| " + " | ".join(["set, read-out", "cut", "oracles", *models]) + " |")
    print("|---|---|" + "---:|" * (1 + len(models)))
    for row in rows:
        print("| " + " | ".join(row) + " |")


if len(sys.argv) != 2:
    sys.exit(__doc__)
main(sys.argv[1])
