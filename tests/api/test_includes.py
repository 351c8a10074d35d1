#!/usr/bin/env python3
"""Dependencies between the folders of src/ point one way (docs/architecture.md), the program sees the public header
only, and third-party headers stay in the .c files that are meant to know them. Argument: the project's root."""
import pathlib
import re
import sys

MAY_INCLUDE = {
    "base": [], "quant": ["base"], "kernels": ["base", "quant"], "weights": ["base", "quant"],
    "audio": ["base", "kernels", "quant"], "text": ["base"], "device": ["base", "quant", "kernels"],
    "model": ["base", "quant", "device", "weights"],
    "engine": ["base", "quant", "device", "weights", "model", "audio", "text"],
    "": ["base", "quant", "device", "kernels", "weights", "model", "audio", "text", "engine"],
}
THIRD_PARTY = {"ggml.h", "ggml-alloc.h", "ggml-backend.h", "sndfile.h", "soxr.h", "jansson.h", "utf8proc.h", "pcre2.h"}
PROGRAM_THIRD_PARTY = {"curl": "fetch.c", "openssl": "hash.c"}  # folder of headers: the file of cli/ that knows them

root = pathlib.Path(sys.argv[1])
errors = []


def check(path, folder):
    for line in path.read_text(encoding="utf-8").splitlines():
        match = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
        if not match:
            continue
        name = match.group(1)
        where = name.rpartition("/")[0].split("/")[0]
        if folder != "cli" and name in THIRD_PARTY and path.suffix == ".h":
            errors.append(f"{path}: third-party header '{name}' in a header")
        if folder == "cli" and PROGRAM_THIRD_PARTY.get(where) == path.name:
            continue
        if folder == "cli" and (where not in ("", "qasr", "sys") or (where == "" and (root / "src" / name).exists())):
            errors.append(f"{path}: the program includes '{name}', only qasr/qasr.h is for it")
        if folder != "cli" and where in MAY_INCLUDE and where and where != folder and where not in MAY_INCLUDE[folder]:
            errors.append(f"{path}: src/{folder} must not include '{name}'")


n_files = 0
for path in sorted(root.glob("src/**/*.[ch]")):
    parts = path.relative_to(root / "src").parts
    check(path, parts[0] if len(parts) > 1 else "")
    n_files += 1
for path in sorted(root.glob("cli/*.[ch]")):
    check(path, "cli")
    n_files += 1
print("\n".join(errors) if errors else f"{n_files} files keep the order of folders")
sys.exit(1 if errors or n_files < 40 else 0)
