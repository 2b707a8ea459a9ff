#!/usr/bin/env python3
"""Tables and plot of docs/never-seen.md: docs/never-seen.py OUT PLOT.svg, where docs/never-seen.sh left its runs in OUT. No packages needed."""
import json
import statistics as st
import sys
from pathlib import Path

AT_CUTS = [("ridge_accuracy_old", "ridge probe"), ("nearest_mean_accuracy_old", "nearest mean")]
OTHERS = [("max_probability_old", "largest probability"), ("entropy_old", "entropy, nats"), ("auc_head_100", "relearning, head, 100 images")]
SETS = [("emnist", "emnist-derived47"), ("mnist", "MNIST")]
RULES = [("expected", "corrected"), ("never_seen", "uncorrected"), ("original", "original's own")]

# On these the corrections were tried out.
CHOSEN_ON = ["pair-1-12-38", "pair-2-33-21", "pair-6-3"]


def read(path):
    """By metric and cut: the oracles' mean, deviation and single values, and what each rule says."""
    scores = json.loads((path / "scores.json").read_text())["scores"]
    mine = {(s["metric"], s.get("cut")): s for s in scores if s["model"] == "original"}
    rows = {}
    for (metric, cut), s in mine.items():
        estimate = mine.get((f"expected_{metric}", cut))
        if not estimate or estimate["value"] is None:
            continue
        rows[metric, cut] = {
            "oracles": [o["value"] for o in scores if o["metric"] == metric and o.get("cut") == cut and o["model"].startswith("oracle-")],
            "expected": estimate["value"],
            "sd": mine[f"expected_sd_{metric}", cut]["value"],
            "never_seen": mine[f"never_seen_{metric}", cut]["value"],
            "original": s["value"],
            "hidden": next(h["value"] for h in scores if h["metric"] == metric and h.get("cut") == cut and h["model"] == "logit-mask"),
        }
    return rows


def error(run, rule):
    return run[rule] - st.mean(run["oracles"])


def auc(run_list):
    """How often what logit-mask leaves lies farther above the estimate than an oracle of any run does above its own; ties count half."""
    above = [r["hidden"] - r["expected"] for r in run_list]
    oracles = [o - r["expected"] for r in run_list for o in r["oracles"]]
    return st.mean((a > o) + 0.5 * (a == o) for a in above for o in oracles)


def line(title, runs, unit, half):
    def mae(errors):
        return st.mean(abs(e) for e in errors)

    sd = st.mean(st.stdev(r["oracles"]) for r in runs)
    cells = [f"{unit * st.mean(st.mean(r['oracles']) for r in runs):.{3 if unit == 1 else 1}f}", f"{unit * sd:.2f}"]
    for rule, _ in RULES:
        errors = [error(r, rule) for r in runs]
        cells.append(f"{unit * mae(errors):.2f} ({unit * st.mean(errors):+.2f}; {mae(errors) / sd:.1f} sd)")
    cells.append(f"{unit * mae([0.5 - st.mean(r['oracles']) for r in runs]):.1f}" if half else "–")
    spread = [r for r in runs if r["sd"]]
    cells.append(f"{sum(abs(error(r, 'expected')) <= 2 * r['sd'] for r in spread)} of {len(spread)}" if spread else "–")
    cells.append(f"{auc(runs):.2f}")
    return f"| {title} | " + " | ".join(cells) + " |"


def tables(runs):
    heading = ["figure, cut", "oracles, mean", "sd", *(f"{name}" for _, name in RULES), "0.5", "within ± 2 expected sd", "AUC, hidden against oracles"]
    for key, name in SETS:
        here = runs[key]
        print(f"\n**{name}**, {len(here)} old classes: mean absolute error (mean error; in oracles' sd), points where not said otherwise\n")
        print("| " + " | ".join(heading) + " |\n|" + "---|" + "---:|" * (len(heading) - 1))
        for metric, title in AT_CUTS + OTHERS:
            for cut in dict.fromkeys(c for m, c in next(iter(here.values())) if m == metric):
                rows = [r[metric, cut] for r in here.values()]
                unit = 1 if metric == "entropy_old" else 100
                print(line(f"{title}, {cut}" if cut else title, rows, unit, cut))
    print()
    for key, name in SETS:
        for metric, title in AT_CUTS:
            last = list(dict.fromkeys(c for m, c in next(iter(runs[key].values())) if m == metric))[-1]
            each = [(run, r[metric, last]) for run, r in runs[key].items()]
            print(f"{name}, {title}, {last}: " + "; ".join(
                f"{run} oracles {100 * st.mean(r['oracles']):.1f} ± {100 * st.stdev(r['oracles']):.1f}, corrected {100 * r['expected']:.1f} ± {100 * (r['sd'] or 0):.1f}, "
                f"uncorrected {100 * r['never_seen']:.1f}, original {100 * r['original']:.1f}" for run, r in each))


