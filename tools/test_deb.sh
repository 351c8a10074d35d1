#!/usr/bin/env bash
# test_deb.sh DIRECTORY [BASE_DIR]: test the packages in DIRECTORY (make deb). Runs lintian, installs them in a bare Debian of this
# machine's suite, where the program must transcribe and show its manual page, and a program must link with the library; then removes
# them. Needs root, debootstrap and lintian. BASE_DIR: see test_chroot.sh.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/chroot.sh"

packages=${1:?usage: test_deb.sh DIRECTORY [BASE_DIR]}
base=${2:-}
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
[ "$(id -u)" = 0 ] || fail "needs root"
for program in debootstrap lintian; do
    command -v $program >/dev/null || fail "$program is missing; apt-get install $program"
done
work=$(mktemp -d)
system=$work/root
trap 'rm -rf --one-file-system "$work"' EXIT

say "lintian"
# these checks depend on the packager, not on the project
lintian --fail-on error,warning --suppress-tags bogus-mail-host,initial-upload-closes-no-bugs "$packages"/*.changes

copy_debian "$suite" "$system" "$base" || exit 1
copy_network_settings "$system"
mkdir -p "$system/home/user/debs"
cp "$packages"/*.deb "$system/home/user/debs"
rm -f "$system/home/user/debs"/*-dbgsym_*
cp -rL "$ROOT/models/demo" "$ROOT/examples/transcribe.c" "$system/home/user/"
say "installing in a bare $suite"
inside "$system" 0:0 'apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends /home/user/debs/*.deb gcc libc6-dev pkg-config' \
    >"$work/apt.log" 2>&1 || { tail -n 20 "$work/apt.log" >&2; fail "installation failed"; }
text=$(inside "$system" 1000:1000 'qasr transcribe --model ~/demo ~/demo/samples/en.flac')
say "transcript: $text"
[[ $text == *"Anna dropped a blue bag in the church."* ]] || fail "the installed program printed '$text'"
linked=$(inside "$system" 0:0 'cd ~ && cc transcribe.c -o t $(pkg-config --cflags --libs qasr) && ./t demo demo/samples/en.flac')
[ "$linked" = "$text" ] || fail "a program linked with the library printed '$linked'"
inside "$system" 0:0 'dpkg -L qasr | grep -q man1/qasr-transcribe.1 && DEBIAN_FRONTEND=noninteractive apt-get -q -y purge qasr libqasr-dev libqasr1 && ! command -v qasr' \
    >"$work/purge.log" 2>&1 || { tail "$work/purge.log" >&2; fail "removal failed"; }
say "passed"
