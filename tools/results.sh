#!/usr/bin/env bash
# results.sh BUILD_DIR: run 'qasr bench' on full-size models with random weights and write its report to docs/results.md.
# Needs 10 GB of disk and of memory, and 8 GB in TMPDIR for GGUF files that the model directories do not have. The models stay
# in models/random-* for the next run. Keep the machine idle meanwhile.
# Environment: SIZES, REPEAT, TOKENS, SECONDS_OF_AUDIO, VARIANTS, THREADS as the options of bench; BATCHES, the batch sizes for
# BATCH_VARIANTS; RESULTS, the file to write.
set -euo pipefail
. "$(dirname "$0")/common.sh"

SIZES=${SIZES:-"0.6b 1.7b"}
REPEAT=${REPEAT:-3}
TOKENS=${TOKENS:-100}
SECONDS_OF_AUDIO=${SECONDS_OF_AUDIO:-30}
VARIANTS=${VARIANTS:-fp,q8_0,q6_k,q4_0,q8_0+emb,q4_0+emb}
THREADS=${THREADS:-}
BATCHES=${BATCHES:-1,8}
BATCH_VARIANTS=${BATCH_VARIANTS:-q8_0+emb}
RESULTS=${RESULTS:-docs/results.md}

[ $# = 1 ] || fail "usage: results.sh BUILD_DIR"
cd "$ROOT"
qasr=$1/cli/qasr
[ -x "$qasr" ] || fail "'$qasr' is missing; run make build"

options=(--seconds "$SECONDS_OF_AUDIO" --tokens "$TOKENS" --repeat "$REPEAT")
[ -z "$THREADS" ] || options+=(--threads "$THREADS")

cpu_model()
{
    local name
    name=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1)
    [ -n "$name" ] || name=$(sysctl -n machdep.cpu.brand_string 2>/dev/null) || name=
    printf '%s\n' "${name:-unknown}"
}

# section TITLE SIZE OPTION...: print a section of the report: the command, then its output
section()
{
    local title=$1 size=$2
    shift 2
    printf '\n## %s\n\n```\nbuild/cli/qasr bench --model models/random-%s %s\n```\n\n' "$title" "$size" "${options[*]} $*"
    "$qasr" bench --model "models/random-$size" "${options[@]}" "$@"
}

report()
{
    cat <<END
# Results

Written by \`make results\`. The models have the shapes of the published checkpoints and random weights
(tools/make_random_checkpoint.py), which determine speed and memory but not the text. CER and WER against the
unquantized decoder are meaningless here, because random weights have no clear best token that quantization could
preserve.

The audio is a generated signal. Load is the time until a session is ready. Files are mapped, so their pages are first
read in the phases after it. Peak RSS includes the pages of mapped files that were read.

[results-gpu.md](results-gpu.md) has the results on a GPU.

## Machine

CPU: $(cpu_model), $(getconf _NPROCESSORS_ONLN) logical processors.
END
    "$qasr" bench --limits ${THREADS:+--threads "$THREADS"} || return
    for size in $SIZES; do
        say "measuring $size"
        section "$size" "$size" --variants "$VARIANTS" || return
        section "$size in batches" "$size" --variants "$BATCH_VARIANTS" --batch "$BATCHES" || return
    done
}

for size in $SIZES; do
    make_checkpoint "$size"
done
report >"$RESULTS.partial" || { rm -f "$RESULTS.partial"; fail "bench failed"; }
mv "$RESULTS.partial" "$RESULTS"
say "wrote $RESULTS"
