#!/usr/bin/env python3
"""Compare measurements from before and after a change.

    compare.py BEFORE.json AFTER.json
    compare.py --before A.json B.json --after C.json D.json

A file is a list from 'qasr bench --format json', or a list of kernels [{"name", "unit", "value"}, ...] with unit "ns", "GB/s" or
"Gop/s". If a key has several values, in one file or in several, the median counts. Alternating runs (before, after, before,
after) are more reliable than one long run of each.

Ratios are of speed: 2 is twice as fast (or half the memory), 0.5 half as fast. Changes of more than the threshold are marked. The
machine limits that 'qasr bench' measures with its runs are listed too, to tell changes of the program from changes of the
machine; they never cause a failure. Exit status: 1 if a ratio is less than --fail-below, 2 if the files cannot be compared.
"""
import argparse
import json
import math
import signal
import statistics
import sys

LESS_IS_BETTER = {"s", "ms", "ns", "MB"}
MORE_IS_BETTER = {"GB/s", "Gop/s", "tokens/s"}

# Fields of an entry of qasr bench: path, unit, and whether it measures the program (else the machine).
BENCH_FIELDS = [
    ("load_s", "s", True),
    ("encode_s", "s", True),
    ("prefill_s", "s", True),
    ("decode_ms_per_token", "ms", True),
    ("decode_tokens_per_s", "tokens/s", True),
    ("total_s", "s", True),
    ("peak_rss_mb", "MB", True),
    ("limits.read_gb_s", "GB/s", False),
    ("limits.f32_gop_s", "Gop/s", False),
    ("limits.bf16_gop_s", "Gop/s", False),
    ("limits.int8_gop_s", "Gop/s", False),
]
# Fields that identify an entry, shown only if they differ. The default batch is 1.
BENCH_IDENTITY = [("variant", "{}"), ("batch", "batch {}"), ("threads", "{} threads"), ("cpu_level", "{}"), ("audio_s", "{:g} s"),
                  ("tokens", "{} tokens")]


class Failure(Exception):
    """The files cannot be compared, for the reason in the message."""


def number(value, where):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise Failure(f"{where} is {json.dumps(value)}, expected a number of at least 0")
    return float(value)


def field(entry, path):
    for name in path.split("."):
        entry = entry.get(name) if isinstance(entry, dict) else None
    return entry


def read_kernel(entry, where):
    """Key -> value of a kernel's entry. A key is (identity, quantity, unit, whether it measures the program)."""
    unit = entry.get("unit")
    if not isinstance(entry["name"], str) or unit not in LESS_IS_BETTER | MORE_IS_BETTER:
        raise Failure(f"{where}: name {json.dumps(entry['name'])}, unit {json.dumps(unit)}, expected a string and one of "
                      f"{', '.join(sorted(LESS_IS_BETTER | MORE_IS_BETTER))}")
    return {((entry["name"],), "", unit, True): number(entry.get("value"), f"{where}: value")}


def read_bench(entry, where):
    defaults = {"batch": 1}
    identity = tuple(entry.get(name, defaults.get(name)) for name, _ in BENCH_IDENTITY)
    if not isinstance(entry["variant"], str) or any(isinstance(part, (list, dict)) for part in identity):
        raise Failure(f"{where}: not an entry of 'qasr bench'")
    values = {}
    for path, unit, ours in BENCH_FIELDS:
        value = field(entry, path)
        if value is not None:
            values[identity, path.rsplit(".", 1)[-1], unit, ours] = number(value, f"{where}: {path}")
    return values


def read_files(paths):
    """Key -> list of values, in the order of the files."""
    found = {}
    for path in paths:
        try:
            with open(path, encoding="utf-8") as f:
                entries = json.load(f)
        except (OSError, ValueError) as why:
            raise Failure(f"cannot read '{path}': {why}") from why
        if not isinstance(entries, list) or not entries:
            raise Failure(f"'{path}' is not a list of measurements")
        for i, entry in enumerate(entries):
            where = f"'{path}', entry {i}"
            if not isinstance(entry, dict) or not ("variant" in entry or "name" in entry):
                raise Failure(f"{where}: not an entry of 'qasr bench' or of a kernel")
            values = read_bench(entry, where) if "variant" in entry else read_kernel(entry, where)
            for key, value in values.items():
                found.setdefault(key, []).append(value)
    units = {}
    for identity, quantity, unit, _ in found:
        if units.setdefault((identity, quantity), unit) != unit:
            raise Failure(f"'{identity[0]}' is measured in {unit} and in {units[identity, quantity]}")
    return found


