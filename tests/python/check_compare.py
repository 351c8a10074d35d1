#!/usr/bin/env python3
"""Tests bench/compare.py through its command line."""
import copy
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

COMPARE = Path(__file__).resolve().parents[2] / "bench" / "compare.py"

BENCH = {"variant": "q8_0", "threads": 2, "cpu_level": "avx2", "audio_s": 30, "tokens": 100, "load_s": 0.03, "mel_s": 0.01,
         "encode_s": 2.0, "prefill_s": 1.0, "decode_ms_per_token": 50.0, "total_s": 8.0, "peak_rss_mb": 1200.0,
         "cer": None, "limits": {"read_gb_s": 30.0, "f32_gop_s": 200.0, "matrix_gop_s": 200.0}}


def bench(**changes):
    entry = copy.deepcopy(BENCH)
    entry["limits"].update({k: changes.pop(k) for k in list(changes) if k in entry["limits"]})
    return {**entry, **changes}


def kernel(name, value, unit="Gop/s"):
    return {"name": name, "unit": unit, "value": value}


class Compare(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def write(self, name, content):
        path = Path(self.folder.name) / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return str(path)

    def run_it(self, *args):
        done = subprocess.run([sys.executable, str(COMPARE), *args], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def table(self, before, after, *args, status=0):
        """Label -> (before, after, ratio, mark)."""
        got, out, err = self.run_it(self.write("before.json", before), self.write("after.json", after), *args)
        self.assertEqual(got, status, err)
        rows = {}
        for line in out.splitlines():
            for unit in (" s ", " ms ", " ns ", " MB ", " GB/s ", " Gop/s ", " tokens/s "):
                label, found, rest = (line + " ").partition(unit)
                if found:
                    words = rest.split()
                    rows[label.strip()] = (words[0], words[1], words[2], " ".join(words[3:]))
        return rows

    def test_less_time_and_more_rate_are_better(self):
        rows = self.table([kernel("gemm", 100), kernel("norm", 80, "ns"), kernel("read", 30, "GB/s")],
                          [kernel("gemm", 150), kernel("norm", 100, "ns"), kernel("read", 30.3, "GB/s")])
        self.assertEqual(rows, {"gemm": ("100", "150", "1.500", "better"), "norm": ("80", "100", "0.800", "WORSE"),
                                "read": ("30", "30.3", "1.010", "")})

    def test_fields_of_bench(self):
        after = bench(encode_s=1.0, decode_ms_per_token=100.0, peak_rss_mb=1210, read_gb_s=15.0, decode_tokens_per_s=10)
        rows = self.table([bench(decode_tokens_per_s=20)], [after])
        self.assertEqual(rows["q8_0 encode_s"], ("2", "1", "2.000", "better"))
        self.assertEqual(rows["q8_0 decode_ms_per_token"], ("50", "100", "0.500", "WORSE"))
        self.assertEqual(rows["q8_0 decode_tokens_per_s"], ("20", "10", "0.500", "WORSE"))
        self.assertEqual(rows["q8_0 peak_rss_mb"], ("1200", "1210", "0.992", ""))
        self.assertEqual(rows["q8_0 read_gb_s"], ("30", "15", "0.500", "the machine"))
        self.assertNotIn("q8_0 mel_s", rows)

    def test_medians_over_entries_and_files(self):
        names = [self.write(f"{i}.json", [kernel("a", v) for v in values])
                 for i, values in enumerate([[1, 9, 100], [10, 11], [5], [7], [30]])]
        status, out, _ = self.run_it("--before", *names[:2], "--after", *names[2:])
        self.assertEqual(status, 0)
        self.assertRegex(out, r"a +Gop/s +10 +7 +0\.700 +WORSE")

    def test_threshold(self):
        before, after = [kernel("a", 100)], [kernel("a", 104)]
        self.assertEqual(self.table(before, after)["a"][3], "better")
        self.assertEqual(self.table(before, after, "--threshold", "0.05")["a"][3], "")

    def test_fails_below_a_ratio(self):
        before, after = [kernel("a", 100), kernel("b", 100)], [kernel("a", 94), kernel("b", 300)]
        self.table(before, after, "--fail-below", "0.94")
        self.table(before, after, "--fail-below", "0.95", status=1)
        self.table([bench()], [bench(read_gb_s=1.0)], "--fail-below", "0.95")  # the machine's fault
        self.table([bench()], [bench(load_s=0.04)], "--fail-below", "0.95", status=1)

    def test_entries_are_told_apart(self):
        before = [bench(), bench(variant="fp"), bench(batch=8, total_s=2.0), bench(threads=1, total_s=16.0)]
        after = [bench(threads=1, total_s=8.0), bench(batch=8, total_s=4.0), bench(variant="fp"), bench()]
        rows = self.table(before, after)
        self.assertEqual(rows["q8_0, batch 1, 2 threads total_s"][2], "1.000")
        self.assertEqual(rows["q8_0, batch 8, 2 threads total_s"][2:], ("0.500", "WORSE"))
        self.assertEqual(rows["q8_0, batch 1, 1 threads total_s"][2:], ("2.000", "better"))
        _, out, _ = self.run_it(self.write("before.json", before), self.write("after.json", after))
        self.assertTrue(out.startswith("All: avx2, 30 s, 100 tokens\n"), out)

    def test_one_sided_and_zero_values_have_no_ratio(self):
        rows = self.table([kernel("a", 1), kernel("old", 2), kernel("z", 0)], [kernel("a", 1), kernel("new", 3), kernel("z", 5)],
                          "--fail-below", "1")
        self.assertEqual(rows["old"], ("2", "-", "-", "only before"))
        self.assertEqual(rows["new"], ("-", "3", "-", "only after"))
        self.assertEqual(rows["z"], ("0", "5", "-", ""))

    def test_bad_files_are_refused(self):
        good = self.write("good.json", [kernel("a", 1)])
        cases = [("{", "cannot read"), ({"read_gb_s": 1}, "is not a list"), ([], "is not a list"), ([7], "neither"),
                 ([{"value": 1}], "neither"), ([kernel("a", "fast")], "entry 0: value is \"fast\""), ([kernel("a", True)], "value"),
                 ([kernel("a", -1)], "value is -1"), ('[{"name": "a", "unit": "ns", "value": NaN}]', "value is NaN"),
                 ([kernel("a", 1, "GiB")], "unit \"GiB\""), ([kernel(["a"], 1)], "expected a text"),
                 ([kernel("a", 1), kernel("a", 1, "ns")], "is measured in"), ([bench(total_s="1")], "total_s is \"1\""),
                 ([bench(variant=1)], "not what 'qasr bench' writes"), ([bench(threads=[2])], "not what"),
                 ([kernel("b", 1)], "no measurement in common")]
        for content, message in cases:
            with self.subTest(message):
                status, out, err = self.run_it(good, self.write("bad.json", content))
                self.assertEqual((status, out), (2, ""))
                self.assertIn(message, err)
                self.assertEqual(err.count("\n"), 1)
        status, _, err = self.run_it(good, str(Path(self.folder.name) / "missing.json"))
        self.assertEqual(status, 2)
        self.assertIn("missing.json", err)

    def test_wrong_usage(self):
        good = self.write("good.json", [kernel("a", 1)])
        for args in [], [good], [good] * 3, ["--before", good], [good, good, "--before", good]:
            self.assertEqual(self.run_it(*args)[0], 2, args)


if __name__ == "__main__":
    unittest.main()
