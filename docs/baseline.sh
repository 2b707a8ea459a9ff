#!/usr/bin/env bash
# Every figure of docs/baseline.md: docs/baseline.sh DATA_DIR OUT
# DATA_DIR holds mnist/ and emnist/ (emnist-derived47); OUT gets the run directories. About 10 minutes on two cores, 25 on slow ones.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 out=$2
cargo build --release
unlearn=target/release/unlearn
export UNLEARN_DATA=$data
export UNLEARN_STORE=none # every time in the figures is taken in the run that shows it

# 1. Every method as it is, on both sets.
$unlearn swap --config configs/mnist.toml --out "$out/mnist" --resume
$unlearn swap --config configs/emnist-derived47.toml --out "$out/emnist-derived47" --resume

# 2. The task statement's baseline and the notebook's procedure with other settings, from the same original, judged by the same oracles.
variant() { # NAME METHOD SEED SETTING...
    local name=$1 method=$2 seed=$3; shift 3
    local set=(); for s in "$@"; do set+=(--set "$method.$s"); done
    $unlearn swap --config configs/mnist.toml --model "$out/mnist/models/original.safetensors" --seed "$seed" --oracles 0 --controls false --methods "$method" \
        "${set[@]}" --out "$out/variants/$name" --resume --quiet >/dev/null
    cp "$out/variants/$name/models/$method.safetensors" "$out/variants/$name.safetensors"
}
mkdir -p "$out/variants"
variant stated masked-weights 0
variant penalty-0 masked-weights 0 penalty=0.0
variant penalty-1 masked-weights 0 penalty=1.0
variant share-0.01 masked-weights 0 share=0.01
variant share-0.5 masked-weights 0 share=0.5
variant retain masked-weights 0 use_retain=true
variant retain-penalty-1 masked-weights 0 use_retain=true penalty=1.0
variant retain-share-1 masked-weights 0 use_retain=true share=1.0
variant notebook-seed-1 random-layers 1
variant notebook-seed-2 random-layers 2
oracles=(); for o in "$out"/mnist/models/oracle-*.safetensors; do oracles+=(--oracle "$o"); done
rm -rf "$out/variants/audit"
$unlearn audit "$out"/variants/*.safetensors --original "$out/mnist/models/original.safetensors" "${oracles[@]}" \
    --data mnist --forget 6 --learn 3 --out "$out/variants/audit"

# 3. Fine-tuning for what regrow costs: one epoch on emnist-derived47, a twentieth of a retraining.
emnist=$out/emnist-derived47/models
$unlearn swap --config configs/emnist-derived47.toml --model "$emnist/original.safetensors" --oracles 0 --controls false --methods finetune \
    --set finetune.epochs=1 --out "$out/finetune-1" --resume --quiet >/dev/null
oracles=(); for o in "$emnist"/oracle-*.safetensors; do oracles+=(--oracle "$o"); done
rm -rf "$out/finetune-1-audit"
$unlearn audit "$out/finetune-1/models/finetune.safetensors" --original "$emnist/original.safetensors" "${oracles[@]}" \
    --data emnist-derived47 --forget 6 --learn 3 --out "$out/finetune-1-audit"

# 4. Read-outs of both sets by depth.
docs/baseline.py "$out"
