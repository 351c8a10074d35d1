#!/usr/bin/env bash
# static_library.sh OUTPUT ARCHIVE SYSTEM AR OBJCOPY CC...: makes the static library OUTPUT of all objects in ARCHIVE, as one object
# in which hidden names are local, so that the library defines no name but those of its public headers. SYSTEM is Meson's name of
# the operating system. CC is the compiler and the arguments it needs to link.
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
