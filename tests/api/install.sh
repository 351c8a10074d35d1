#!/usr/bin/env bash
# install.sh BUILD_DIR SOURCE_DIR: installs into an empty folder, builds the example program against it with pkg-config
# alone, and transcribes a sample with it and with the installed qasr.
set -euo pipefail
build=$1 source=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
meson install -C "$build" --no-rebuild --destdir "$dir" >"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }
pc=$(find "$dir" -name qasr.pc)
prefix=$(sed -n 's/^prefix=//p' "$pc")
libdir=$(dirname "$(find "$dir" -name 'libqasr.so' -o -name 'libqasr.dylib' | head -1)")
export PKG_CONFIG_PATH=$(dirname "$pc"):${PKG_CONFIG_PATH:-}
flags=$(pkg-config --define-variable=prefix="$dir$prefix" --cflags --libs qasr)
# shellcheck disable=SC2086
${CC:-cc} -std=c99 ${QASR_TEST_CFLAGS:-} "$source/examples/transcribe.c" -o "$dir/transcribe" $flags -Wl,-rpath,"$libdir"
want="No, the singer is not in the airport."
for run in "$dir/transcribe $source/models/demo" "$dir$prefix/bin/qasr transcribe --model $source/models/demo"; do
    got=$($run "$source/models/demo/samples/en.flac")
    case $got in
    "$want"*) echo "ok: $got" ;;
    *) echo "unexpected text: $got"; exit 1 ;;
    esac
done
# nothing but the public names is visible
nm -D --defined-only "$libdir"/libqasr.so* 2>/dev/null | awk '{print $3}' | sed 's/@.*//' | sort -u | grep -v '^qasr_' | grep -vE '^(_init|_fini|$)' >"$dir/leaks" || true
if [ -s "$dir/leaks" ]; then echo "the shared library exports more than qasr_*:"; cat "$dir/leaks"; exit 1; fi