def shorten(identities):
    """Identity -> text with the fields that differ; and a text with the fields that are the same for all."""
    full = [i for i in identities if len(i) == len(BENCH_IDENTITY)]
    differs = [len({i[k] for i in full}) > 1 for k in range(len(BENCH_IDENTITY))]

    def text(identity, wanted):
        parts = [form.format(value) for (_, form), value, want in zip(BENCH_IDENTITY, identity, wanted)
                 if want and value is not None]
        return ", ".join(parts)

    names = {i: text(i, [True] + differs[1:]) if len(i) == len(BENCH_IDENTITY) else i[0] for i in identities}
    return names, text(full[0], [False] + [not d for d in differs[1:]]) if full else ""


def ratio_of(before, after, unit):
    if before <= 0 or after <= 0:
        return None
    return before / after if unit in LESS_IS_BETTER else after / before


def show(value):
    return "-" if value is None else f"{value:.4g}" if value < 1000 else f"{value:.0f}"


def compare(before, after, threshold, fail_below):
    """Rows of the table, the worst failing ratio or None, and the fields that all entries share."""
    names, common = shorten(dict.fromkeys([key[0] for key in before] + [key[0] for key in after]))
    rows, worst = [], None
    for key in dict.fromkeys([*before, *after]):
        identity, quantity, unit, ours = key
        old, new = (statistics.median(side[key]) if key in side else None for side in (before, after))
        ratio = None if old is None or new is None else ratio_of(old, new, unit)
        mark = ""
        if old is None or new is None:
            mark = "only after" if old is None else "only before"
        elif ratio is not None and abs(ratio - 1) > threshold:
            mark = ("better" if ratio > 1 else "WORSE") if ours else "the machine"
        if ours and ratio is not None and fail_below is not None and ratio < fail_below:
            worst = ratio if worst is None else min(worst, ratio)
        rows.append((" ".join(filter(None, [names[identity], quantity])), unit, show(old), show(new),
                     "-" if ratio is None else f"{ratio:.3f}", mark))
    return rows, worst, common


def print_table(rows, common):
    head = ("", "unit", "before", "after", "ratio", "")
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    if common:
        print(f"All: {common}")
    for row in [head, *rows]:
        cells = [cell.ljust(width) if i in (0, 1, 5) else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))]
        print("  ".join(cells).rstrip())


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="FILE", help="BEFORE.json AFTER.json")
    parser.add_argument("--before", nargs="+", default=[], metavar="FILE")
    parser.add_argument("--after", nargs="+", default=[], metavar="FILE")
    parser.add_argument("--threshold", type=float, default=0.03, metavar="X", help="mark larger changes (default 0.03)")
    parser.add_argument("--fail-below", type=float, metavar="RATIO", help="exit status 1 if a ratio is less")
    args = parser.parse_args()
    if args.files and (args.before or args.after):
        parser.error("give either BEFORE.json AFTER.json or --before and --after")
    if args.files:
        if len(args.files) != 2:
            parser.error(f"expected BEFORE.json and AFTER.json, got {len(args.files)} files; several need --before and --after")
        args.before, args.after = args.files[:1], args.files[1:]
    if not args.before or not args.after:
        parser.error("no files to compare: BEFORE.json AFTER.json, or --before FILE... --after FILE...")
    return args


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # "| head" is not an error
    args = parse_args()
    try:
        before, after = read_files(args.before), read_files(args.after)
        if not before.keys() & after.keys():
            raise Failure("the files have no measurement in common")
        rows, worst, common = compare(before, after, args.threshold, args.fail_below)
    except Failure as why:
        print(f"compare.py: {why}", file=sys.stderr)
        return 2
    print_table(rows, common)
    if worst is not None:
        print(f"compare.py: the worst ratio is {worst:.3f}, expected at least {args.fail_below:g}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
