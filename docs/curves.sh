#!/usr/bin/env bash
# Training curves on our kernels and on burn's own operations (docs/performance.md): docs/curves.sh DATA_DIR OUT [ARCH [LR [DATA]]]
# DATA_DIR holds mnist/ (mnist-mini, which comes with the program, needs none). About a quarter of an hour on two cores for cnn-s, and for cnn-emnist or
# resnet20 on mnist-mini. SEEDS="0 1 2" are the seeds; what OUT has already is not trained again.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 out=$2 arch=${3:-cnn-s} lr=${4:-5e-3} set=${5:-mnist}
[ -n "${UNLEARN:-}" ] || cargo build --release
unlearn=${UNLEARN:-target/release/unlearn}
mkdir -p "$out"
read -ra seeds <<<"${SEEDS:-0 1 2}"
for seed in "${seeds[@]}"; do
    for kernels in ours burn; do
        [ -s "$out/$kernels-$seed.json" ] && continue
        [ "$kernels" = burn ] && export UNLEARN_KERNELS=burn || unset UNLEARN_KERNELS
        "$unlearn" train --data "$set" --data-dir "$data" --arch "$arch" --epochs 3 --lr "$lr" --schedule cosine --seed $seed --json --quiet \
            --out "$out/$kernels-$seed.safetensors" >"$out/$kernels-$seed.json"
    done
done
python3 - "$out" "${seeds[@]}" <<'PYTHON'
import json
import statistics as st
import sys

print("| epoch | ours: loss | burn: loss | largest difference, same seed | ours: accuracy % | burn: accuracy % | largest difference, same seed |")
print("|---:|---:|---:|---:|---:|---:|---:|")
runs = {k: [json.load(open(f"{sys.argv[1]}/{k}-{s}.json")) for s in sys.argv[2:]] for k in ("ours", "burn")}


def row(name, of, scale, digits):
    ours, burn = ([scale * of(r) for r in runs[k]] for k in ("ours", "burn"))
    far = max(abs(a - b) for a, b in zip(ours, burn))
    cell = lambda v: f"{st.mean(v):.{digits}f} ± {st.stdev(v):.{digits}f}"
    return f"{cell(ours)} | {cell(burn)} | {far:.{digits}f}"


for epoch in range(3):
    print(f"| {epoch + 1} | {row('loss', lambda r: r['epochs'][epoch]['loss'], 1, 4)} | {row('accuracy', lambda r: r['epochs'][epoch]['accuracy'], 100, 2)} |")
print(f"| test | | | | {row('test', lambda r: r['test']['accuracy'], 100, 2)} |")
PYTHON
