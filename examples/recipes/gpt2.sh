#!/bin/sh
# GPT-2 and the labels that the original (OpenAI's published code for the paper) was trained on, with a tenth of its
# episodes: 21 hours on two CPU cores, by the times in examples/results/gpt2-124m.md. Give it a file of queries that
# training has not used.
set -eu
unseen=${1:?usage: gpt2.sh UNSEEN_QUERIES}
run=runs/descriptiveness
preftune fetch gpt2 labels/descriptiveness
set -- --preset laptop/descriptiveness --model gpt2
preftune train-reward labels/descriptiveness "$@" --run "$run/reward" --out "$run/reward/model"
preftune train-policy --queries labels/descriptiveness "$@" --reward "$run/reward/model" --run "$run/policy" --out "$run/policy/model"
preftune eval --model "$run/policy/model" --baseline gpt2 --preset laptop/descriptiveness --reward "$run/reward/model" --queries "$unseen" --run "$run"
preftune report "$run"
