#!/bin/sh
# People choose, on the page whose address is printed: 300 labels, half an hour for one person.
# Everybody who opens the page judges the tuned model afterwards, too, blind.
set -eu
run=runs/people
preftune label --instructions sentiment --set labels.comparisons=300 --run "$run"
preftune train-reward "$run/comparisons.jsonl" --run "$run/reward" --out "$run/reward/model"
preftune train-policy --reward "$run/reward/model" --run "$run/policy" --out "$run/policy/model"
preftune eval --ask --instructions sentiment --model "$run/policy/model" --set eval.pairs=60 --run "$run"
preftune report "$run"
