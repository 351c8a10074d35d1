#!/usr/bin/env bash
# test_full.sh BUILD_DIR: quantize full-size models with random weights and transcribe with them; check and tabulate each run.
# Needs 10 GB of disk and of memory; the models stay in models/random-* for the next run.
# The last line is 'N passed, N failed'.
set -euo pipefail
. "$(dirname "$0")/common.sh"

SIZES=${SIZES:-"0.6b 1.7b"}
TYPES=${TYPES:-"q8_0 q6_k q4_0"}

[ $# = 1 ] || fail "usage: test_full.sh BUILD_DIR"
cd "$ROOT"
qasr=$1/cli/qasr
[ -x "$qasr" ] || fail "'$qasr' is missing; run make build"

failed=0 quantized=0
for size in $SIZES; do
    make_checkpoint "$size"
    for type in $TYPES; do
        output=models/random-$size/model-$type.gguf
        say "quantizing to $output"
        if "$qasr" quantize --input "models/random-$size" --output "$output" --qtype "$type" --force --quiet; then
            quantized=$((quantized + 1))
        else
            failed=$((failed + 1))
            rm -f "$output"     # an old file must not be used instead
        fi
    done
done

# shellcheck disable=SC2086  # lists of words
exec "$VENV/bin/python3" tools/test_full.py --qasr "$qasr" --sizes $SIZES --types $TYPES --passed $quantized --failed $failed
