#!/bin/bash
# Benchmarks the kernels of this tree and of another commit in alternating runs, and compares the times.
#
#   bench/kernels.sh BASE [--rounds N] [-- CHECKKERNELS-ARGUMENTS]     e.g. bench/kernels.sh HEAD~1 -- --only gemv_q4_0 avx512vnni
#
# The benchmark cases are those of the tests (tests/kernels), so every benchmarked kernel is tested. BASE is built in a temporary
# worktree.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/common.sh

base=${1:?usage: bench/kernels.sh BASE [--rounds N] [-- ARGUMENTS of checkkernels]}
shift
rounds=3
if [ "${1:-}" = --rounds ]; then
    rounds=$2
    shift 2
fi
[ "${1:-}" = -- ] && shift

work=$(mktemp -d)
trap 'git worktree remove --force "$work/base" 2>/dev/null || true; rm -rf "$work"' EXIT
git worktree add --quiet --detach "$work/base" "$base"

build() { # TREE OUTPUT
    (cd "$1" && "$(find_meson)" setup --buildtype=release -Dtests=enabled "$2" && ninja -C "$2" tests/kernels/checkkernels) >"$2.log" 2>&1 ||
        { tail -20 "$2.log" >&2; exit 1; }
}
build "$work/base" "$work/before"
build . "$work/after"
for ((i = 1; i <= rounds; i++)); do
    for side in before after; do
        "$work/$side/tests/kernels/checkkernels" --bench --json "$@" >"$work/$side-$i.json" 2>/dev/null
    done
done
python3 bench/compare.py --before "$work"/before-*.json --after "$work"/after-*.json
