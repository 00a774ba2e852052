#!/bin/sh
# Each stage by a command of its own: label, train a reward model, tune the policy, evaluate, report.
# About 2 minutes on two CPU cores.
# The program must be on the PATH; runs/stages holds all that is made.
set -eu
run=runs/stages
preftune label --simulated --run "$run"
preftune train-reward "$run/comparisons.jsonl" --run "$run/reward" --out "$run/reward/model"
preftune train-policy --reward "$run/reward/model" --run "$run/policy" --out "$run/policy/model"
preftune sft "$run/comparisons.jsonl" --run "$run/sft" --out "$run/sft/model"
preftune eval --model "$run/policy/model" --baseline storyteller --baseline "$run/sft/model" --reward "$run/reward/model" --run "$run"
preftune report "$run"
