#!/usr/bin/env python3
"""Pictures of docs/method.md and docs/study.md: docs/method.py OUT FOLDER, where docs/study.sh left its runs in OUT; into FOLDER go method-steps.svg,
method-depth.svg, method-cut.svg and study-failure.svg. No packages needed."""
import json
import re
import sys
from math import log
from pathlib import Path

SETS = [("emnist-derived47", "emnist-derived47, 6 → 3"), ("mnist", "MNIST, 6 → 3")]
READ_OUTS = [("nearest_mean_accuracy_old", "nearest mean"), ("ridge_accuracy_old_1pct", "ridge, 1 % of data")]
INK, GREY, LINE, PALE, BAND = "#1c1e21", "#5c6168", "#888", "#e2e3e0", "#c9cdd2"
KEPT, OLD, NEW, LIGHT = "#1f5f99", "#b3541e", "#2e7d4f", "#fff"
FAMILIES = [("utility", KEPT), ("output", OLD), ("features", NEW), ("membership", GREY), ("relearning", "#7a3d8f")]
CUTS = ["fc", "conv3", "conv2", "conv1"]


def svg(width, height, parts):
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'


def text(x, y, words, anchor="start", fill=INK, extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}" {extra}>{words}</text>'


def box(x, y, w, h, words, fill, dashed=False):
    look = 'stroke-dasharray="4 3"' if dashed else ""
    ink = fill if dashed else LIGHT
    body = LIGHT if dashed else fill
    return f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="4" fill="{body}" stroke="{fill}" {look}/>' + text(x + w / 2, y + h / 2 + 4, words, "middle", ink)


def arrow(x1, y1, x2, y2, dashed=False):
    look = 'stroke-dasharray="4 3"' if dashed else ""
    return f'<path d="M{x1} {y1}L{x2} {y2}" stroke="{INK}" fill="none" marker-end="url(#head)" {look}/>'


def steps():
    """What is kept, what is made anew, and what passes between them."""
    bold = 'font-weight="600"'
    out = ['<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>']
    xs, w, h = [150, 250, 350, 480, 580], 84, 34
    names = ["conv1", "conv2", "conv3", "fc", "head"]

    def row(y, label, top, dashed=False):
        out.append(text(20, y + 21, label, extra=bold))
        for i, (x, name) in enumerate(zip(xs, names)):
            out.append(box(x, y, w, h, name, KEPT if i < 3 else top, dashed and i > 2))
            if i and i != 3:
                out.append(arrow(xs[i - 1] + w, y + h / 2, x, y + h / 2))

    row(40, "the original", OLD)
    out.append(arrow(xs[2] + w, 57, xs[3], 57))
    out += [text(290, 30, "trunk: kept, bit by bit", "middle", KEPT), text(572, 30, "top: has learned the old class", "middle", OLD)]
    out.append(f'<path d="M457 20V300" stroke="{INK}" stroke-dasharray="2 3"/>' + text(457, 14, "1 cut", "middle", extra=bold))
    row(150, "made of it", NEW, True)
    out += [text(20, 132, "retain images, a share s"), text(20, 207, "new-class images, 3 s")]
    out += [arrow(128, 142, 148, 155), arrow(128, 196, 148, 180)]
    out.append(box(440, 150, 34, h, "", GREY) + text(457, 171, "2", "middle", LIGHT, bold) + text(457, 204, "cache: each image once through the trunk", "middle", GREY))
    out += [arrow(xs[2] + w, 167, 440, 167), arrow(474, 167, xs[3], 167)]
    out += [text(680, 163, "3 drawn afresh, trained on the", fill=NEW), text(680, 179, "cache alone for two epochs", fill=NEW)]
    out.append(arrow(530, 76, 530, 148, True))
    out += [text(540, 105, "where the budget pays for it: what the original answers", fill=OLD), text(540, 121, "to retained images, its old slot left out", fill=OLD)]
    row(260, "the result", NEW)
    out.append(arrow(xs[2] + w, 277, xs[3], 277))
    out += [text(680, 273, "4 head × one number: as sure of", fill=NEW), text(680, 289, "retained images as the original", fill=NEW)]
    out.append(text(20, 325, "No image of the old class passes through here. cnn-s at its default cut: the trunk is 82 % of the arithmetic, the top 18 %.", fill=GREY))
    return svg(880, 340, out)


