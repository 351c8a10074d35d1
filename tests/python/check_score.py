#!/usr/bin/env python3
"""Compares 'qasr score' with the package jiwer, and its intervals with a second implementation of the bootstrap.

check_score.py --qasr PROGRAM
"""
import json
import random
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import packages

packages.find("jiwer")

import jiwer  # noqa: E402

QASR = sys.argv[sys.argv.index("--qasr") + 1]
WORDS = {"English": "the it's a blue bag well-known Anna cannot find 20 dollars I church Who lost my bicycle".split(),
         "Russian": "да нет Ёлка сосед спит в комнате кто-то вторник Сергей 7 воду вернуть".split()}


def normalized(text):
    """Lower case, letters, digits and spaces."""
    return " ".join("".join(c for c in text.lower() if c.isalnum() or c.isspace()).split())


def sentence(rng, words):
    chosen = [rng.choice(words) + rng.choice(["", "", "", ",", ".", "?", "!"]) for _ in range(rng.randint(1, 12))]
    return " ".join(chosen)


def damaged(rng, text, words):
    out = []
    for word in text.split():
        dice = rng.random()
        if dice < 0.1:
            continue
        out.append(rng.choice(words) if dice < 0.2 else word.upper() if dice < 0.3 else word.strip(",.?!") if dice < 0.4 else word)
        if dice > 0.9:
            out.append(rng.choice(words))
    return " ".join(out) or rng.choice(words)


def splitmix64():
    state, mask = 1, 2 ** 64 - 1
    while True:
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
        yield z ^ z >> 31


def quantile(values, q):
    values = sorted(values)
    at = q * (len(values) - 1)
    low = int(at)
    return values[low] + (at - low) * (values[min(low + 1, len(values) - 1)] - values[low])


def interval(errors, totals):
    numbers, n, rates = splitmix64(), len(errors), []
    for _ in range(2000):
        drawn = [(next(numbers) >> 32) * n >> 32 for _ in range(n)]
        rates.append(sum(errors[i] for i in drawn) / sum(totals[i] for i in drawn))
    return [quantile(rates, 0.025), quantile(rates, 0.975)]


def errors_of(output):
    return output.substitutions + output.insertions + output.deletions


class Score(unittest.TestCase):
    def check(self, language, seed):
        rng, words = random.Random(seed), WORDS[language]
        refs = [sentence(rng, words) for _ in range(40)]
        hyps = [damaged(rng, ref, words) for ref in refs]
        with tempfile.TemporaryDirectory() as folder:
            ref, hyp = Path(folder) / "refs.tsv", Path(folder) / "hyp.tsv"
            ref.write_text("file\tlanguage\ttext\n" + "".join(f"{i}\t{language}\t{t}\n" for i, t in enumerate(refs)), encoding="utf-8")
            hyp.write_text("file\ttext\n" + "".join(f"{i}\t{t}\n" for i, t in enumerate(hyps)), encoding="utf-8")
            done = subprocess.run([QASR, "score", "--ref", ref, "--hyp", hyp, "--format", "json"], capture_output=True, check=True)
        score = json.loads(done.stdout)
        clean = [normalized(t) for t in refs], [normalized(t) for t in hyps]
        self.assertAlmostEqual(score["wer"], jiwer.wer(*clean), places=12)
        self.assertAlmostEqual(score["cer"], jiwer.cer(refs, hyps), places=12)
        self.assertAlmostEqual(score["cer_normalized"], jiwer.cer(*clean), places=12)
        for key, measure, pairs in (("wer_ci", jiwer.process_words, zip(*clean)), ("cer_ci", jiwer.process_characters, zip(refs, hyps))):
            outputs = [measure(r, h) for r, h in pairs]
            totals = [o.hits + o.substitutions + o.deletions for o in outputs]
            expected = interval([errors_of(o) for o in outputs], totals)
            self.assertAlmostEqual(score[key][0], expected[0], places=12)
            self.assertAlmostEqual(score[key][1], expected[1], places=12)

    def test_english(self):
        for seed in range(4):
            self.check("English", seed)

    def test_russian(self):
        for seed in range(4):
            self.check("Russian", seed)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
