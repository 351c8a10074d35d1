#!/bin/sh
# install_as.sh FILE PLACE: installs a built file under another name, PLACE being relative to the prefix
set -eu
install -D -m 644 "$1" "$MESON_INSTALL_DESTDIR_PREFIX/$2"
