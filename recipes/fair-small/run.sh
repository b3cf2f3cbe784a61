#!/bin/bash
# From fetched data to the merged model in runs/fair-small: bash recipes/fair-small/run.sh DATA [--set KEY=VALUE ...]
# Six runs of 160 steps; the same command goes on where it was interrupted. Further words go to every training run.
set -euo pipefail
export DATA=$1; shift
recipe=$(dirname "$0")

[ -d "$DATA/prepared/train" ] || python "$recipe/../prepare.py" "$DATA" --fair-small
fit="isoglot debias builtin:multilingual-e5-small --pairs $DATA/flores200 --remedy lir --directions 24 --examples 250"
[ -d runs/base-lir ] || $fit --out runs/base-lir
[ -d runs/base-lir-90 ] || $fit --strength .9 --out runs/base-lir-90

models=()
train() { # folder, then what differs
  models+=("$1/model")
  isoglot train "$recipe/short.yaml" --set output="$1" "${@:2}" $([ -d "$1" ] && echo --resume)
}
for seed in 0 1 2; do
  train runs/fair-small-hybrid-$seed --set seed=$seed "$@"
  train runs/fair-small-monolingual-$seed --set seed=$seed \
    --set batches.strategy=monolingual --set optimizer.learning_rate=5e-5 "$@"
done
isoglot merge "${models[@]}" builtin:multilingual-e5-small --weights 1,1,1,1,1,1,9 --remedy-of runs/base-lir-90 \
  --out runs/fair-small