def read(out, folder):
    return json.loads((Path(out) / "ablation" / folder / "scores.json").read_text())


def draws(models, name):
    """The draws of `regrow`'s variant `name`; of the default ''."""
    tail = rf"@{name}(-seed-\d+)?" if name else r"(@seed-\d+)?"
    return [m for m in models if re.fullmatch("regrow" + tail, m)]


def by_cut(panels, looks, note):
    """Read-outs of the old class by cut: how far above oracles'. A panel is a title, a metric and, by a look's key, gaps and oracles' deviations by cut."""
    width, height, left, top = 430, 250, 52, 34
    parts = []
    for n, (title, sds, points) in enumerate(panels):
        values = [v for by_cut in points.values() for gaps in by_cut.values() for v in gaps]
        lo, hi = min(values + [-2 * s for s in sds.values()]) - 0.5, max(values + [2 * s for s in sds.values()]) + 0.5
        x0, y0, w, h = (n % 2) * width + left, (n // 2) * height + top, width - left - 16, height - 74
        step = next(s for s in (0.5, 1, 2, 5, 10, 20) if (hi - lo) / s <= 7)

        def y(v):
            return y0 + h * (hi - v) / (hi - lo)

        parts.append(text(x0, y0 - 12, title, extra='font-weight="600"'))
        tick = -int(-lo // step) * step
        while tick <= hi:
            parts.append(f'<path d="M{x0} {y(tick):.1f}h{w}" stroke="{LINE if tick == 0 else PALE}"/>' + text(x0 - 6, y(tick) + 4, f"{tick:+g}" if tick else "0", "end", GREY))
            tick += step
        for i, (cut, sd) in enumerate(sds.items()):
            x = x0 + w * (i + 0.5) / len(sds)
            parts.append(f'<rect x="{x - 26:.1f}" y="{y(2 * sd):.1f}" width="52" height="{y(-2 * sd) - y(2 * sd):.1f}" fill="{BAND}" opacity=".6"/>')
            parts.append(text(x, y0 + h + 18, cut, "middle", GREY))
            for key, colour, shift, _ in looks:
                parts += [f'<circle cx="{x + shift:.1f}" cy="{y(v):.1f}" r="3.4" fill="{colour}" fill-opacity=".8"/>' for v in points[key][cut]]
    bottom = (len(panels) + 1) // 2 * height + 8
    for i, (_, colour, _, label) in enumerate(looks):
        parts.append(f'<circle cx="{left + 130 * i + 4}" cy="{bottom}" r="4" fill="{colour}"/>' + text(left + 130 * i + 14, bottom + 4, label))
    x = left + 130 * len(looks) + 10
    parts.append(f'<rect x="{x}" y="{bottom - 7}" width="20" height="13" fill="{BAND}"/>' + text(x + 26, bottom + 4, "± 2 sd of the oracles"))
    parts.append(text(left, bottom + 26, f"How much better the old class is read than in oracles, points of balanced accuracy; {note}.", fill=GREY))
    return svg(2 * width, bottom + 40, parts)


def panel(title, metric, scores, models):
    """By cut the oracles' deviation, and by a look's key the gaps of its models; `scores` of one run or several, `models` by key."""
    rows = [s for run in scores for s in run["scores"] if s["metric"] == metric]
    cuts = list(dict.fromkeys(s["cut"] for s in rows))
    sds = {cut: 100 * next(s["oracle_sd"] for s in rows if s["model"] == "original" and s["cut"] == cut) for cut in cuts}
    return title, sds, {key: {cut: [100 * s["gap"] for s in rows if s["model"] in names and s["cut"] == cut] for cut in cuts} for key, names in models.items()}


def depth(out):
    looks = [("original", OLD, -12, "original"), ("", KEPT, 0, "regrow, 4.5 %"), ("budget-30pct", NEW, 12, "regrow, 30 %")]
    panels = []
    for folder, name in SETS:
        scores = read(out, folder)
        names = {s["model"] for s in scores["scores"]}
        models = {key: ["original"] if key == "original" else draws(names, key) for key, *_ in looks}
        panels += [panel(f"{name}, {title}", metric, [scores], models) for metric, title in READ_OUTS]
    return by_cut(panels, looks, "of regrow three draws")


def failure(out):
    """A pair of MNIST that is matched and two that are not, five originals each."""
    looks = [("original", OLD, -8, "original"), ("regrow", KEPT, 8, "regrow, 4.5 %")]
    panels = []
    for pair, title in [("pair-1-6-3", "6 → 3, matched"), ("pair-2-4-2", "4 → 2, under-erased")]:
        runs = [json.loads(p.read_text()) for p in sorted((Path(out) / "mnist-seed-44").glob(f"{pair}*/scores.json"))]
        panels += [panel(f"MNIST {title}: {what}", metric, runs, {key: [key] for key, *_ in looks}) for metric, what in READ_OUTS]
    return by_cut(panels, looks, "five originals each")


def share(family):
    """How much of its limits a family takes up; matched up to 1."""
    return max(family["excess"] / family["excess_limit"], family["farthest"] / family["farthest_limit"])


def cut(out):
    """Families of figures by what is grown, for two budgets."""
    width, height, left, top = 430, 290, 52, 34
    rows = [("4.5 % of a retraining", {"fc": "cut-fc", "conv3": "", "conv2": "cut-conv2", "conv1": "cut-conv1"}, "conv3"),
            ("30 %", {"fc": "cut-fc-30pct", "conv3": "cut-conv3-30pct", "conv2": "budget-30pct", "conv1": "cut-conv1-30pct"}, "conv2")]
    floor, ceiling = 0.05, 8.0
    parts = []
    for n, ((folder, name), (title, variants, chosen)) in enumerate((s, r) for s in SETS for r in rows):
        verdicts = {v["model"]: v for v in read(out, folder)["verdict"]}
        x0, y0, w, h = (n % 2) * width + left, (n // 2) * height + top, width - left - 16, height - 84
        y = lambda v: y0 + h * (1 - log(min(max(v, floor), ceiling) / floor) / log(ceiling / floor))
        parts.append(text(x0, y0 - 12, f"{name}, {title}", extra='font-weight="600"'))
        parts.append(f'<rect x="{x0}" y="{y(1):.1f}" width="{w}" height="{y(floor) - y(1):.1f}" fill="{BAND}" opacity=".4"/>')
        for tick in (0.1, 0.2, 0.5, 1, 2, 5):
            parts.append(f'<path d="M{x0} {y(tick):.1f}h{w}" stroke="{LINE if tick == 1 else PALE}"/>' + text(x0 - 6, y(tick) + 4, f"{tick:g}", "end", GREY))
        for i, stage in enumerate(CUTS):
            x = x0 + w * (i + 0.5) / len(CUTS)
            found = [verdicts[m] for m in draws(verdicts, variants[stage])]
            label = f"above {stage}" if stage != "fc" else "head alone"
            matched = sum(v["verdict"] == "matched" for v in found)
            ring = 'font-weight="600"' if stage == chosen else ""
            parts.append(text(x, y0 + h + 18, label + (" ◂" if stage == chosen else ""), "middle", INK if stage == chosen else GREY, ring))
            parts.append(text(x, y0 + h + 34, f"{matched} of {len(found)} matched", "middle", GREY))
            for f, (family, colour) in enumerate(FAMILIES):
                for verdict in found:
                    value = next(share(g) for g in verdict["families"] if g["family"] == family)
                    parts.append(f'<circle cx="{x + 11 * (f - 2):.1f}" cy="{y(value):.1f}" r="3.2" fill="{colour}" fill-opacity=".8"/>')
    bottom = len(SETS) * height + 4
    for i, (family, colour) in enumerate(FAMILIES):
        parts.append(f'<circle cx="{left + 110 * i + 4}" cy="{bottom}" r="4" fill="{colour}"/>' + text(left + 110 * i + 14, bottom + 4, family))
    parts.append(text(left, bottom + 26, "How much of its limits a family of figures takes up: matched up to 1, in the grey. ◂ what is chosen by default; three draws each.", fill=GREY))
    return svg(2 * width, bottom + 40, parts)


def main(out, folder):
    for name, picture in [("method-steps", steps()), ("method-depth", depth(out)), ("method-cut", cut(out)), ("study-failure", failure(out))]:
        (Path(folder) / f"{name}.svg").write_text(picture)


if len(sys.argv) != 3:
    sys.exit(__doc__)
main(*sys.argv[1:])
