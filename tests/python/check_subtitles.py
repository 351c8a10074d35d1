#!/usr/bin/env python3
"""Reads the program's subtitles with the packages srt and webvtt-py: both have the same cues, no text is lost, and the limits are kept.
Python's own csv and json read the other formats.

    check_subtitles.py --qasr PROGRAM --model DIR --audio FILE...

Exit code 77: no Python has the packages.
"""
import argparse
import csv
import json
import subprocess
import sys
import tempfile
import unicodedata
from datetime import timedelta
from pathlib import Path

import packages

packages.find("srt", "webvtt")

import srt  # noqa: E402
import webvtt  # noqa: E402

FORMATS = ["srt", "vtt", "lrc", "tsv", "csv", "json", "jsonl", "txt"]


def vtt_cues(path):
    return [(cue.start, cue.end, cue.text) for cue in webvtt.read(str(path))]


def clock(time):
    return srt.timedelta_to_srt_timestamp(time).replace(",", ".")


def columns(line):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def check(audio, width, lines, seconds, shortest, folder, args):
    subprocess.run([args.qasr, "transcribe", "--quiet", "--model", args.model, audio, "--format", ",".join(FORMATS), "--output-dir",
                    folder, "--segment", "14", "--max-line-width", str(width), "--max-lines", str(lines), "--max-line-seconds",
                    str(seconds), "--min-cue-seconds", str(shortest)], check=True)
    at = {name: Path(folder) / f"{Path(audio).stem}.{name}" for name in FORMATS}
    cues = list(srt.parse(at["srt"].read_text(encoding="utf-8")))
    assert len(cues) >= 3, cues
    assert srt.compose(cues, reindex=False) == at["srt"].read_text(encoding="utf-8"), "the parser would write something else"
    assert [cue.index for cue in cues] == list(range(1, len(cues) + 1))
    for cue, after in zip(cues, cues[1:] + [None]):
        assert timedelta(0) < cue.end - cue.start <= timedelta(seconds=seconds, milliseconds=1), cue
        assert after is None or cue.end <= after.start, (cue, after)
        assert len(cue.content.split("\n")) <= lines and all(columns(line) <= width for line in cue.content.split("\n")), cue
    whole = json.loads(at["json"].read_text(encoding="utf-8"))
    ends = [timedelta(0)] + [cue.end for cue in cues[:-1]]
    starts = [cue.start for cue in cues[1:]] + [timedelta(seconds=whole["duration"])]
    for cue, earliest, latest in zip(cues, ends, starts):
        assert cue.end - cue.start >= min(timedelta(seconds=shortest), latest - earliest) - timedelta(milliseconds=1), cue
        assert cue.end <= latest + timedelta(milliseconds=1), cue
    assert vtt_cues(at["vtt"]) == [(clock(cue.start), clock(cue.end), cue.content) for cue in cues]
    text = at["txt"].read_text(encoding="utf-8").strip()
    space = "" if whole["language"] == "Chinese" else " "
    assert text == whole["text"] == space.join(cue.content.replace("\n", space) for cue in cues)
    with open(at["csv"], newline="", encoding="utf-8") as f:
        by_csv = list(csv.DictReader(f))
    with open(at["tsv"], newline="", encoding="utf-8") as f:
        by_tsv = list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert by_csv == by_tsv and [row["text"] for row in by_csv] == [segment["text"] for segment in whole["segments"]]
    records = [json.loads(line) for line in at["jsonl"].read_text(encoding="utf-8").splitlines()]
    segments = [record for record in records if record["type"] == "segment"]
    assert [float(row["start"]) for row in by_csv] == [segment["start"] for segment in segments]
    assert records[-1]["type"] == "file" and records[-1]["text"] == text
    lyrics = [line.split("]", 1)[1] for line in at["lrc"].read_text(encoding="utf-8").splitlines()]
    assert space.join(lyrics) == text
    return len(cues)


def main():
    parser = argparse.ArgumentParser()
    for name in ("qasr", "model"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--audio", required=True, nargs="+")
    args = parser.parse_args()
    for audio in args.audio:
        for width, lines, seconds, shortest in ((42, 2, 7, 1), (20, 1, 2, 2), (80, 3, 60, 0)):
            with tempfile.TemporaryDirectory() as folder:
                n = check(audio, width, lines, seconds, shortest, folder, args)
                print(f"{audio}, {width} columns, {lines} lines, {seconds} s: {n} subtitles agree")


if __name__ == "__main__":
    sys.exit(main())
