#!/usr/bin/env bash
# fuzz.sh BUILD_DIR SECONDS [TARGET...]: run the fuzz targets of a build with -Dfuzz=true one after the other, each for SECONDS.
# The corpus of each target stays in BUILD_DIR/learned for the next run; failing inputs go to BUILD_DIR/findings. The last line is
# 'N passed, N failed'; the exit code is 0 only if nothing was found.
set -uo pipefail
. "$(dirname "$0")/common.sh"

[ $# -ge 2 ] || fail "usage: fuzz.sh BUILD_DIR SECONDS [TARGET...]"
cd "$ROOT" || exit 1
build=$1 seconds=$2
shift 2
case $seconds in '' | *[!0-9]*) fail "'$seconds': expected a number of seconds" ;; esac
[ $# -gt 0 ] || set -- $(cd tests/fuzz && printf '%s\n' fuzz_*.c | sed 's/^fuzz_\(.*\)\.c$/\1/')

export LSAN_OPTIONS=print_suppressions=0:suppressions=$ROOT/tests/lsan.supp

n_passed=0 n_failed=0
mkdir -p "$build/findings"
for target; do
    learned=$build/learned/$target log=$build/learned/$target.log
    mkdir -p "$learned"
    seeds=("$build/tests/fuzz/corpus/$target")
    [ ! -d "tests/fuzz/corpus/$target" ] || seeds+=("tests/fuzz/corpus/$target")
    say "$target: $seconds s"
    # drops the target's own output (3: both streams), keeps that of libFuzzer and the sanitizers
    if "$build/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=2048 -close_fd_mask=3 \
        -artifact_prefix="$build/findings/$target-" "$learned" "${seeds[@]}" >"$log" 2>&1; then
        n_passed=$((n_passed + 1))
        grep -a 'DONE  ' "$log"
    else
        n_failed=$((n_failed + 1))
        grep -a -A 20 -E 'ERROR|runtime error|does not hold' "$log" | head -n 30
        grep -a 'Test unit written to' "$log"
    fi
done
printf '%d passed, %d failed\n' $n_passed $n_failed
[ $n_failed = 0 ]
