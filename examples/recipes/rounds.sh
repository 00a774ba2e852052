#!/bin/sh
# Both loops together: three rounds of labels, fit and updates. About 3 minutes on two CPU cores.
set -eu
run=runs/rounds
preftune train --set policy.updates=180 --run "$run" --out "$run/model"
preftune eval --model "$run/model" --run "$run"
preftune report "$run"
