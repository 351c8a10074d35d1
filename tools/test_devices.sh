#!/usr/bin/env bash
# test_devices.sh [DIR]: build with ggml and test its CPU device, and Vulkan with the software driver, in a Debian 13, whose backports
# have ggml. The last line is 'N passed, N failed, N skipped'. The system and the build stay in DIR for the next run (default:
# qasr-trixie-ggml in TMPDIR or /var/tmp). If no such system can be made, everything is skipped, and a message says why.
set -uo pipefail
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/chroot.sh"

system=${1:-${TMPDIR:-/var/tmp}/qasr-trixie-ggml}
BUILD_PACKAGES='gcc libc6-dev pkg-config meson ninja-build libsndfile1-dev libsoxr-dev libjansson-dev libutf8proc-dev libpcre2-dev libcmocka-dev python3 mesa-vulkan-drivers'
GGML_PACKAGES='libggml-dev libggml0-backend-vulkan'

skip()
{
    say "ggml devices not tested: $*"
    echo '0 passed, 0 failed, 1 skipped'
    exit 0
}

install_packages()
{
    local log
    [ ! -e "$system/etc/qasr-packages" ] || [ "$(cat "$system/etc/qasr-packages")" != "$BUILD_PACKAGES $GGML_PACKAGES" ] || return 0
    log=$(mktemp)
    echo "deb $(debian_mirror) trixie-backports main" >"$system/etc/apt/sources.list.d/backports.list"
    say "installing ggml and the build dependencies"
    # shellcheck disable=SC2086  # lists of words
    inside "$system" 0:0 "export DEBIAN_FRONTEND=noninteractive
        apt-get -q update && apt-get -q -y install --no-install-recommends $BUILD_PACKAGES &&
        apt-get -q -y install --no-install-recommends -t trixie-backports $GGML_PACKAGES" >"$log" 2>&1 ||
        { tail "$log" >&2; rm -f "$log"; return 1; }
    rm -f "$log"
    echo "$BUILD_PACKAGES $GGML_PACKAGES" >"$system/etc/qasr-packages"
}

[ "$(id -u)" = 0 ] || skip "making a Debian 13 needs root"
[ -e "$system/etc/debian_version" ] || "$ROOT/tools/setup.sh" --devices || skip "debootstrap could not be installed (see above)"
[ -e "$system/etc/debian_version" ] || make_debian trixie "$system" || skip "no Debian 13 could be made (see above)"
copy_network_settings "$system"
install_packages || skip "packages could not be installed (see above)"

# Ninja compares times: files built from another checkout may be newer than changed sources in this one.
of=$system/home/user/build-of
if [ "$(cat "$of" 2>/dev/null)" != "$ROOT" ]; then
    rm -rf --one-file-system "$system/home/user/build"
    echo "$ROOT" >"$of"
fi

# The software driver must be requested explicitly; it compiles faster without optimization, and caches its shaders.
inside "$system" 0:0 'export GGML_VK_VISIBLE_DEVICES=0 GALLIVM_PERF=nopt
    cd /home/user/project && tools/configure.sh /home/user/build --buildtype=release -Dtests=enabled -Dggml=enabled >/home/user/configure.log ||
        { cat /home/user/configure.log; exit 1; }
    # Meson builds only the tests of the suite
    ninja -C /home/user/build cli/qasr >/home/user/build.log || { tail -n 50 /home/user/build.log; exit 1; }
    /home/user/build/cli/qasr devices
    tools/run_tests.sh /home/user/build --suite device'
