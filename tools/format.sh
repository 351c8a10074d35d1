#!/usr/bin/env bash
# format.sh [--check]: format all C files, or with --check only list those that need it. Uses the clang-format of
# tools/requirements.txt, because versions differ in details. Exits with 77 if it is missing.
set -euo pipefail
. "$(dirname "$0")/common.sh"

clang_format=$VENV/bin/clang-format
if ! "$clang_format" --version >/dev/null 2>&1; then
    say "clang-format is missing or does not run: tools/venv.sh installs it"
    exit 77
fi
cd "$ROOT"
mapfile -t files < <(find app bench cli examples include src tests -name '*.[ch]' | sort)
[ ${#files[@]} -gt 200 ] || fail "only ${#files[@]} C files found"
if [ "${1:-}" != --check ]; then
    "$clang_format" -i "${files[@]}"
    exit
fi
"$clang_format" --dry-run -Werror "${files[@]}" || fail "some files are not formatted; run 'make format'"
say "${#files[@]} files are formatted"
