#!/usr/bin/env bash
# make_deb.sh DIRECTORY: builds Debian packages of the committed state in DIRECTORY: qasr, libqasr1, libqasr-dev. The maintainer is
# MAINTAINER='Name <address>', by default the author of the last commit.
set -euo pipefail
. "$(dirname "$0")/common.sh"

out=${1:?usage: make_deb.sh DIRECTORY}
mkdir -p "$out"
out=$(cd "$out" && pwd)
missing=$(for program in dpkg-buildpackage dh; do command -v $program >/dev/null || echo $program; done)
[ -z "$missing" ] || fail "missing: ${missing//$'\n'/, }; as root: apt-get install dpkg-dev debhelper"

version=$(sed -n "s/^ *version: '\(.*\)',$/\1/p" "$ROOT/meson.build" | head -n 1)
maintainer=${MAINTAINER:-$(git -C "$ROOT" log -1 --format='%an <%ae>')}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/qasr-$version
mkdir "$tree"
git -C "$ROOT" archive HEAD | tar -x -C "$tree"
cp -r "$tree/packaging/debian" "$tree/debian"
sed "s/@MAINTAINER@/$maintainer/" "$tree/debian/control.in" >"$tree/debian/control"
rm "$tree/debian/control.in"
sed '1,4d; s/^$/./; s/^/ /' "$tree/LICENSE" >>"$tree/debian/copyright"
cat >"$tree/debian/changelog" <<END
qasr ($version) unstable; urgency=medium

  * Version $version.

 -- $maintainer  $(git -C "$ROOT" log -1 --format=%cD)
END
say "building packages of version $version"
(cd "$tree" && dpkg-buildpackage -b -us -uc -ui) >"$work/build.log" 2>&1 || { tail -n 40 "$work/build.log" >&2; fail "dpkg-buildpackage failed (see above)"; }
rm -f "$out"/*.deb "$out"/*.changes "$out"/*.buildinfo
mv "$work"/*.deb "$work"/*.changes "$work"/*.buildinfo "$out"
ls "$out"
