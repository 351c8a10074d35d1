#!/usr/bin/env bash
# install.sh BUILD_DIR SOURCE_DIR CAN_QUANTIZE: installs into an empty folder, builds the example program with pkg-config alone, against the
# shared and against the static library, and transcribes a sample with both and with the installed qasr.
set -euo pipefail
build=$1 source=$2 can_quantize=$3
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
# only qasr is linked statically: few systems have static versions of all of libsndfile's dependencies
# shellcheck disable=SC2046
private="$(pkg-config --libs $(pkg-config --print-requires-private qasr)) $(sed -n 's/^Libs.private: //p' "$pc")"
# shellcheck disable=SC2086
${CC:-cc} -std=c99 ${QASR_TEST_CFLAGS:-} "$source/examples/transcribe.c" -o "$dir/transcribe_static" ${flags/-lqasr/"$libdir/libqasr.a"} $private
want="No, the singer is not in the airport."
for run in "$dir/transcribe $source/models/demo" "$dir/transcribe_static $source/models/demo" \
    "$dir$prefix/bin/qasr transcribe --model $source/models/demo"; do
    got=$($run "$source/models/demo/samples/en.flac")
    case $got in
    "$want"*) echo "ok: $got" ;;
    *) echo "unexpected text: $got"; exit 1 ;;
    esac
done
# the installed program finds its clips
if [ "$can_quantize" = true ]; then
    "$dir$prefix/bin/qasr" quantize -i "$source/models/demo" -o "$dir/q8_0.gguf" --verify on | grep '^verified on 16 segments'
fi
