#!/usr/bin/env bash
# static_library.sh OUTPUT ARCHIVE SYSTEM AR OBJCOPY CC...: makes the static library OUTPUT from all objects in ARCHIVE, as one object
# with local hidden names, so that it defines only the names of its public headers. SYSTEM is Meson's name of the operating system. CC
# is the compiler with the arguments it needs for linking.
set -euo pipefail
out=$1 archive=$2 system=$3 ar=$4 objcopy=$5
shift 5

object=$out.o
trap 'rm -f "$object"' EXIT
rm -f "$out"
case $system in
darwin) # ld makes hidden names local when it links with -r
    "$@" -r -nostdlib -o "$object" -Wl,-all_load "$archive"
    ;;
*)
    "$@" -r -nostdlib -o "$object" -Wl,--whole-archive "$archive" -Wl,--no-whole-archive
    "$objcopy" --localize-hidden "$object"
    ;;
esac
"$ar" rcs "$out" "$object"
