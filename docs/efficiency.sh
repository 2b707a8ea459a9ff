#!/usr/bin/env bash
# Every figure of docs/efficiency.md: docs/efficiency.sh DATA_DIR OUT
# DATA_DIR holds emnist/ and mnist/. A quarter of an hour on two cores, which should be quiet: these are times.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 out=$2
cargo build --release
mkdir -p "$out"

# Original, retraining and regrow with the same training, no oracle: only costs are looked at. Then each of the two alone, for the memory that it takes.
swap() { # NAME ARGUMENT...
    local name=$1 method; shift
    local command=(target/release/unlearn swap --data-dir "$data" --lr "$rate" --schedule cosine --epochs 4 --controls false --oracles 0 --store none --quiet "$@")
    [ -f "$out/$name/scores.json" ] || "${command[@]}" --methods regrow,retrain --out "$out/$name" --resume >/dev/null
    for method in regrow retrain; do
        [ ! -s "$out/$name/$method.mib" ] || continue
        docs/peak_memory.py "$out/$name-$method" $method "${command[@]}" --model "$out/$name/models/original.safetensors" >"$out/$name/$method.mib"
        rm -r "$out/$name-$method"
    done
}

rate=5e-3
# Classes, and with them the retain set; the learn set is one class throughout.
for n in 5 10 20 40; do
    swap "classes-$n" --data emnist-derived47 --classes "$(seq -s, 1 "$n")" --forget 1 --learn 0
done
# Images a class.
swap mini --data mnist-mini --forget 6 --learn 3
swap full --data mnist --forget 6 --learn 3
# The network.
rate=1e-3
for arch in mlp cnn-emnist resnet20; do
    swap "$arch" --data mnist-mini --arch $arch --forget 6 --learn 3
done

python3 - "$out" <<'PYTHON' | tee "$out/efficiency.txt"
import json
import sys

ROWS = [(f"emnist-derived47, {n} classes of 600 images, `cnn-s`", f"classes-{n}") for n in (5, 10, 20, 40)]
ROWS += [("mnist-mini, 9 classes of 1,000, `cnn-s`", "mini"), ("MNIST, 9 classes of about 6,000, `cnn-s`", "full")]
ROWS += [(f"mnist-mini, 9 classes of 1,000, `{arch}`", arch) for arch in ("mlp", "cnn-emnist", "resnet20")]
print("| task | one retraining, s | `regrow`, s | time | passes | peak memory, MiB: retraining | `regrow` |")
print("|---|---:|---:|---:|---:|---:|---:|")
for title, name in ROWS:
    cost = {c["model"]: c for c in json.load(open(f"{sys.argv[1]}/{name}/scores.json"))["cost"]}
    retrain, regrow = cost["retrain"], cost["regrow"]
    time, passes = (100 * regrow[key] / retrain[key] for key in ("wall_s", "train_passes"))
    peak = [open(f"{sys.argv[1]}/{name}/{method}.mib").read().strip() for method in ("retrain", "regrow")]
    print(f"| {title} | {retrain['wall_s']:.1f} | {regrow['wall_s']:.2f} | {time:.1f} % | {passes:.1f} % | " + " | ".join(peak) + " |")
PYTHON
