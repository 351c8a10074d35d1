#!/usr/bin/env bash
# Make .venv with the Python packages of tools/requirements.txt, for tests that compare with them.
# Without access to PyPI, prints a message and succeeds; tests that need the packages are then skipped.
set -euo pipefail
. "$(dirname "$0")/common.sh"

requirements=$ROOT/tools/requirements.txt
stamp=$VENV/.qasr-requirements

is_current() { cmp -s "$requirements" "$stamp" && "$VENV/bin/python3" -c 'import gguf, jiwer, numpy, safetensors, srt, webvtt' 2>/dev/null; }

if is_current; then
    exit 0
fi
say "installing Python packages for the tests into .venv"
rm -f "$stamp"
# recreate a venv whose Python no longer exists
"$VENV/bin/python3" -m pip --version >/dev/null 2>&1 || "${PYTHON:-python3}" -m venv --clear "$VENV" ||
    fail "could not make a virtual environment in '$VENV'; on Debian and Ubuntu install python3-venv"
if "$VENV/bin/python3" -m pip install --quiet --disable-pip-version-check --retries 2 --only-binary :all: --no-binary srt \
    -r "$requirements" >&2; then
    cp "$requirements" "$stamp"
else
    say "the Python packages could not be installed (is PyPI out of reach?): the tests that need them will be skipped"
fi
