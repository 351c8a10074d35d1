#!/usr/bin/env python3
"""Transcribe with the models made by tools/test_full.sh, check each run, print a table and 'N passed, N failed'.

With random weights the text is meaningless, but shapes, speed and memory are real: every run must exit with 0 (the program fails on
NaN), print only JSON on stdout, and produce exactly the requested number of token ids.
"""
import argparse
import itertools
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
N_TOKENS = 100
VOCAB_SIZE = 151936                    # rows of the embedding in both sizes
SAMPLE_RATE = 16000
COLUMNS = [                            # heading, width, format of the values
    ("model", 5, "s"), ("type", 4, "s"), ("audio s", 7, ".1f"), ("load s", 6, ".2f"), ("mel s", 5, ".2f"),
    ("encode s", 8, ".2f"), ("prefill s", 9, ".2f"), ("ms/token", 8, ".1f"), ("total s", 7, ".2f"), ("RSS MB", 6, ".0f"),
    ("RSS-file MB", 11, ".0f"),
]


def write_clip(source, seconds, path):
    """Writes SECONDS of 16 kHz mono speech: the samples of SOURCE, repeated as needed."""
    with wave.open(str(source), "rb") as clip:
        if (clip.getframerate(), clip.getnchannels(), clip.getsampwidth()) != (SAMPLE_RATE, 1, 2):
            sys.exit(f"'{source}' is not 16 kHz mono 16 bit")
        frames = clip.readframes(clip.getnframes())
    n_bytes = int(seconds * SAMPLE_RATE) * 2
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        out.writeframes((frames * (n_bytes // len(frames) + 1))[:n_bytes])


def encoder_bytes(model):
    """Bytes of the audio tower in the checkpoint, the only part of it that is read with a GGUF decoder."""
    total = 0
    for path in model.glob("*.safetensors"):
        with open(path, "rb") as f:
            header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        for name, tensor in header.items():
            if name.startswith("thinker.audio_tower."):
                begin, end = tensor["data_offsets"]
                total += end - begin
    return total


def run(command):
    """(exit code, stdout, stderr, peak resident bytes as counted by the kernel) of a command."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        unit = 1 if sys.platform == "darwin" else 1024          # ru_maxrss: bytes on macOS, KiB elsewhere
        return child.returncode, out.read().decode("utf-8", "replace"), err.read().decode("utf-8", "replace"), usage.ru_maxrss * unit


def problems(code, stdout, seconds):
    """(list of problems of a run, its JSON)"""
    if code != 0:
        return [f"exit code {code}, expected 0"], None
    try:
        answer = json.loads(stdout)
    except ValueError as error:
        return [f"stdout is not JSON: {error}"], None
    found = []
    tokens = answer["tokens"]
    if len(tokens) != N_TOKENS:
        found.append(f"{len(tokens)} token ids, expected {N_TOKENS}")
    if not all(isinstance(token, int) and 0 <= token < VOCAB_SIZE for token in tokens):
        found.append("a token id is out of range")
    if answer["stop_reason"] not in ("eos", "limit"):
        found.append(f"stop reason '{answer['stop_reason']}', expected 'eos' or 'limit'")
    if abs(answer["duration"] - seconds) > 0.01:
        found.append(f"duration {answer['duration']}, expected {seconds}")
    return found, answer


def check_run(qasr, model, qtype, seconds, clip):
    """Transcribe once, and print a row of the table or the problems. True if there are none."""
    gguf = model / f"model-{qtype}.gguf"
    code, stdout, stderr, rss = run([
        qasr, "transcribe", "--model", str(model), "--decoder-gguf", gguf.name, "--max-new-tokens", str(N_TOKENS),
        "--ignore-eos", "--format", "json", "--timings", str(clip)])
    found, answer = problems(code, stdout, seconds)
    if found:
        print(f"{model.name} {qtype} {seconds} s: {'; '.join(found)}\n{stderr}", flush=True)
        return False
    t = answer["timings"]
    file_bytes = gguf.stat().st_size + encoder_bytes(model)
    row = (model.name.removeprefix("random-"), qtype, seconds, t["load_s"], t["mel_s"], t["encode_s"], t["prefill_s"],
           t["decode_ms_per_token"], t["total_s"], rss / 1e6, (rss - file_bytes) / 1e6)
    print("  ".join(f"{value:>{width}{fmt}}" for (_, width, fmt), value in zip(COLUMNS, row)), flush=True)
    return True


def main():
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # were it ignored, failures of children would go unnoticed
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qasr", required=True)
    parser.add_argument("--sizes", nargs="+", required=True)
    parser.add_argument("--types", nargs="+", required=True)
    parser.add_argument("--passed", type=int, default=0, help="number of earlier checks that passed")
    parser.add_argument("--failed", type=int, default=0, help="number of earlier checks that failed")
    args = parser.parse_args()

    print("  ".join(f"{heading:>{width}}" for heading, width, _ in COLUMNS), flush=True)
    with tempfile.TemporaryDirectory() as tmp:
        clips = {seconds: Path(tmp) / f"{seconds}.wav" for seconds in (11.0, 30.0)}
        for seconds, path in clips.items():
            write_clip(ROOT / "tests/data/audio/jfk.wav", seconds, path)
        good = [check_run(args.qasr, ROOT / "models" / f"random-{size}", qtype, seconds, clips[seconds])
                for size, qtype, seconds in itertools.product(args.sizes, args.types, clips)]
    passed, failed = args.passed + good.count(True), args.failed + good.count(False)
    print("RSS: peak as counted by the kernel; RSS-file: minus the GGUF file and the audio tower of the checkpoint")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
