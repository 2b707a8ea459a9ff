#!/usr/bin/env bash
# Every figure of docs/study.md: docs/study.sh DATA_DIR OUT
# DATA_DIR holds mnist/, emnist/ (emnist-derived47) and, if they are wanted, fashion-mnist/ and cifar10/; OUT gets the run directories. Some hours
# on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 out=$2
cargo build --release
unlearn=target/release/unlearn
export UNLEARN_DATA=$data
export UNLEARN_STORE=none # every time in the figures is taken in the run that shows it
mkdir -p "$out"

# Flags for `regrow@NAME` as it was at every budget before `auto` grew tops from nothing: following the original's answers, the new class three
# times as often as it is there.
followed() { # NAME KEY=VALUE...
    local name=$1 pair; shift
    for pair in distil=0.8 learn_boost=3.0 "$@"; do printf -- '--set regrow@%s.%s ' "$name" "$pair"; done
}

# 0. As it is now: pairs drawn last, and other settings on the originals and oracles of MNIST.
$unlearn study --data emnist-derived47 --pairs 3 --seed 8 --oracles 5 --out "$out/emnist-seed-8" --resume --quiet
$unlearn study --data mnist --pairs 5 --seed 8 --oracles 5 --store "$out/mnist-seed-8/store" --out "$out/mnist-seed-8" --resume --quiet
for run in "$out"/mnist-seed-8/pair-*; do
    $unlearn swap --config "$run/config.toml" --methods regrow,regrow@one,regrow@half --set regrow@one.epochs=1 --set regrow@half.epochs=1 --set regrow@half.batch=0.5 \
        --store "$out/mnist-seed-8/store" --out "$out/mnist-seed-8-epochs/$(basename "$run")" --resume --quiet
done
$unlearn study --data emnist-derived47 --pairs 3 --seed 9 --seeds 5 --oracles 5 --out "$out/emnist-seed-9" --resume --quiet
$unlearn study --data mnist --pairs 5 --seed 44 --seeds 5 --oracles 5 --store "$out/mnist-seed-44/store" --out "$out/mnist-seed-44" --resume --quiet
docs/families.py "$out"/mnist-seed-44/pair-*-mean.json
for run in "$out"/mnist-seed-44/pair-?-?-?; do # of five originals the first; beside it what less than a retraining comes to
    $unlearn swap --config "$run/config.toml" --methods regrow@30,short-retrain,short-retrain@4,short-retrain@15,short-retrain@unsure,short-retrain@60 \
        --set regrow@30.budget=0.3 --set short-retrain@4.budget=0.045 --set short-retrain@15.budget=0.15 --set short-retrain@unsure.sharpen=false \
        --set short-retrain@60.budget=0.6 --set short-retrain@60.sharpen=false --controls false --store "$out/mnist-seed-44/store" --out "$out/mnist-seed-44-budgets/$(basename "$run")" --resume --quiet
done
docs/families.py "$out"/mnist-seed-44-budgets/pair-*/scores.json
$unlearn study --data mnist --pairs 5 --seed 44 --seeds 5 --oracles 5 --methods regrow,regrow@30,short-retrain --set regrow@30.budget=0.3 \
    --store "$out/mnist-seed-44/store" --out "$out/mnist-seed-44-means" --resume --quiet
docs/families.py "$out"/mnist-seed-44-means/pair-*-mean.json
# Classes that look alike, by name.
$unlearn study --config configs/study-look-alikes.toml --out "$out/look-alikes" --resume --quiet
docs/families.py "$out"/look-alikes/pair-*-mean.json
# Beside it every other method; fine-tuning for one epoch, about what regrow costs, too.
$unlearn study --data emnist-derived47 --pairs 3 --seed 10 --oracles 5 \
    --methods regrow,short-retrain,finetune,gradient-ascent,masked-weights,random-layers,retrain --store "$out/emnist-seed-10/store" \
    --out "$out/emnist-seed-10" --resume --quiet
