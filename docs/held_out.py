#!/usr/bin/env python3
"""How often held-out oracles are matched: docs/held_out.py FOLDER... looks below the folders for scores.json and prints a table.

Every oracle of a run is judged by the others. The limits are set so that 95 % of exactly retrained models pass by a model of their figures, and
widened where these trials say so; what counts here is how many passed before the widening. Runs judged by the same oracles count once, the
last of them.
"""
import json
import pathlib
import sys

latest = {}
for folder in sys.argv[1:]:
    for path in pathlib.Path(folder).rglob("scores.json"):
        scores = json.loads(path.read_text())
        calibration, task = scores.get("calibration"), scores["task"]
        if not calibration:
            continue
        oracles = {v["model"] for v in scores["verdict"] if v["kind"] == "oracle"}
        # The same oracles show the same accuracies, whatever else the run has.
        shown = tuple(s["value"] for s in scores["scores"] if s["model"] in oracles and s["audit"] == "accuracy")
        made = path.stat().st_mtime
        key = (task["dataset"].split(":")[0], task["forget"], task.get("learn"), shown)
        if key not in latest or latest[key][0] < made:
            latest[key] = (made, calibration)
if not latest:
    sys.exit("no run with a verdict below these folders")

groups = {}
for (dataset, *_), (_, calibration) in latest.items():
    groups.setdefault((dataset, calibration["trials"]), []).append(calibration)
print("| data | oracles | sets of them | held out | matched before widening | sets widened | most, times | leave-two-out, matched in force |")
print("|---|---:|---:|---:|---:|---:|---:|---:|")


def row(name, oracles, found):
    total = lambda key: sum(c[key] for c in found)
    wider = [max(c["widened_excess"], c["widened_farthest"]) for c in found]
    share = f"{total('matched_unwidened')} ({100 * total('matched_unwidened') / total('trials'):.1f} %)"
    print(f"| {name} | {oracles} | {len(found)} | {total('trials')} | {share} | {sum(w > 1 for w in wider)} | {max(wider):.2f} | {total('pair_matched')} of {total('pair_trials')} |")


for (dataset, oracles), found in sorted(groups.items()):
    row(dataset, oracles, found)
row("all", "", [c for found in groups.values() for c in found])
