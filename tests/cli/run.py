#!/usr/bin/env python3
"""Runs the command-line cases and compares what they give. TAP on standard output.

A case is cases/NAME.sh. It runs under bash in an empty directory, with lib.sh read in first, and must give
  NAME.exit                       the exit status (no file: 0)
  NAME.stdout.exact / .glob       its standard output, byte for byte, or line by line as shell patterns
  NAME.stderr.exact / .glob       the same for standard error
No file means no output. In patterns a line '...' stands for any number of lines. The source folder and the
empty directory show up as ROOT and WORK, the folder of the layouts as LAYOUTS.

run.py --qasr PROGRAM --root SOURCE_ROOT --layouts DIR --convert PROGRAM [--skip PATTERN]... [--update] [NAME...]
--layouts: what tests/tools/make_layouts.py wrote. --convert: convert_audio of tests/tools.
--skip: cases whose names match are not run, since the program was built without what they test; may be repeated.
--update rewrites the .exit and .exact files with what the program gives now.
"""
import argparse
import fnmatch
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 300


def run_case(script, args):
    env = dict(os.environ, QASR=os.path.abspath(args.qasr), DEMO=str(Path(args.root) / "models" / "demo"),
               DATA=str(Path(args.root) / "tests" / "data"), TOOL=str(HERE / "tool.py"), LAYOUTS=os.path.abspath(args.layouts),
               CONVERT=os.path.abspath(args.convert), LC_ALL="C.UTF-8",
               LSAN_OPTIONS=f"suppressions={HERE.parent / 'lsan.supp'}:print_suppressions=0")
    env["HUB_SERVER"] = str(HERE.parent / "tools" / "hub_server.py")
    for name in list(env):  # what the user has set up is not what is tested
        if name in ("QASR_CPU", "QASR_MODEL") or name.startswith("HF_") or name.lower().endswith("_proxy"):
            del env[name]
    with tempfile.TemporaryDirectory(prefix="qasr-cli-") as work:
        env["XDG_CACHE_HOME"] = work + "/cache"
        done = subprocess.run(["bash", "-c", 'set -u; . "$0"; . "$1"', str(HERE / "lib.sh"), str(script)], cwd=work,
                              env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S)
    for place, name in ((work, b"WORK"), (os.path.abspath(args.layouts), b"LAYOUTS"), (args.root, b"ROOT")):  # the same on every machine
        done.stdout = done.stdout.replace(os.fsencode(place), name)
        done.stderr = done.stderr.replace(os.fsencode(place), name)
    return done


def lines_match(lines, patterns):
    """Whole-list match; a pattern '...' takes any number of lines."""
    if not patterns:
        return not lines
    if patterns[0] == "...":
        return any(lines_match(lines[i:], patterns[1:]) for i in range(len(lines) + 1))
    return bool(lines) and fnmatch.fnmatchcase(lines[0], patterns[0]) and lines_match(lines[1:], patterns[1:])


def check_stream(script, stream, got):
    """None if right, else what is wrong."""
    exact, glob = (script.with_suffix(f".{stream}.{kind}") for kind in ("exact", "glob"))
    if glob.exists():
        good = lines_match(got.decode(errors="replace").splitlines(), glob.read_text().splitlines())
        wanted = glob.read_bytes()
    else:
        wanted = exact.read_bytes() if exact.exists() else b""
        good = got == wanted
    if good:
        return None
    return f"{stream} is\n{got.decode(errors='replace')}\nexpected\n{wanted.decode(errors='replace')}"


def update(script, done):
    exit_file = script.with_suffix(".exit")
    exit_file.write_text(f"{done.returncode}\n")
    if done.returncode == 0:
        exit_file.unlink()
    for stream, got in (("stdout", done.stdout), ("stderr", done.stderr)):
        exact = script.with_suffix(f".{stream}.exact")
        if script.with_suffix(f".{stream}.glob").exists():
            continue
        exact.write_bytes(got)
        if not got:
            exact.unlink()


def check_case(script, args):
    """List of complaints, empty if the case passes, None if it is not run."""
    if any(fnmatch.fnmatchcase(script.stem, pattern) for pattern in args.skip):
        return None
    try:
        done = run_case(script, args)
    except subprocess.TimeoutExpired:
        return [f"no end after {TIMEOUT_S} s"]
    if args.update:
        update(script, done)
        return []
    exit_file = script.with_suffix(".exit")
    wanted = int(exit_file.read_text()) if exit_file.exists() else 0
    complaints = [] if done.returncode == wanted else [f"exit status is {done.returncode}, expected {wanted}"]
    for stream, got in (("stdout", done.stdout), ("stderr", done.stderr)):
        complaints.append(check_stream(script, stream, got))
    return [c for c in complaints if c]


def timed_check(script, args):
    """What check_case says, and the seconds that it took."""
    begun = time.monotonic()
    complaints = check_case(script, args)
    return complaints, time.monotonic() - begun


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--qasr", required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--layouts", required=True)
    parser.add_argument("--skip", action="append", default=[])
    parser.add_argument("--convert", required=True)
    parser.add_argument("--update", action="store_true")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    args.root = os.path.abspath(args.root)
    scripts = sorted(s for s in (HERE / "cases").glob("*.sh") if not args.names or s.stem in args.names)
    failed = not scripts
    print(f"1..{len(scripts)}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = zip(scripts, pool.map(lambda script: timed_check(script, args), scripts))
        for number, (script, (complaints, seconds)) in enumerate(results, 1):
            print(f"{'not ok' if complaints else 'ok'} {number} - {script.stem}{' # SKIP' if complaints is None else ''}")
            print(f"# {seconds:.1f} s")
            for complaint in complaints or []:
                print("# " + complaint.replace("\n", "\n# "), flush=True)
            failed = failed or bool(complaints)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