docs/families.py "$out"/emnist-seed-10/pair-*/scores.json
for run in "$out"/emnist-seed-10/pair-*; do
    $unlearn swap --config "$run/config.toml" --methods finetune@1,short-retrain@4,short-retrain@unsure --controls false --set finetune@1.epochs=1 \
        --set short-retrain@4.budget=0.045 --set short-retrain@unsure.sharpen=false --store "$out/emnist-seed-10/store" \
        --out "$out/emnist-seed-10-one/$(basename "$run")" --resume --quiet
    $unlearn swap --config "$run/config.toml" --methods regrow@20,regrow@30 --set regrow@20.budget=0.2 --set regrow@30.budget=0.3 \
        --store "$out/emnist-seed-10/store" --out "$out/emnist-seed-10-budgets/$(basename "$run")" --resume --quiet
done
$unlearn study --data emnist-derived47 --pairs 4 --seed 7 --out "$out/emnist-seed-7" --resume --quiet
$unlearn study --data mnist --pairs 5 --seed 7 --oracles 5 --out "$out/mnist-seed-7" --resume --quiet
if [ -d "$data/cifar10" ]; then # an hour and more
    $unlearn swap --data cifar10 --classes 0,1,2,3,4,5,6,7,9 --forget 1 --learn 8 --arch resnet20 --epochs 14 --batch 128 --lr 0.003 \
        --schedule cosine --seed 1 --oracles 3 --out "$out/cifar10-1-8" --resume --quiet
    # Two classes give way to the same third, so that five oracles judge both; five draws of each swap.
    for forget in 9 6; do
        $unlearn swap --data cifar10 --classes "0,1,2,4,5,7,8,$forget" --forget "$forget" --learn 3 --arch resnet20 --epochs 14 --batch 128 --lr 0.003 \
            --schedule cosine --seed 1 --oracles 5 --methods regrow,regrow@seed-1,regrow@seed-2,regrow@seed-3,regrow@seed-4 --set regrow@seed-1.seed=1 \
            --set regrow@seed-2.seed=2 --set regrow@seed-3.seed=3 --set regrow@seed-4.seed=4 --store "$out/cifar10-store" --out "$out/cifar10-$forget-3" \
            --resume --quiet
        docs/study.py "$out/cifar10-$forget-3"
        $unlearn swap --config "$out/cifar10-$forget-3/config.toml" --methods regrow,regrow@10,regrow@20,regrow@early,regrow@fresh,regrow@labels \
            $(followed 10 budget=0.1 cut=group2 keep=0.6) $(followed 20 budget=0.2 cut=group2 keep=0.6) \
            $(followed early budget=0.2 cut=group1 keep=0.6) $(followed fresh budget=0.2 cut=group2 keep=0.0) \
            $(followed labels budget=0.2 cut=group2 keep=0.0 distil=0.0) --store "$out/cifar10-store" \
            --out "$out/cifar10-$forget-3-budget" --resume --quiet
        docs/study.py "$out/cifar10-$forget-3-budget"
    done
    # A larger budget with what it chooses by itself; a shorter training and three oracles, for the time.
    $unlearn swap --data cifar10 --classes 1,2,3,4,5,7,8,9 --forget 1 --learn 6 --arch resnet20 --epochs 10 --batch 128 --lr 0.003 --schedule cosine \
        --seed 1 --oracles 3 --methods regrow,regrow@30,regrow@50 --set regrow@30.budget=0.3 --set regrow@50.budget=0.5 \
        --out "$out/cifar10-1-6" --resume --quiet
    docs/study.py "$out/cifar10-1-6"
fi
$unlearn study --data emnist-derived47 --pairs 4 --seed 5 --out "$out/emnist-seed-5" --resume --quiet

# 1. Pairs that nobody looked at, default settings, five seeds each; each study keeps its oracles in itself.
$unlearn study --config configs/study-emnist-derived47.toml --out "$out/emnist-seed-3" --resume --quiet
$unlearn study --config configs/study-emnist-derived47.toml --seed 1 --out "$out/emnist-seed-1" --resume --quiet
$unlearn study --config configs/study-mnist.toml --out "$out/mnist-seed-1" --resume --quiet

