#!/usr/bin/env python3
"""Checks that recorded data is not fetched again.

check_resume.py LOG STATE.N...

STATE.N is the state of an interrupted pull when the server's log (tests/tools/hub_server.py) had N lines: no later response may
contain bytes that the state lists.
"""
import json
import sys


def remembered(path):
    """[begin, end) of the ranges by file name, and the names of complete files."""
    ranges, whole = {}, set()
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            kind, *words = line.split()
            if kind == "have":
                ranges.setdefault(words[-1], []).append((int(words[0]), int(words[1])))
            elif kind == "whole":
                whole.add(words[-1])
    return ranges, whole


def asked(entry):
    """The file's name and [begin, end)."""
    name = entry["path"].split("?")[0].rsplit("/", 1)[1]
    begin, end = entry["range"].removeprefix("bytes=").split("-") if entry["range"] else (0, 1 << 60)
    return name, int(begin), int(end) + 1


def main():
    with open(sys.argv[1], encoding="utf-8") as lines:
        log = [json.loads(line) for line in lines]
    n_ranges, n_again = 0, 0
    for state in sys.argv[2:]:
        ranges, whole = remembered(state)
        n_ranges += sum(len(r) for r in ranges.values())
        for entry in log[int(state.rsplit(".", 1)[1]):]:
            name, begin, end = asked(entry)
            again = name in whole or any(begin < e and b < end for b, e in ranges.get(name, []))
            if again:
                print(f"{state}: {name} {begin}-{end} was already recorded")
            n_again += again
    sent = sum(e["sent"] for e in log if e["server"] == "cdn")
    print(f"recorded ranges: {'some' if n_ranges > 1 else n_ranges}, fetched again: {n_again}")
    size = 21377864                     # bytes of weights
    ranges = 3 * len(sys.argv[2:]) << 20  # lost per kill: two ranges of 1 MiB in flight, and unread data
    print(f"sent: {'as expected' if size <= sent <= size + ranges else sent}")


if __name__ == "__main__":
    main()