def plot(runs):
    """Errors by cut, a panel a data set and read-out."""
    width, height, left, top = 430, 250, 52, 34
    looks = {"expected": ("#b3541e", 0, "corrected"), "never_seen": ("#1f5f99", -9, "uncorrected"), "original": ("#1c1e21", 9, "original’s own figure")}
    out = []
    panels = [(s, m) for s in SETS for m in AT_CUTS]
    for n, ((key, name), (metric, title)) in enumerate(panels):
        here = list(runs[key].values())
        cuts = list(dict.fromkeys(c for m, c in here[0] if m == metric))
        x0, y0 = (n % 2) * width + left, (n // 2) * height + top
        w, h = width - left - 16, height - 74
        values = [100 * error(r[metric, c], rule) for r in here for c in cuts for rule in looks]
        lo, hi = min(values + [-1]) - 0.4, max(values + [1]) + 0.4
        step = next(s for s in (0.5, 1, 2, 5, 10, 20) if (hi - lo) / s <= 7)

        def y(v):
            return y0 + h * (hi - v) / (hi - lo)

        out.append(f'<text x="{x0}" y="{y0 - 12}" font-weight="600">{name}, {title}</text>')
        tick = -int(-lo // step) * step
        while tick <= hi:
            out.append(f'<path d="M{x0} {y(tick):.1f}h{w}" stroke="{"#888" if tick == 0 else "#e2e3e0"}"/>')
            out.append(f'<text x="{x0 - 6}" y="{y(tick) + 4:.1f}" text-anchor="end" fill="#5c6168">{tick:+g}</text>'.replace("+0<", "0<"))
            tick += step
        for i, cut in enumerate(cuts):
            x = x0 + w * (i + 0.5) / len(cuts)
            sd = 100 * st.mean(st.stdev(r[metric, cut]["oracles"]) for r in here)
            out.append(f'<rect x="{x - 26:.1f}" y="{y(2 * sd):.1f}" width="52" height="{y(-2 * sd) - y(2 * sd):.1f}" fill="#c9cdd2" opacity=".6"/>')
            out.append(f'<text x="{x:.1f}" y="{y0 + h + 18}" text-anchor="middle" fill="#5c6168">{cut}</text>')
            for rule, (colour, shift, _) in looks.items():
                for r in here:
                    out.append(f'<circle cx="{x + shift:.1f}" cy="{y(100 * error(r[metric, cut], rule)):.1f}" r="3.4" fill="{colour}" fill-opacity=".8"/>')
    bottom = 2 * height + 8
    for i, (colour, _, label) in enumerate(looks.values()):
        out.append(f'<circle cx="{left + 160 * i + 4}" cy="{bottom}" r="4" fill="{colour}"/><text x="{left + 160 * i + 14}" y="{bottom + 4}">{label}</text>')
    out.append(f'<rect x="{left + 490}" y="{bottom - 7}" width="20" height="13" fill="#c9cdd2"/><text x="{left + 516}" y="{bottom + 4}">± 2 sd of the oracles</text>')
    out.append(f'<text x="{left}" y="{bottom + 26}" fill="#5c6168">Estimate less the oracles’ mean, points of balanced accuracy; a dot an old class.</text>')
    size = f'viewBox="0 0 {2 * width} {bottom + 40}" width="{2 * width}" height="{bottom + 40}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>{"".join(out)}</svg>\n'


def fresh(runs):
    """The errors behind the first cut on the pairs that were not looked at when the correction was chosen."""
    print("\n| only fresh pairs, cuts behind the first | old classes | " + " | ".join(n for _, n in RULES) + " |\n|---|" + "---:|" * (1 + len(RULES)))
    for key, name in SETS:
        here = [r for run, r in runs[key].items() if run not in CHOSEN_ON]
        for metric, title in AT_CUTS:
            rows = [r[metric, c] for r in here for c in list(dict.fromkeys(c for m, c in r if m == metric))[1:]]
            cells = [f"{100 * st.mean(abs(error(row, rule)) for row in rows):.2f}" for rule, _ in RULES]
            print(f"| {name}, {title} | {len(here)} | " + " | ".join(cells) + " |")


def main(out, target):
    runs = {key: {p.name: read(p) for p in sorted(Path(out).glob(f"{key}*/pair-*"))} for key, _ in SETS}
    tables(runs)
    fresh(runs)
    Path(target).write_text(plot(runs))


main(*sys.argv[1:])