# 2. regrow's parameters one at a time, from one original, judged by the same oracles; three draws of each (SEED of the method).
ablation() { # DATA
    local methods=regrow,regrow@seed-1,regrow@seed-2 set=(--set regrow@seed-1.seed=1 --set regrow@seed-2.seed=2)
    variant() { # NAME KEY=VALUE...
        local name=$1 draw as; shift
        for draw in 0 1 2; do
            as=regrow@$name$([ $draw = 0 ] || echo "-seed-$draw")
            methods+=,$as
            set+=(--set "$as.seed=$draw")
            for pair in "$@"; do set+=(--set "$as.$pair"); done
        done
    }
    variant no-sharpening sharpen=false
    variant labels-alone distil=0.0
    variant no-boost learn_boost=1.0
    variant adjusted-fully adjustment=1.0
    variant whole-batch batch=1.0
    variant half-batch batch=0.5
    variant epochs-1 epochs=1
    variant epochs-4 epochs=4
    variant budget-2pct budget=0.02
    variant budget-10pct budget=0.1
    variant budget-20pct budget=0.2
    variant budget-30pct budget=0.3
    variant followed-10pct budget=0.1 distil=0.8 learn_boost=3.0
    variant followed-30pct budget=0.3 cut=conv3 distil=0.8 learn_boost=3.0
    variant cut-fc cut=fc
    variant cut-conv2 cut=conv2
    variant cut-conv1 cut=conv1
    variant boosted-30pct budget=0.3 learn_boost=3.0
    variant cut-fc-30pct cut=fc budget=0.3
    variant cut-conv3-30pct cut=conv3 budget=0.3
    variant cut-conv1-30pct cut=conv1 budget=0.3
    $unlearn swap --config "configs/$1.toml" --methods "$methods" "${set[@]}" --store "$out/ablation/store" --out "$out/ablation/$1" --resume --quiet >/dev/null
    docs/study.py "$out/ablation/$1"
}
ablation mnist
ablation emnist-derived47
docs/method.py "$out" "$out" # the pictures of docs/method.md

# 4. Tops grown from nothing, chosen on training images.
for set in "emnist-derived47 21 3" "mnist 12 3"; do
    read -r name seed pairs <<<"$set"
    [ -d "$out/dev/$name" ] || python3 docs/dev_split.py "$data" "$out/dev/$name" "$name"
    $unlearn study --data "$name" --data-dir "$out/dev/$name" --pairs "$pairs" --seed "$seed" --oracles 5 --store "$out/grown/store" \
        --out "$out/grown/$name" --resume --quiet
    for run in "$out/grown/$name"/pair-*; do
        methods=regrow set=()
        grown() { # NAME KEY=VALUE...
            local as=regrow@$1 pair; shift
            methods+=,$as
            for pair in "$@"; do set+=(--set "$as.$pair"); done
        }
        for budget in 0.1 0.15 0.2 0.3; do
            grown "auto-${budget#0.}" budget=$budget
            for boost in 3.0 1.0; do
                grown "conv2-${budget#0.}-$boost" budget=$budget cut=conv2 distil=0.0 keep=0.0 learn_boost=$boost
                grown "conv1-${budget#0.}-$boost" budget=$budget cut=conv1 distil=0.0 keep=0.0 learn_boost=$boost
            done
        done
        grown conv3-1-3.0 budget=0.1 cut=conv3 distil=0.0 learn_boost=3.0
        grown taught budget=0.2 cut=conv2 keep=0.0 distil=0.4 learn_boost=1.0
        grown kept budget=0.15 cut=conv2 keep=0.6 distil=0.8 learn_boost=1.0
        $unlearn swap --config "$run/config.toml" --data-dir "$out/dev/$name" --methods "$methods" "${set[@]}" --store "$out/grown/store" \
            --out "$out/grown/$name-budgets/$(basename "$run")" --resume --quiet
    done
done

# … and held out: larger budgets on pairs of MNIST itself.
$unlearn study --data mnist --data-dir "$data" --pairs 3 --seed 10 --oracles 5 --store "$out/grown/store" --out "$out/grown/held-out" --resume --quiet
for run in "$out"/grown/held-out/pair-*; do
    $unlearn swap --config "$run/config.toml" --data-dir "$data" --methods regrow,regrow@10,regrow@20,regrow@30 --set regrow@10.budget=0.1 \
        --set regrow@20.budget=0.2 --set regrow@30.budget=0.3 --store "$out/grown/store" --out "$out/grown/held-out-budgets/$(basename "$run")" \
        --resume --quiet
done

