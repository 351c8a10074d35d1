#!/usr/bin/env bash
# make_formula.sh URL TARBALL: prints the Homebrew formula for the release whose source tarball TARBALL is published at URL
# ('git archive --prefix=qasr/ -o TARBALL HEAD' makes one). HOMEPAGE is the URL's site unless it is set.
set -euo pipefail
. "$(dirname "$0")/common.sh"

[ $# = 2 ] || fail "usage: make_formula.sh URL TARBALL"
[ -r "$2" ] || fail "cannot read '$2'"
version=$(sed -n "s/^ *version: '\(.*\)',$/\1/p" "$ROOT/meson.build" | head -n 1)
homepage=${HOMEPAGE:-$(sed -E 's#^([a-z]+://[^/]+(/[^/]+){0,2}).*#\1#' <<<"$1")}
sum=$({ sha256sum "$2" 2>/dev/null || shasum -a 256 "$2"; } | cut -d ' ' -f 1)
sed "s#@URL@#$1#; s#@HOMEPAGE@#$homepage#; s#@VERSION@#$version#; s#@SHA256@#$sum#" "$ROOT/packaging/homebrew/qasr.rb.in"
