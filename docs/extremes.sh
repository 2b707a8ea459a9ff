#!/usr/bin/env bash
# Every figure of docs/extremes.md: docs/extremes.sh OUT DATA_DIR
# DATA_DIR holds emnist/ (emnist-derived47), for the swaps of letters; the rest needs no data. OUT gets the run directories, and in OUT/store the
# originals and oracles that they share. About an hour and a half on two cores; stopped, the same command goes on. OUT/extremes.txt is what it prints.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1 data=$2
cargo build --release
unlearn=target/release/unlearn
mkdir -p "$out/runs" "$out/audits"

# The demo's task, network and training, which a model that is given brings with it; `retrain` for the price, and to see an exact retraining judged by
# the same oracles.
swap() { # NAME ARGUMENT...
    local name=$1; shift
    [ ! -f "$out/runs/$name/scores.json" ] || return 0
    $unlearn swap "${task[@]}" --store "$out/store" --methods "$methods" "$@" --out "$out/runs/$name" --resume --quiet >/dev/null
}
methods=regrow,retrain
task=(--config configs/demo.toml)
only_regrow() { methods=regrow swap "$@"; }
audit() { # NAME ARGUMENT...
    local name=$1; shift
    rm -rf "${out:?}/audits/$name"
    $unlearn audit "$@" --data mnist-mini --out "$out/audits/$name" --quiet >/dev/null
}
oracles_of() { # NAME: sets `oracles`
    oracles=(); for o in "$out/runs/$1"/models/oracle-*.safetensors; do oracles+=(--oracle "$o"); done
}
models() { echo "$out/runs/$1/models/$2.safetensors"; }

swap all

# 1. Few samples of the new class, for oracles too.
for n in 100 20 5 1; do swap "learn-$n" --learn-samples $n; done

only_regrow learn-20-budget --learn-samples 20 --set regrow.budget=0.3

# 2. Little retain data for the methods; then the budget raised to what regrow has with all data: 4.5 % of passes over 9,000 images.
only_regrow retain-50pct --retain-share 0.5
only_regrow retain-50pct-budget --retain-share 0.5 --set regrow.budget=0.081 # of 5,000 images
only_regrow retain-50pct-30 --retain-share 0.5 --set regrow.budget=0.3
only_regrow retain-25pct --retain-share 0.25
only_regrow retain-25pct-30 --retain-share 0.25 --set regrow.budget=0.3
swap retain-10pct --retain-share 0.1
only_regrow retain-10pct-budget --retain-share 0.1 --set regrow.budget=0.225 # of 1,800 images
swap retain-1pct --retain-share 0.01
only_regrow retain-1pct-budget --retain-share 0.01 --set regrow.budget=0.375 # of 1,080 images

# 3. There and back again: what regrow made of 6 → 3 forgets 3 and learns 6. Beside it the first original, which never saw a 3.
task=(--data mnist-mini)
swap back --model "$(models all regrow)" --forget 3 --learn 6
oracles_of back
mkdir -p "$out/back" && cp "$(models back regrow)" "$out/back/there-and-back.safetensors" && cp "$(models all original)" "$out/back/never-swapped.safetensors"
audit back "$out"/back/*.safetensors "${oracles[@]}" --forget 3 --learn 6

# 4. Five swaps in a row, each from the last one's model, until no class of the original is left; the last is judged, for the class that went
#    last, and for the one that went first.
sequence=(6 3 0 5 1 7 2 8 4 9)
task=(--config configs/demo.toml --classes 6,0,1,2,4)
for i in 1 2 3 4; do
    only_regrow "row-$i" --forget "${sequence[2 * i - 2]}" --learn "${sequence[2 * i - 1]}" --oracles 0 --controls false
    task=(--data mnist-mini --model "$(models "row-$i" regrow)")
done
swap row-5 --forget 4 --learn 9
oracles_of row-5
audit row-first "$(models row-5 regrow)" "$(models row-5 retrain)" "${oracles[@]}" --forget 6 --learn 3

# 5. Another network, of two hidden layers.
task=(--config configs/demo.toml)
swap mlp --arch mlp

swap wide --arch cnn-emnist --lr 0.001 --oracles 3 # 4 million weights, 25 times those of cnn-s

# 6. An original trained three times as long, and oracles as it.
swap epochs-30 --epochs 30 --oracles 3

# 7. Wrong labels: images of retained digits among those of the new class, for oracles too.
for percent in 10 30; do
    [ -d "$out/wrong-$percent" ] || docs/wrong_labels.py "$out/wrong-$percent" "0.$percent"
    swap "wrong-$percent" --data "idx:$out/wrong-$percent"
done

# 8. Classes of unequal size, from 1,000 images of "0" down to 100 of "9", for oracles too.
[ -d "$out/unequal" ] || docs/unequal.py "$out/unequal" 0.1
swap unequal --data "idx:$out/unequal"

# 9. Ten swaps in a row on emnist-derived47: the digits of an original of 0–9 and A–J go one by one, K–T come. Each model is judged, by three
#    oracles of its classes, for the class that went last and for the one that went first; the tenth by five, beside `retrain`.
letters() { # NAME ARGUMENT...
    local name=$1; shift
    [ ! -f "$out/runs/$name/scores.json" ] || return 0
    $unlearn swap --data emnist-derived47 --data-dir "$data" --arch cnn-s --epochs 20 --lr 0.005 --schedule cosine --store "$out/store" "$@" \
        --out "$out/runs/$name" --resume --quiet >/dev/null
}
first_gone() { # I MODEL...: of the run ten-I, judged for the class that went first
    local i=$1 files=(); shift
    for m in "$@"; do files+=("$(models "ten-$i" "$m")"); done
    oracles_of "ten-$i"
    rm -rf "$out/audits/ten-first-$i"
    $unlearn audit "${files[@]}" "${oracles[@]}" --forget 0 --learn 20 --data emnist-derived47 --data-dir "$data" \
        --out "$out/audits/ten-first-$i" --quiet >/dev/null
}
model=(--classes 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19)
for i in 0 1 2 3 4 5 6 7 8; do
    letters "ten-$i" "${model[@]}" --forget "$i" --learn "$((20 + i))" --methods regrow --oracles 3
    [ "$i" = 0 ] || first_gone "$i" regrow
    model=(--model "$(models "ten-$i" regrow)")
done
letters ten-9 "${model[@]}" --forget 9 --learn 29 --methods regrow,retrain
first_gone 9 regrow retrain

# 10. A new class that looks like the old one (0 → O), and an old one that many of those that stay look like (1 among I, J, L, T and 7).
letters near --classes 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19 --forget 0 --learn 24 --methods regrow,retrain
letters many --classes 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,18,19,21,29 --forget 1 --learn 20 --methods regrow,retrain

# 11. Several at once: two of the demo's digits; five of emnist-derived47's, the digits 0–4 for K–O. Each swap of a run has its own scores.
[ -f "$out/runs/two/swap-7-1/scores.json" ] || swap two --classes 0,2,4,5,6,7,8,9 --forget 6,7 --learn 3,1
[ -f "$out/runs/five/swap-4-24/scores.json" ] || letters five --classes 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19 \
    --forget 0,1,2,3,4 --learn 20,21,22,23,24 --methods regrow,retrain,logit-mask,head-distil

docs/extremes.py "$out" | tee "$out/extremes.txt"
