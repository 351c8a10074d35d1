#!/usr/bin/env bash
# no_quantize.sh SOURCE_DIR: builds a minimal program with -Dquantize=disabled from scratch. It must transcribe, and report in one
# line what it lacks.
set -euo pipefail
source=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# low optimization, since the build takes most of the time
meson setup "$dir/build" "$source" --buildtype=plain -Doptimization=1 -Dquantize=disabled -Dtests=disabled -Dpull=disabled -Dggml=disabled \
    >"$dir/log" 2>&1 && ninja -C "$dir/build" cli/qasr >>"$dir/log" 2>&1 || { tail -n 40 "$dir/log"; exit 1; }
qasr=$dir/build/cli/qasr

# expect STATUS OUTPUT COMMAND...: the command must print one line, which starts with OUTPUT
expect() {
    local status=0 wanted_status=$1 wanted=$2 got
    shift 2
    got=$("$@" 2>&1) || status=$?
    if [ "$status" != "$wanted_status" ] || [[ $got != "$wanted"* ]] || [[ $got == *$'\n'* ]]; then
        printf '%s: exit status %s, output:\n%s\nexpected status %s and one line:\n%s\n' "$*" "$status" "$got" "$wanted_status" "$wanted"
        exit 1
    fi
}
demo=$source/models/demo
expect 0 "No, the singer is not in the airport." "$qasr" transcribe --model "$demo" "$demo/samples/en.flac"
expect 1 "qasr: cannot quantize: qasr was built without quantization (-Dquantize=disabled)" \
    "$qasr" quantize --input "$demo" --output "$dir/out.gguf"
expect 1 "qasr: cannot calibrate: qasr was built without quantization (-Dquantize=disabled)" \
    "$qasr" calibrate --model "$demo" --output "$dir/out.gguf" "$demo/samples/en.flac"
expect 1 "qasr: cannot --quantize: qasr was built without quantization (-Dquantize=disabled)" \
    "$qasr" pull 0.6b --quantize q8_0 --dir "$dir/model"
if [ -e "$dir/out.gguf" ] || [ -e "$dir/model" ]; then echo "something was written"; exit 1; fi
echo "ok"
