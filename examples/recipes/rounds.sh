#!/bin/sh
# Three rounds of labelling, reward training and policy training. About 4 minutes on two CPU cores.
set -eu
run=runs/rounds
preftune train --set policy.updates=180 --run "$run" --out "$run/model"
preftune eval --model "$run/model" --run "$run"
preftune report "$run"
