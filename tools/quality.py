#!/usr/bin/env python3
"""Measures what quantization does to the demo model and writes docs/quality.md.

    quality.py QASR_PROGRAM OUTPUT

Calibrates on models/demo/eval/calibration, quantizes in the ways of VARIANTS into a temporary folder, and runs 'qasr eval' on
the clean and the hard clips, against the unquantized model. None of the clips is one of the calibration's.
"""
import json
import math
import os
import subprocess
import sys
import tempfile

DEMO = "models/demo"
DECODER = [("q8_0", ""), ("q6_k", ""), ("q4_k", ""), ("q4_0", ""), ("iq4_nl", ""), ("iq4_nl", "--tensor-type v_proj=q6_k")]
MIX = "--encoder-qtype iq4_nl --tensor-type proj[12].weight=q8_0 --tensor-type conv_out=q5_0 --tensor-type model.*v_proj=q6_k"
WHOLE = [("iq4_nl", ""), ("q4_0", "--encoder-qtype q4_0"), ("iq4_nl", "--encoder-qtype iq4_nl"), ("iq4_nl", MIX)]
CALIBRATION = f"{DEMO}/eval/calibration/refs.tsv"
HEAD = """# Quality

Written by `make quality`: the demo model ({demo}), quantized in several ways, on its two sets of clips ([the sets](../models/demo/eval/README.md)):
`clean` without the long clips (120), and `hard` (60 noisy clips, where small errors tip near ties). Calibration has heard 120 other clips: "calibrated" with
the file of `qasr calibrate --covariance`, "listening" with `--calibration-audio`. What the columns
mean: [evaluation.md](evaluation.md). KL is the mean divergence of the next-token distribution from the unquantized model's, teacher-forced on that model's
answers, in nats; arithmetic in float32. "first 32": share of the first 32 tokens of an answer that agree. A model this small says how the
ways of quantizing compare, not how much the published models lose.
"""


def run(*args):
    return subprocess.run(args, check=True, capture_output=True, text=True).stdout


def evaluate(qasr, model, clips):
    out = run(qasr, "eval", *model, "--baseline", DEMO, "--baseline-decoder-weights", "safetensors", "--data", f"{DEMO}/eval/{clips}", "--exclude",
              "*-long-*", "--precision", "f32", "--format", "json", "--quiet")
    return json.loads(out)


def percent(x):
    return f"{100 * x:.2f}"


def row(qasr, name, size, bits, model):
    cells = [name, f"{size / 1e6:.2f}", bits]
    for clips in ("clean", "hard"):
        e = evaluate(qasr, model, clips)
        both = "/".join(percent(e["per_language"][lang]["wer"]) for lang in ("English", "Russian"))
        cells += [f"{percent(e['wer'])} ({both})", percent(e["cer"]), percent(e["language_accuracy"]), percent(e["punctuation_f1"]), str(e["changed"]),
                  f"{e['kl_mean']:.2e}", f"{e['kl_p95']:.2e}", f"{e['first32_agreement']:.3f}"]
    print(" | ".join(cells), file=sys.stderr)
    return "| " + " | ".join(cells) + " |\n"


def header():
    part = " WER % (en/ru) | CER % | language % | punct. F1 % | changed | KL | KL p95 | first 32 |"
    return (f"\n| | MB | bits |{part.replace('| ', '| ')}{part}\n|---|---:|---:|" + "---:|" * 16 + "\n")


def quantized(qasr, folder, calibration, scope, qtype, extra):
    for how, given in (("", []), (", calibrated", ["--calibration", calibration]), (", listening", ["--calibration-audio", CALIBRATION])):
        path = os.path.join(folder, "model.gguf")
        options = ["--scope", scope, *extra.split(), *given]
        made = json.loads(run(qasr, "quantize", "--input", DEMO, "--output", path, "--qtype", qtype, "--force", "--format", "json", "--quiet", *options))
        matrices = [t for t in made["tensors"] if len(t["shape"]) == 2 and t["type"] not in ("bf16", "f16", "f32", "skipped")]
        bits = 8 * sum(t["bytes_after"] for t in matrices) / sum(math.prod(t["shape"]) for t in matrices)
        name = f"{qtype} {extra}".strip() + how
        yield row(qasr, name, os.path.getsize(path), f"{bits:.2f}",
                  ["--model", path] if scope == "all" else ["--model", DEMO, "--decoder-gguf", os.path.abspath(path)])


def main():
    qasr, output = sys.argv[1:]
    text = HEAD.format(demo="10 million weights")
    with tempfile.TemporaryDirectory(prefix="qasr-quality-") as folder:
        calibration = os.path.join(folder, "calibration.gguf")
        run(qasr, "calibrate", "--model", DEMO, "--output", calibration, "--covariance", "--quiet", CALIBRATION)
        text += "\n## Decoder only, the encoder in bf16\n\nFirst group of columns: clean clips; second: hard clips. Bits: of the quantized matrices.\n"
        text += header() + row(qasr, "bf16", os.path.getsize(f"{DEMO}/model-00001-of-00002.safetensors") +
                               os.path.getsize(f"{DEMO}/model-00002-of-00002.safetensors"), "16",
                               ["--model", DEMO, "--decoder-weights", "safetensors"])
        for qtype, extra in DECODER:
            text += "".join(quantized(qasr, folder, calibration, "thinker.model.", qtype, extra))
        text += "\n## Whole model in one file, embedding quantized too\n\nWithout --encoder-qtype the encoder stays at 8 bits.\n" + header()
        for qtype, extra in WHOLE:
            text += "".join(quantized(qasr, folder, calibration, "all", qtype, extra))
    with open(output + ".partial", "w", encoding="utf-8") as f:
        f.write(text)
    os.replace(output + ".partial", output)


if __name__ == "__main__":
    main()
