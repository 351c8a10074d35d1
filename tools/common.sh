# Sourced by the scripts in this folder: the project's root, messages, the Meson to call.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$ROOT/.venv

say() { printf '== %s\n' "$*" >&2; }
fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# meson_is_new_enough PROGRAM: meson.build requires 1.0
meson_is_new_enough()
{
    local version
    version=$("$1" --version 2>/dev/null) && [ "${version%%.*}" -ge 1 ] 2>/dev/null
}

# Prints the Meson to call: the system's, else the one that setup.sh installed into .venv.
find_meson()
{
    local program
    for program in meson "$VENV/bin/meson"; do
        if meson_is_new_enough "$program"; then
            printf '%s\n' "$program"
            return 0
        fi
    done
    return 1
}

# make_checkpoint SIZE: make models/random-SIZE unless it exists; the current directory is the project's root. Written under another
# name first, so that an interrupted run leaves no incomplete checkpoint.
make_checkpoint()
{
    local dir=models/random-$1 python=$VENV/bin/python3
    [ -d "$dir" ] && return
    "$python" -c 'import numpy' 2>/dev/null || fail "numpy is missing in .venv; run tools/venv.sh"
    say "making $dir"
    rm -rf "$dir.partial"
    "$python" tools/make_random_checkpoint.py --size "$1" --out "$dir.partial"
    mv "$dir.partial" "$dir"
}
