#!/usr/bin/env python3
"""The table of docs/extremes.md: docs/extremes.py OUT, which docs/extremes.sh filled. What is missing there is left out."""
import json
import sys
import tomllib
from pathlib import Path

CASES = [
    ("nothing scarce", "runs/all", ["regrow", "retrain"]),
    ("100 new samples", "runs/learn-100", ["regrow", "retrain"]),
    ("20 new samples", "runs/learn-20", ["regrow", "retrain"]),
    ("… and a budget of 30 %", "runs/learn-20-budget", ["regrow"]),
    ("5 new samples", "runs/learn-5", ["regrow", "retrain"]),
    ("1 new sample", "runs/learn-1", ["regrow", "retrain"]),
    ("half of the retain set", "runs/retain-50pct", ["regrow"]),
    ("… and 1.8 times the budget", "runs/retain-50pct-budget", ["regrow"]),
    ("half of it and a budget of 30 %", "runs/retain-50pct-30", ["regrow"]),
    ("a quarter of it", "runs/retain-25pct", ["regrow"]),
    ("… and a budget of 30 %", "runs/retain-25pct-30", ["regrow"]),
    ("10 % of it", "runs/retain-10pct", ["regrow", "retrain"]),
    ("… and five times the budget", "runs/retain-10pct-budget", ["regrow"]),
    ("1 % of it", "runs/retain-1pct", ["regrow", "retrain"]),
    ("… and 8.3 times the budget", "runs/retain-1pct-budget", ["regrow"]),
    ("6 → 3, then 3 → 6", "audits/back", ["there-and-back", "never-swapped"]),
    ("fifth swap in a row, last class", "runs/row-5", ["regrow", "retrain"]),
    ("fifth swap in a row, first class", "audits/row-first", ["regrow", "retrain"]),
    ("mlp", "runs/mlp", ["regrow", "retrain"]),
    ("cnn-emnist, by 3 oracles", "runs/wide", ["regrow", "retrain"]),
    ("30 epochs, by 3 oracles", "runs/epochs-30", ["regrow", "retrain"]),
    ("10 % wrong labels", "runs/wrong-10", ["regrow", "retrain"]),
    ("30 % wrong labels", "runs/wrong-30", ["regrow", "retrain"]),
    ("100 to 1,000 images a class", "runs/unequal", ["regrow", "retrain"]),
    *((f"swap {i + 1} of ten, last class, by 3 oracles", f"runs/ten-{i}", ["regrow"]) for i in range(9)),
    *((f"swap {i + 1} of ten, first class, by 3 oracles", f"audits/ten-first-{i}", ["regrow"]) for i in range(1, 9)),
    ("tenth swap in a row, last class", "runs/ten-9", ["regrow", "retrain"]),
    ("tenth swap in a row, first class", "audits/ten-first-9", ["regrow", "retrain"]),
    ("look-alikes: 0 → O", "runs/near", ["regrow", "retrain"]),
    ("like many that stay: 1 → K", "runs/many", ["regrow", "retrain"]),
    ("two at once: 6 → 3", "runs/two/swap-6-3", ["regrow", "retrain"]),
    ("two at once: 7 → 1", "runs/two/swap-7-1", ["regrow", "retrain"]),
    *((f"five at once: {i} → {new}", f"runs/five/swap-{i}-{20 + i}", ["regrow", "retrain", "logit-mask", "head-distil"]) for i, new in enumerate("KLMNO")),
]
# Audit, metric, and whether it is a figure by cut, of which the last one counts.
FIGURES = [
    ("accuracy", "retain_test", False),
    ("accuracy", "new_test", False),
    ("accuracy", "old_in_old_slot_test", False),
    ("probe", "ridge_accuracy_old", True),
]
HEADS = ["case", "model", "verdict", "within", "families outside", "retain acc.", "new acc.", "old in old slot", "old probe, last cut", "time", "passes"]


def figure(scores, model, audit, metric, by_cut):
    """A figure, beside it the oracles' mean ± the half-width of their band, and whether it is within."""
    for s in reversed(scores["scores"]):
        if (s["model"], s["audit"], s["metric"], "cut" in s) == (model, audit, metric, by_cut) and s["value"] is not None:
            if s["oracle_mean"] is None:
                return f"{100 * s['value']:.1f}"
            band = max(s["tolerance"], 2 * s["oracle_sd"] * s.get("oracle_sd_factor", 1) * (1 + 1 / s["oracles"]) ** 0.5)
            sign = "✓" if s["within"] else "▲" if s["gap"] > 0 else "▼"
            return f"{100 * s['value']:.1f} {sign} {100 * s['oracle_mean']:.1f} ± {100 * band:.1f}"
    return "–"


def outside(family):
    """A family beyond its limits, with what is beyond, and its farthest figure."""
    parts = []
    if family["excess"] > family["excess_limit"]:
        parts.append(f"{family['excess']:.2f} of {family['excess_limit']:.2f}")
    if family["farthest"] > family["farthest_limit"]:
        parts.append(f"farthest {family['farthest']:.2f} of {family['farthest_limit']:.2f}")
    return f"{family['family']} {', '.join(parts)} ({family['worst']})"


def main():
    out = Path(sys.argv[1])
    print("| " + " | ".join(HEADS) + " |\n|" + "---|" * 5 + "---:|" * 6)
    notes = []
    for case, folder, models in CASES:
        if not (out / folder / "scores.json").is_file():
            notes.append(f"{case}: not run")
            continue
        scores = json.loads((out / folder / "scores.json").read_text())
        epochs = tomllib.loads((out / folder / "config.toml").read_text())["train"]["epochs"]
        for v in (v for m in models for v in scores["verdict"] if v["model"] == m):
            cost = next((c for c in scores["cost"] if c["model"] == v["model"]), None)
            time = f"{100 * cost['share_of_retrain']:.1f} %" if cost and cost["share_of_retrain"] is not None else "–"
            passes = f"{100 * cost['train_passes'] / epochs:.1f} %" if cost else "–"
            families = "; ".join(outside(f) for f in v["families"] if not f["matched"]) or "none"
            row = [case, v["model"], v["verdict"], f"{v['audits_within']} of {v['audits_total']}", families]
            print("| " + " | ".join(row + [figure(scores, v["model"], *f) for f in FIGURES] + [time, passes]) + " |")
        notes += [f"{case}: {w}" for w in scores["warnings"]]
    print("\n" + "\n".join(f"- {n}" for n in notes))


if __name__ == "__main__":
    main()
