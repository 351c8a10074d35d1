#!/usr/bin/env bash
# test_aarch64.sh BUILD_DIR: build the kernels for 64-bit ARM and run the tests of each level under emulation, on the weakest
# processor that has it, where instructions of higher levels crash. The last line is 'N passed, N failed'. Without a cross compiler
# or an emulator everything is skipped, and the last line says so; a level skipped on a processor that has it counts as failed.
set -uo pipefail
. "$(dirname "$0")/common.sh"

[ $# = 1 ] || fail "usage: test_aarch64.sh BUILD_DIR"
build=$1

skip()
{
    say "ARM kernels not tested: $*"
    echo '0 passed, 0 failed, 1 skipped'
    exit 0
}

case $(uname -m) in
aarch64 | arm64) skip "this is an ARM machine, where 'make test' covers them" ;;
esac
"$ROOT/tools/setup.sh" --aarch64 || skip "no cross compiler or no emulator, and they could not be installed (see above)"

"$ROOT/tools/configure.sh" "$build" --cross-file "$ROOT/tools/cross/aarch64.ini" --buildtype=release -Dkernels_only=true ||
    fail "could not configure '$build'"

n_passed=0 n_failed=0

# run_on PROCESSOR TEST...
run_on()
{
    local processor=$1 output last
    shift
    say "on an emulated $processor"
    output=$(mktemp)
    QEMU_CPU=$processor "$ROOT/tools/run_tests.sh" "$build" "$@" | tee "$output"
    last=$(tail -n 1 "$output")
    rm -f "$output"
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
        n_passed=$((n_passed + BASH_REMATCH[1]))
        n_failed=$((n_failed + BASH_REMATCH[2] + ${BASH_REMATCH[4]:-0}))
    else
        n_failed=$((n_failed + 1))
    fi
}

run_on cortex-a53 kernels_scalar kernels_neon
run_on cortex-a76 kernels_dotprod
run_on max kernels_i8mm
echo "$n_passed passed, $n_failed failed"
[ $n_failed = 0 ]
