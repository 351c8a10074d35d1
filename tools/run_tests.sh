#!/usr/bin/env bash
# run_tests.sh BUILD_DIR [MESON_TEST_OPTION...]: run the tests of a configured build directory.
# The last line is 'N passed, N failed' (and ', N skipped' if any were); timeouts and errors count as failed, and so does
# a run that did not start the tests. The exit code is 0 only if nothing failed and something passed.
set -uo pipefail
. "$(dirname "$0")/common.sh"

[ $# -ge 1 ] || fail "usage: run_tests.sh BUILD_DIR [MESON_TEST_OPTION...]"
cd "$ROOT" || exit 1
build=$1
shift
meson=$(find_meson) || fail "Meson 1.0 or newer is missing; run tools/setup.sh"

log=$build/meson-logs/qasr-tests.json
rm -f "$log"
# one more than the number of cores, since some tests wait for a server or a signal
"$meson" test -C "$build" --print-errorlogs --logbase qasr-tests --num-processes $(($(getconf _NPROCESSORS_ONLN) + 1)) "$@" </dev/null 2>&1
status=$?

# One JSON object per line and test. Meson needs Python, so python3 is available.
python3 - "$log" "$status" <<'EOF'
import json
import sys

path, status = sys.argv[1], int(sys.argv[2])
good, skipped = {"OK", "EXPECTEDFAIL"}, {"SKIP"}
results = []
try:
    with open(path, encoding="utf-8") as log:
        results = [json.loads(line)["result"] for line in log if line.strip()]
except OSError:
    print("no test ran: the build failed or there are no tests", file=sys.stderr)

n_passed = sum(result in good for result in results)
n_skipped = sum(result in skipped for result in results)
n_failed = len(results) - n_passed - n_skipped
if n_failed == 0 and (status != 0 or n_passed == 0):
    n_failed = 1                    # the run itself went wrong
sys.stderr.flush()
print(f"{n_passed} passed, {n_failed} failed" + (f", {n_skipped} skipped" if n_skipped else ""))
sys.exit(1 if n_failed else 0)
EOF
