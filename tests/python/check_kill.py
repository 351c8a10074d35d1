#!/usr/bin/env python3
"""Kills the program with SIGKILL at moments spread over its run: the output file must then be absent, unchanged or complete, byte for
byte, and temporary files must be harmless.

check_kill.py --qasr PROGRAM --model DEMO_MODEL --clip AUDIO [--kills N]
"""
import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LEFTOVER = re.compile(r"\.[A-Za-z0-9]{6}(\.tmp)?$")  # after the name of the output file
complaints = []


def complain(name, what):
    complaints.append(f"{name}: {what}")


def run(command, cwd):
    return subprocess.run(command, cwd=cwd, capture_output=True, timeout=120)


def kill_after(command, cwd, seconds):
    """True if it was killed, False if it exited before."""
    child = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        child.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
    return child.wait() == -signal.SIGKILL


def leftovers(folder, target):
    return [p for p in folder.iterdir() if p != target and p.name.startswith(target.name)]


def check_leftover(name, path, target, wanted, args):
    """Its name matches nothing that programs look for, and it is not a valid GGUF file unless only the final rename was missing."""
    if not LEFTOVER.fullmatch(path.name[len(target.name):]):
        complain(name, f"left '{path.name}'")
    if target.suffix == ".gguf" and path.read_bytes() != wanted:
        done = run([args.qasr, "info", str(path)], path.parent)
        if done.returncode != 1:
            complain(name, f"'{path.name}', a leftover, opens: status {done.returncode}")


def check_atomic(name, command, target, args):
    """A file that is renamed into place at the end."""
    started = time.monotonic()
    done = run(command, target.parent)
    duration = time.monotonic() - started
    if done.returncode != 0:
        return complain(name, f"status {done.returncode}: {done.stderr.decode(errors='replace').strip()}")
    wanted = target.read_bytes()
    old = wanted + bytes(32)  # of the kind that the command may replace
    n_killed = n_old = n_whole = 0
    for i in range(args.kills):
        target.unlink(missing_ok=True)
        if i % 2:
            target.write_bytes(old)
        n_killed += kill_after(command, target.parent, duration * (i + 1) / args.kills)
        if not target.exists():
            if i % 2:
                complain(name, "the old file is gone")
        elif target.read_bytes() == old:
            n_old += 1
        elif target.read_bytes() == wanted:
            n_whole += 1
        else:
            complain(name, f"partial file after kill {i + 1} of {args.kills}")
        for path in leftovers(target.parent, target):
            check_leftover(name, path, target, wanted, args)
            path.unlink()
    print(f"# {name}: {args.kills} runs of up to {duration:.2f} s, {n_killed} killed, {n_whole} with the new file, {n_old} with the old one")
    if n_killed == 0:
        complain(name, "no run was killed")


def check_details(args, folder, data):
    """A table written line by line: a partial one can be resumed, and the final table is the same as without kills."""
    details = folder / "details.jsonl"
    command = [args.qasr, "eval", "--model", args.model, "--data", str(data), "--limit", "4", "--batch", "1", "--format", "json",
               "--details", str(details)]
    started = time.monotonic()
    good = run(command, folder)
    duration = time.monotonic() - started
    n_killed = 0
    details.unlink()
    for i in range(max(2, args.kills // 3)):
        n_killed += kill_after(command + ["--resume"], folder, duration * (0.3 + 0.5 * i / args.kills))
    done = run(command + ["--resume"], folder)
    if done.returncode != 0:
        complain("eval --details", f"not resumed: {done.stderr.decode(errors='replace').strip()}")
    elif json.loads(done.stdout) != json.loads(good.stdout):
        complain("eval --details", "different metrics after interruptions")
    print(f"# eval --details: {n_killed} killed")


def main():
    parser = argparse.ArgumentParser()
    for name in "qasr", "model", "clip":
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--kills", type=int, default=12)
    args = parser.parse_args()
    args.qasr, args.model, args.clip = (os.path.abspath(p) for p in (args.qasr, args.model, args.clip))
    with tempfile.TemporaryDirectory(prefix="qasr-kill-") as name:
        folder = Path(name)
        gguf = folder / "out.gguf"
        for what, more in ("quantize", ["--qtype", "q6_k"]), ("quantize --scope all", ["--qtype", "q4_k_m", "--scope", "all"]):
            check_atomic(what, [args.qasr, "quantize", "--quiet", "--force", "--input", args.model, "--output", gguf, *more], gguf, args)
        calibration = folder / "calibration.gguf"
        check_atomic("calibrate", [args.qasr, "calibrate", "--quiet", "--force", "--model", args.model, "--output", calibration, args.clip],
                     calibration, args)
        text = folder / "out.txt"
        check_atomic("transcribe --output", [args.qasr, "transcribe", "--model", args.model, "--output", text, args.clip], text, args)
        check_details(args, folder, Path(args.model) / "eval" / "clean" / "refs.tsv")
    for complaint in complaints:
        print(complaint)
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
