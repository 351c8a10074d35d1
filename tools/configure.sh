#!/usr/bin/env bash
# configure.sh BUILD_DIR [MESON_OPTION...]: create or reconfigure the Meson build directory BUILD_DIR with these options.
set -euo pipefail
. "$(dirname "$0")/common.sh"

[ $# -ge 1 ] || fail "usage: configure.sh BUILD_DIR [MESON_OPTION...]"
build=$1
shift
meson=$(find_meson) || fail "Meson 1.0 or newer is missing; run tools/setup.sh"
cd "$ROOT"
options=("$@")
if [ -f "$build/build.ninja" ]; then
    # without this, Meson does not search again for libraries that were missing before
    [ ${#options[@]} -gt 0 ] || exit 0
    options+=(--reconfigure)
fi
"$meson" setup "$build" "${options[@]}"
