#!/usr/bin/env python3
"""Runs the command-line cases and compares what they print. TAP on standard output.

A case is cases/NAME.sh. It runs under bash in an empty directory, after lib.sh, and must produce
  NAME.exit                       the exit status (no file: 0)
  NAME.stdout.exact / .glob       its standard output, byte for byte, or line by line as shell patterns
  NAME.stderr.exact / .glob       the same for standard error
No file means no output. In patterns a line '...' matches any number of lines. The source folder and the
empty directory appear as ROOT and WORK, those of the layouts and recordings as LAYOUTS and RECORDINGS.
A case must not use files outside its directory, fixed ports or other cases: Meson runs each as a separate test,
several in parallel. A line '# Needs OPTION.' skips it in builds with -DOPTION=disabled.

run.py [--build DIR] [--without OPTION]... [--update] [NAME...]    run these cases, or all
run.py --list                                                       print the names of all cases
run.py --check-list NAME...                                         fail if these are not the names of all cases
--build: the build directory, 'build' if not given. --without: a Meson option that was off when it was configured.
--update rewrites the .exit and .exact files with the current output.
"""
import argparse
import difflib
import fnmatch
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def case_env(build):
    """The variables described in lib.sh, without the user's settings."""
    env = {name: value for name, value in os.environ.items()
           if name not in ("QASR_CPU", "QASR_DATA_DIR", "QASR_MODEL") and not name.startswith("HF_") and not name.lower().endswith("_proxy")}
    return dict(env, QASR=str(build / "cli" / "qasr"), DEMO=str(ROOT / "models" / "demo"), DATA=str(ROOT / "tests" / "data"),
                CASES=str(HERE / "cases"), LAYOUTS=str(build / "tests" / "layouts"),
                RECORDINGS=str(build / "tests" / "recordings"), CONVERT=str(build / "tests" / "convert_audio"), PYTHON=sys.executable,
                TOOL=str(HERE / "tool.py"), HUB_SERVER=str(ROOT / "tests" / "tools" / "hub_server.py"), MAKE_OUTLIERS=str(ROOT / "tests" / "tools" / "make_outliers.py"), LC_ALL="C.UTF-8",
                LSAN_OPTIONS=f"suppressions={ROOT / 'tests' / 'lsan.supp'}:print_suppressions=0")


def run_case(script, build):
    env = case_env(build)
    with tempfile.TemporaryDirectory(prefix="qasr-cli-") as work:
        env["XDG_CACHE_HOME"] = work + "/cache"
        done = subprocess.run(["bash", "-c", 'set -u; . "$0"; . "$1"', str(HERE / "lib.sh"), str(script)], cwd=work,
                              env=env, stdin=subprocess.DEVNULL, capture_output=True)
    for place, name in ((work, b"WORK"), (env["LAYOUTS"], b"LAYOUTS"), (env["RECORDINGS"], b"RECORDINGS"), (str(ROOT), b"ROOT")):  # the same on every machine
        done.stdout = done.stdout.replace(os.fsencode(place), name)
        done.stderr = done.stderr.replace(os.fsencode(place), name)
    return done


def lines_match(lines, patterns):
    """Matches all lines; a pattern '...' matches any number of them."""
    if not patterns:
        return not lines
    if patterns[0] == "...":
        return any(lines_match(lines[i:], patterns[1:]) for i in range(len(lines) + 1))
    return bool(lines) and fnmatch.fnmatchcase(lines[0], patterns[0]) and lines_match(lines[1:], patterns[1:])


def lines_of(data):
    """For a comparison: bytes that are not UTF-8 stay different, and a missing last line end is visible."""
    return [line if line.endswith("\n") else line + "(no line end)" for line in data.decode(errors="backslashreplace").splitlines(True)]


def check_stream(script, stream, got):
    """None if the output is right, else a complaint: a diff. In one of patterns, lines that match are not shown as different."""
    exact, glob = (script.with_suffix(f".{stream}.{kind}") for kind in ("exact", "glob"))
    place = glob if glob.exists() else exact
    wanted = place.read_bytes() if place.exists() else b""
    got_lines, wanted_lines = lines_of(got), lines_of(wanted)
    if place == glob:
        if lines_match(got.decode(errors="replace").splitlines(), wanted.decode().splitlines()):
            return None
        got_lines = [next((p for p in wanted_lines if p != "...\n" and fnmatch.fnmatchcase(line, p)), line) for line in got_lines]
    elif got == wanted:
        return None
    diff = difflib.unified_diff(wanted_lines, got_lines, place.name, "output", n=2)
    return f"{stream} is not as expected\n" + "".join(line.rstrip("\n") + "\n" for line in diff)


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


def needs_one_of(script, without):
    """Does the case say that it needs one of these options?"""
    needs = re.findall(r"^# Needs (.+)\.$", script.read_text(), re.MULTILINE)
    return any(option in without for need in needs for option in need.split(" and "))


def check_case(script, args):
    """The complaints (empty: passed, None: skipped) and the seconds it took."""
    if needs_one_of(script, args.without):
        return None, 0
    begun = time.monotonic()
    done = run_case(script, args.build)
    seconds = time.monotonic() - begun
    if args.update:
        update(script, done)
        return [], seconds
    exit_file = script.with_suffix(".exit")
    wanted = int(exit_file.read_text()) if exit_file.exists() else 0
    complaints = [] if done.returncode == wanted else [f"exit status is {done.returncode}, expected {wanted}"]
    for stream, got in (("stdout", done.stdout), ("stderr", done.stderr)):
        complaints.append(check_stream(script, stream, got))
    return [c for c in complaints if c], seconds


def run_cases(scripts, args):
    """True if all pass."""
    passed = True
    print(f"1..{len(scripts)}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = zip(scripts, pool.map(lambda script: check_case(script, args), scripts))
        for number, (script, (complaints, seconds)) in enumerate(results, 1):
            print(f"{'not ok' if complaints else 'ok'} {number} - {script.stem}{' # SKIP' if complaints is None else ''}")
            print(f"# {seconds:.1f} s")
            for complaint in complaints or []:
                print("# " + complaint.replace("\n", "\n# "), flush=True)
            passed = passed and not complaints
    return passed


def check_list(known, names):
    """Checks that the tests Meson was configured with are exactly the cases in the folder."""
    missing, gone = sorted(set(known) - set(names)), sorted(set(names) - set(known))
    if missing or gone:
        print(f"cases without a test: {missing}, tests without a case: {gone}; configure the build directory again", file=sys.stderr)
    return not missing and not gone


def main():
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--without", action="append", default=[], metavar="OPTION")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--check-list", action="store_true")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    args.build = Path(args.build).resolve()
    scripts = {script.stem: script for script in sorted((HERE / "cases").glob("*.sh"))}
    if args.list:
        print("\n".join(scripts))
        return 0
    if args.check_list:
        return 0 if check_list(scripts, args.names) else 1
    unknown = [name for name in args.names if name not in scripts]
    if unknown:
        parser.error(f"no case '{unknown[0]}' in {HERE / 'cases'}")
    return 0 if run_cases([scripts[name] for name in args.names or scripts], args) else 1


if __name__ == "__main__":
    sys.exit(main())
