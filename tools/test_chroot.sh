#!/usr/bin/env bash
# test_chroot.sh SUITE [BASE_DIR]: test 'make demo' and 'make test' on a bare Debian of that suite (bookworm, trixie).
# Makes a minimal system with debootstrap (or copies BASE_DIR, which is made first if missing), installs make and git, clones the
# committed state of the project, and runs both; then 'make demo' again without privileges. Needs root and debootstrap.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/chroot.sh"

DEMO_TEXT="No, the singer is not in the airport. Anna dropped a blue bag in the church. I can open it, but I cannot find it.\
 It costs eight dollars and two cents. Who lost my bicycle?"

case ${1:-} in
bookworm | trixie) suite=$1 ;;
*) fail "usage: test_chroot.sh bookworm|trixie [BASE_DIR]" ;;
esac
base=${2:-}
[ "$(id -u)" = 0 ] || fail "needs root"
command -v debootstrap >/dev/null || fail "debootstrap is missing"

work=$(mktemp -d)
system=$work/root
trap 'rm -rf --one-file-system "$work"' EXIT

clone_project()
{
    rm -rf "$system/home/user/qasr"
    git clone --quiet --no-hardlinks "$ROOT" "$system/home/user/qasr"
    chown -R "$1" "$system/home/user"
}

check_demo()
{
    local last
    inside "$system" "$1" 'cd /home/user/qasr && make demo' | tee "$work/demo.out"
    last=$(tail -n 1 "$work/demo.out")
    [ "$last" = "$DEMO_TEXT" ] || fail "$suite: make demo ended with '$last', expected '$DEMO_TEXT'"
}

copy_debian "$suite" "$system" "$base" || exit 1
copy_network_settings "$system"
mkdir -p "$system/home/user"
say "$suite: installing make and git"
inside "$system" 0:0 'apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends make git' >"$work/apt.log" 2>&1 ||
    { tail "$work/apt.log" >&2; fail "could not install make and git"; }

clone_project 0:0
say "$suite: make demo"
check_demo 0:0
say "$suite: make test"
inside "$system" 0:0 'cd /home/user/qasr && make test' || fail "$suite: make test failed"

clone_project 1000:1000
say "$suite: make demo without privileges, with all packages installed"
check_demo 1000:1000
say "$suite: passed"
