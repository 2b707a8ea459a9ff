#!/usr/bin/env python3
"""Tables by family in docs/study.md: docs/families.py SCORES..., each a run's scores.json or a study's PAIR-mean.json. A row a model: how much of its limits
each family of figures takes up, the larger of excess and farthest; matched up to 1, beyond it in bold. Methods and the controls that hide."""
import json
import sys
import tomllib
from pathlib import Path

FAMILIES = ["utility", "output", "features", "membership", "relearning"]
LEFT_OUT = {"original", "random-init"}


def share(family):
    at = f"{max(family['excess'] / family['excess_limit'], family['farthest'] / family['farthest_limit']):.2f}"
    return at if family["matched"] else f"**{at}**"


def accuracy(scores, model, metric):
    at = next(s for s in scores if (s["model"], s["audit"], s["metric"]) == (model, "accuracy", metric))
    return f"{100 * at['value']:.1f} ({100 * at['gap']:+.1f})".replace("-", "−") if at["value"] is not None else "–"


def main(paths):
    print("| pair | model | passes, % | verdict | figures within | retain acc. | new acc. | " + " | ".join(FAMILIES) + " |")
    print("| --- | --- | ---: | --- | ---: | ---: | ---: | " + "---: | " * len(FAMILIES))
    for path in paths:
        with open(path) as file:
            run = json.load(file)
        task = run["task"]
        config = Path(path.removesuffix("-mean.json")) if path.endswith("-mean.json") else Path(path).parent
        epochs = tomllib.loads((config / "config.toml").read_text())["train"]["epochs"]
        passes = {c["model"]: c["train_passes"] for c in run["cost"]}
        for verdict in run["verdict"]:
            model = verdict["model"]
            if verdict["kind"] == "oracle" or model in LEFT_OUT:
                continue
            families = {f["family"]: share(f) for f in verdict["families"]}
            figures = [accuracy(run["scores"], model, metric) for metric in ("retain_test", "new_test")]
            cells = [f"{task['forget_name']} → {task['learn_name']}", f"`{model}`", f"{100 * passes[model] / epochs:.1f}", verdict["verdict"]]
            print("| " + " | ".join([*cells, f"{verdict['audits_within']} of {verdict['audits_total']}", *figures, *(families[f] for f in FAMILIES)]) + " |")


if len(sys.argv) < 2:
    sys.exit(__doc__)
main(sys.argv[1:])