# … and on a data set that nothing was chosen on.
if [ -d "$data/fashion-mnist" ]; then
    $unlearn study --data fashion-mnist --pairs 3 --seed 1 --oracles 5 --store "$out/fashion/store" --out "$out/fashion/study" --resume --quiet
    for run in "$out"/fashion/study/pair-*; do
        $unlearn swap --config "$run/config.toml" --methods regrow,regrow@20,regrow@30,retrain --set regrow@20.budget=0.2 \
            --set regrow@30.budget=0.3 --store "$out/fashion/store" --out "$out/fashion/budgets/$(basename "$run")" --resume --quiet
    done
fi

# 3. What a larger budget buys on a thousand training images a digit, from MNIST's training images alone.
[ -d "$out/dev-small" ] || python3 docs/dev_split.py "$data" "$out/dev-small" mnist 1000 250
for pair in 6-3 7-1 2-5 9-4 8-0; do
    forget=${pair%-*} learn=${pair#*-}
    $unlearn swap --config configs/demo.toml --data mnist --data-dir "$out/dev-small" --augment false --seed 3 --forget "$forget" --learn "$learn" \
        --classes "$(seq -s, 0 9 | sed "s/\b$learn\b,\?//; s/,$//")" --methods regrow,regrow@b10,regrow@b20,regrow@b20-labels,regrow@b30-conv2 \
        $(followed b10 budget=0.1 cut=conv3) $(followed b20 budget=0.2 cut=conv3) $(followed b20-labels budget=0.2 cut=conv3 distil=0.0) \
        $(followed b30-conv2 budget=0.3 cut=conv2 distil=0.0) \
        --out "$out/small/$pair" --resume --quiet
done

# 5. Originals trained longer: MNIST for 20 epochs instead of five, and 600 images a class of CIFAR-10's training images for 30 (docs/study-length.md).
length=$out/length
$unlearn study --data mnist --pairs 5 --seed 44 --oracles 5 --epochs 5 --methods regrow --out "$length/mnist-5" --resume --quiet
$unlearn study --data mnist --pairs 5 --seed 44 --oracles 5 --epochs 20 --methods regrow,regrow@labels,regrow@grown --set regrow@labels.distil=0.0 \
    --set regrow@grown.cut=conv2 --set regrow@grown.keep=0.0 --set regrow@grown.distil=0.0 --set regrow@grown.learn_boost=1.0 \
    --store "$length/store" --out "$length/mnist-20" --resume --quiet
for run in "$length"/mnist-20/pair-*; do
    $unlearn swap --config "$run/config.toml" --methods regrow@10,regrow@30,regrow@longer --set regrow@10.budget=0.1 --set regrow@30.budget=0.3 \
        --set regrow@longer.epochs=8 --set regrow@longer.distil=0.0 --controls false --store "$length/store" \
        --out "$length/mnist-20-budgets/$(basename "$run")" --resume --quiet
done
docs/families.py "$length"/mnist-*/pair-*/scores.json
if [ -d "$data/cifar10" ]; then # an hour and a half
    [ -d "$length/few" ] || python3 docs/dev_split.py "$data" "$length/few" cifar10 600 1000
    for forget in 9 6; do
        variants=(--set regrow@seed-1.seed=1 --set regrow@seed-2.seed=2)
        for keep in 0 3; do
            variants+=(--set "regrow@k$keep.keep=0.$keep" --set "regrow@k${keep}b1.keep=0.$keep" --set "regrow@k${keep}b1.learn_boost=1.0")
        done
        for keep in 0 3 6; do variants+=(--set "regrow@g1k$keep.cut=group1" --set "regrow@g1k$keep.keep=0.$keep"); done
        $unlearn swap --data cifar10 --data-dir "$length/few" --classes "0,1,2,4,5,7,8,$forget" --forget "$forget" --learn 3 --arch resnet20 \
            --epochs 30 --batch 128 --lr 0.003 --schedule cosine --seed 1 --oracles 5 "${variants[@]}" \
            --methods regrow,regrow@seed-1,regrow@seed-2,regrow@k0,regrow@k0b1,regrow@k3,regrow@k3b1,regrow@g1k0,regrow@g1k3,regrow@g1k6 \
            --store "$length/store" --out "$length/few-$forget-3" --resume --quiet
        docs/families.py "$length/few-$forget-3/scores.json"
    done
fi
