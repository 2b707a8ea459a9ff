#!/usr/bin/env bash
# Every figure of docs/never-seen.md: docs/never-seen.sh DATA_DIR OUT
# DATA_DIR holds mnist/ and emnist/ (emnist-derived47); OUT gets the run directories. About half an hour on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 out=$2
cargo build --release
unlearn=target/release/unlearn
export UNLEARN_DATA=$data
mkdir -p "$out"

# 1. emnist-derived47: pairs drawn at random, originals of twenty classes, so that 27 are never seen. Settings follow from the data.
for seed in 0 1; do
    $unlearn study --data emnist-derived47 --pairs 3 --seed $seed --oracles 5 --methods logit-mask --out "$out/emnist-seed-$seed" --resume --quiet
done

# 2. MNIST: originals of seven digits, so that three are never seen. Settings as a study's for as many images.
mnist() { # CLASSES OLD NEW
    $unlearn swap --data mnist --classes "$1" --forget "$2" --learn "$3" --oracles 5 --methods logit-mask --arch cnn-s --epochs 6 --batch 64 --lr 5e-3 \
        --schedule cosine --out "$out/mnist/pair-$2-$3" --resume --quiet
}
mnist 0,1,2,4,5,6,7 6 3
mnist 0,1,2,3,4,5,6 2 8

# 3. The tables and the plot.
docs/never-seen.py "$out" "$out/never-seen.svg"

# 4. Somebody's model, with nothing but its original and the data.
run=$out/emnist-seed-0/pair-1-12-38
rm -rf "$out/somebody"
$unlearn audit "$run/models/logit-mask.safetensors" --original "$run/models/original.safetensors" --data emnist-derived47 --forget C --learn d --out "$out/somebody" --quiet
