#!/usr/bin/env python3
"""Checks that folders depend in one direction (docs/architecture.md), that no files include each other in a circle, that programs
see public headers only (and SHARED), and that third-party headers stay in the .c files meant for them.
Argument: the project's root."""
import pathlib
import re
import sys

# What the folders of the library may include besides themselves; subfolders are listed where they differ.
LIBRARY = {
    "base": [], "quant": ["base"], "kernels": ["base", "quant"], "weights": ["base", "quant"],
    "text": ["base"], "audio": ["base", "quant", "kernels", "text"],
    "device": ["base", "quant", "kernels"],
    "model": ["base", "quant", "device", "weights"],
    "engine": ["base", "quant", "device", "weights", "model", "audio", "text"],
    "inspect": ["base", "quant", "weights", "model", "text"],
    "quantize": ["base", "quant", "kernels", "device", "weights", "model", "audio", "text", "engine"],
    "api": ["base", "quant", "kernels", "device", "weights", "model", "audio", "text", "engine", "inspect", "quantize"],
}
# The same for programs, which include public headers, app/ and their own files.
PROGRAMS = {"app": [], "cli": ["app"]}
# Headers of the library that programs may include: small helpers that know nothing about speech.
SHARED = {"base/distribution.h", "base/temp_file.h"}
# Folders that must not see their sibling folders: device drivers, groups of commands.
APART = {"device/cpu", "device/ggml", "cli/advise", "cli/bench", "cli/eval", "cli/pull", "cli/transcribe"}

THIRD_PARTY = {"ggml.h", "ggml-alloc.h", "ggml-backend.h", "sndfile.h", "mpg123.h", "FLAC/stream_decoder.h", "soxr.h", "jansson.h", "utf8proc.h", "pcre2.h"}
PROGRAM_THIRD_PARTY = {"curl": "fetch.c", "openssl": "hash.c"}  # folder of headers: the only file that includes them

root = pathlib.Path(sys.argv[1])
errors = []
includes = {}  # file without its endings: set of the same, for circles


def module(path):
    """src/device/cpu/gemm.c, its header and its .inc.h are one module, device/cpu/gemm."""
    return re.sub(r"(\.inc)?\.[ch]$", "", path)


def check(path, key, allowed):
    top, folder = key.split("/")[0], key.rpartition("/")[0]
    in_program = top in PROGRAMS
    for line in path.read_text(encoding="utf-8").splitlines():
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not match:
            continue
        name = match.group(2)
        of_top, of_folder = name.split("/")[0], name.rpartition("/")[0]
        if name in THIRD_PARTY and path.suffix == ".h":
            errors.append(f"{path}: third-party header '{name}' in a header")
        if of_top in PROGRAM_THIRD_PARTY and PROGRAM_THIRD_PARTY[of_top] != path.name:
            errors.append(f"{path}: '{name}' is for {PROGRAM_THIRD_PARTY[of_top]} only")
        if match.group(1) == "<" or of_top == "qasr" or (in_program and name in SHARED):
            continue
        known = PROGRAMS if in_program else LIBRARY
        if of_top not in known:
            if in_program or "/" in name:
                errors.append(f"{path}: unknown folder of '{name}'")
            continue
        if of_top != top and of_top not in allowed:
            errors.append(f"{path}: {top}/ must not include '{name}'")
        if of_top == top and of_folder in APART and folder in APART and of_folder != folder:
            errors.append(f"{path}: {folder}/ must not include '{name}'")
        if module(name) != module(key):
            includes.setdefault(module(key), set()).add(module(name))


def find_circle():
    """Depth-first search; a module that is already on the path closes a circle."""
    done, way = set(), []

    def walk(at):
        if at in way:
            return way[way.index(at):] + [at]
        if at in done:
            return None
        way.append(at)
        circle = next(filter(None, map(walk, sorted(includes.get(at, ())))), None)
        way.pop()
        done.add(at)
        return circle

    return next(filter(None, map(walk, sorted(includes))), None)


n_files = 0
for base, known in ((root / "src", LIBRARY), (root, PROGRAMS)):
    for top, allowed in known.items():
        for path in sorted((base / top).glob("**/*.[ch]")):
            check(path, str(path.relative_to(base)), allowed)
            n_files += 1
unlisted = {p.name for p in (root / "src").iterdir() if p.is_dir()} - set(LIBRARY)
errors += [f"src/{name}/ is missing from the order of folders" for name in sorted(unlisted)]
circle = find_circle()
if circle:
    errors.append("a circle of includes: " + " > ".join(circle))
print("\n".join(errors) if errors else f"{n_files} files follow the order of folders, without circles")
sys.exit(1 if errors or n_files < 150 else 0)
