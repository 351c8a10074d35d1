#!/usr/bin/env python3
"""Checks that a device gives the CPU's texts on clips of the demo evaluation set, with bf16 and q8_0 decoders. Arguments: the program,
the project's root, the device, the number of clips (0: all)."""
import json
import pathlib
import subprocess
import sys
import tempfile

qasr, root, device, limit = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
demo = root / "models" / "demo"


def run(*args):
    subprocess.run([qasr, *map(str, args)], check=True, stdout=subprocess.DEVNULL)


def texts(tmp, on, gguf):
    details = pathlib.Path(tmp) / f"{on}.jsonl"
    details.unlink(missing_ok=True)
    run("eval", "--model", demo, "--data", demo / "eval" / "clean", "--device", on, "--quiet", "--details",
        details, *(["--limit", limit] if limit else []), *(["--decoder-gguf", gguf] if gguf else []))
    lines = [json.loads(line) for line in details.read_text(encoding="utf-8").splitlines()]
    return {line["file"]: line["text"] for line in lines if "file" in line}


found = json.loads(subprocess.run([qasr, "devices", "--format", "json"], check=True, capture_output=True).stdout)
if not any(device.lower() in (d["name"].lower(), d["backend"].lower()) for d in found):
    print(f"1..0 # SKIP no device '{device}'")
    sys.exit(0)
print("1..2")
with tempfile.TemporaryDirectory() as tmp:
    q8_0 = pathlib.Path(tmp) / "q8_0.gguf"
    run("quantize", "--input", demo, "--output", q8_0, "--qtype", "q8_0", "--quiet")
    for number, gguf in enumerate((None, q8_0), 1):
        wanted, got = texts(tmp, "cpu", gguf), texts(tmp, device, gguf)
        wrong = [name for name in wanted if got.get(name) != wanted[name]]
        good = len(wanted) >= min(limit or 100, 100) and wanted.keys() == got.keys() and not wrong
        print(f"{'ok' if good else 'not ok'} {number} - {len(wanted)} texts, {'q8_0' if gguf else 'bf16'}")
        for name in wrong:
            print(f"# {name}: '{got.get(name)}', expected '{wanted[name]}'")
