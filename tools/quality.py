#!/usr/bin/env python3
"""Measures how quantization affects the demo model and writes docs/quality.md, with its plots beside it.

    quality.py QASR_PROGRAM OUTPUT

Calibrates on models/demo/eval/calibration, quantizes into a temporary folder with each of TYPES, alone and in mixes, and runs 'qasr eval'
on the clips of SETS against the unquantized model. No test clip is a calibration clip. Evaluations
run in parallel with one thread each, since results do not depend on threads; speed is measured afterwards, alone.
"""
import concurrent.futures
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

from svg_plot import Axis, Series, plot

DEMO = "models/demo"
DECODER_SCOPE = "thinker.model."
TYPES = ["q8_0", "q6_k", "q5_k_m", "q5_k", "q5_1", "q5_0", "q4_k_m", "q4_k", "q4_1", "q4_0", "iq4_nl"]
SETS = ("clean", "hard", "multi", "long")
CODES = {"English": "en", "Russian": "ru", "German": "de", "Chinese": "zh"}
AUTO_BITS = [4.6, 5, 5.5, 6, 6.5]
BY_HAND = ["iq4_nl", "--tensor-type", "v_proj=q6_k"]
WHOLE_BY_HAND = ["iq4_nl", "--encoder-qtype", "iq4_nl", "--tensor-type", "proj[12].weight=q8_0", "--tensor-type", "conv_out=q5_0",
                 "--tensor-type", "model.*v_proj=q6_k"]
BY_FILE, LAYERWISE = "calibrated", "layerwise"
CALIBRATED = (BY_FILE, LAYERWISE)
CALIBRATION_CLIPS = f"{DEMO}/eval/calibration/refs.tsv"
SPEED_TOKENS, SPEED_RUNS = 200, 5
HEAD = """# Quality

Written by `make quality`. The demo model (10 million weights) is quantized in several ways and evaluated on
[its sets of clips](../models/demo/eval/README.md): `clean` (120 short clips), `hard` (60 noisy clips, where small errors
tip near ties), `multi` (24 German and Chinese clips) and `long` (4 clips of 13 to 43 s). Calibration uses 120 other clips: "calibrated" means `--calibration` with a
file of `qasr calibrate --covariance`, "layerwise" means `--calibration-audio` ([quantize.md](quantize.md#calibration)).
Such a small model shows how the methods compare, not how much the published models lose.

![KL divergence against bits per weight](quality-kl.svg)

![Word error rate against file size](quality-wer.svg)

[evaluation.md](evaluation.md) defines the columns. Rates are in %; the error rate is that of words, for Chinese of
normalized characters. KL is the mean KL divergence of the next-token
distribution from that of the unquantized model, in nats, with teacher forcing on the unquantized model's answers; its 95 % interval is
by bootstrap over the clips, KL p95 the 95th percentile. First 32 is the share of the first 32 tokens of these answers that agree. The arithmetic is
float32. Bits are per weight of the quantized matrices.
"""
SPEED_HEAD = """
## Size and speed

Bundles, so the embedding is quantized too; calibration changes neither size nor speed. Tokens per second are for
decoding {tokens} tokens of one clip, one sequence at a time, at the default precision: median of {runs} runs with {threads} threads
({level}). For a model of this size they say little about the weights, which stay in the caches, and they vary with
the load of the machine. Peak RSS is that of the whole process, not only of the weights.

| type | encoder q8_0: bytes | bits | tokens/s | peak RSS, MB | encoder the same type: bytes | bits | tokens/s | peak RSS, MB |
|---|---:|---:|---:|---:|---:|---:|---:|---:|
"""
RATES = {"error_rate": "error", "cer": "CER"}  # per language


@dataclass
class Way:
    """A way of quantizing, and its results."""
    name: str
    options: list           # options of 'qasr quantize', including the scope
    how: str = ""           # "", or one of CALIBRATED
    size: int = 0
    bits: float = 0
    sets: tuple = SETS
    metrics: dict = field(default_factory=dict)  # per set of clips: the output of 'qasr eval'

    def title(self):
        return self.name + (f", {self.how}" if self.how else "")

    def is_bundle(self):
        return "all" in self.options


def run(*args):
    return subprocess.run(args, check=True, capture_output=True, text=True).stdout


def run_json(*args):
    return json.loads(run(*args, "--format", "json", "--quiet"))


def quantize(qasr, way, path, calibration):
    extra = ["--calibration", calibration] if way.how == BY_FILE or "--auto-mix" in way.options else []
    extra += ["--calibration-audio", CALIBRATION_CLIPS] if way.how == LAYERWISE else []
    made = run_json(qasr, "quantize", "--input", DEMO, "--output", path, "--force", "--verify", "off", *way.options, *extra)
    matrices = [t for t in made["tensors"] if len(t["shape"]) == 2 and t["type"] not in ("bf16", "f16", "f32", "skipped")]
    way.size = made["file_bytes"]
    way.bits = 8 * sum(t["bytes_after"] for t in matrices) / sum(math.prod(t["shape"]) for t in matrices)


def model_options(way, path):
    return ["--model", path] if way.is_bundle() else ["--model", DEMO, "--decoder-gguf", path]


def evaluate(qasr, model, clips):
    return run_json(qasr, "eval", *model, "--baseline", DEMO, "--baseline-decoder-weights", "safetensors", "--data", f"{DEMO}/eval/{clips}",
                    "--precision", "f32", "--threads", "1")


def measure(qasr, way, path, calibration):
    quantize(qasr, way, path, calibration)
    for clips in way.sets:
        way.metrics[clips] = evaluate(qasr, model_options(way, path), clips)
    os.remove(path)
    print(f"{' '.join(way.options)} {way.how}: KL {way.metrics['hard']['kl_mean']:.2e}", file=sys.stderr)
    return way


def measure_all(qasr, groups, folder, calibration):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        ways = [w for group in groups for w in group]
        jobs = [pool.submit(measure, qasr, w, os.path.join(folder, f"model-{i}.gguf"), calibration) for i, w in enumerate(ways)]
        for job in jobs:
            job.result()


# ---- tables -----------------------------------------------------------------------------------------

def percent(x):
    return f"{100 * x:.2f}"


def quality_head(e):
    titles = ["type", "bits"] + [f"{title} {CODES[lang]}" for title in RATES.values() for lang in e["per_language"]]
    titles += ["language", "punct. F1", "changed", "KL", "KL 95 % interval", "KL p95", "first 32"]
    return "\n| " + " | ".join(titles) + " |\n|---" + "|---:" * (len(titles) - 1) + "|\n"


def quality_row(title, bits, e):
    cells = [title, bits] + [percent(part[key]) for key in RATES for part in e["per_language"].values()]
    cells += [percent(e["language_accuracy"]), percent(e["punctuation_f1"]), str(e["changed"]), f"{e['kl_mean']:.2e}",
              "{:.2e} to {:.2e}".format(*e["kl_mean_ci"]), f"{e['kl_p95']:.2e}",
              f"{e['first32_agreement']:.3f}"]
    return "| " + " | ".join(cells) + " |\n"


def quality_tables(heading, note, ways, original):
    text = f"\n## {heading}\n\n{note}\n"
    for clips in ways[0].sets:
        text += f"\n### {heading}: {clips} clips\n{quality_head(original[clips])}" + quality_row("bf16, unquantized", "16", original[clips])
        text += "".join(quality_row(w.title(), f"{w.bits:.2f}", w.metrics[clips]) for w in ways)
    return text


def measure_speed(qasr, way, folder):
    """Tokens per second, memory in MB, and the last run, which has the settings."""
    path = os.path.join(folder, "speed.gguf")
    quantize(qasr, way, path, None)
    runs = [run_json(qasr, "transcribe", *model_options(way, path), "--batch", "1", "--ignore-eos", "--max-new-tokens", str(SPEED_TOKENS), "--threads", "2",
                     f"{DEMO}/samples/en.flac") for _ in range(SPEED_RUNS)]
    return (statistics.median(1e3 / r["timings"]["decode_ms_per_token"] for r in runs), statistics.median(r["peak_rss_mb"] for r in runs), runs[0])


def speed_table(qasr, pairs, folder):
    """pairs: for each type the uncalibrated bundles with the encoder at q8_0 and at the same type."""
    rows, made_with = "", {}
    for ways in pairs:
        cells = [ways[0].name]
        for way in ways:
            tokens, memory, made_with = measure_speed(qasr, way, folder)
            cells += [f"{way.size:,}", f"{way.bits:.2f}", f"{tokens:.0f}", f"{memory:.1f}"]
        rows += "| " + " | ".join(cells) + " |\n"
    return SPEED_HEAD.format(tokens=SPEED_TOKENS, runs=SPEED_RUNS, threads=made_with["threads"], level=made_with["cpu_level"]) + rows


# ---- plots ------------------------------------------------------------------------------------------

def kl_points(ways, labels=True):
    return [(w.bits, w.metrics["hard"]["kl_mean"], w.name if labels else "") for w in ways]


def wer_points(ways):
    return [(w.size / 1e6, 100 * w.metrics["hard"]["wer"], w.name) for w in ways]


def split(ways):
    return [[w for w in ways if w.how == how] for how in ("", *CALIBRATED)]


def draw_plots(folder, decoders, mixes, q8_encoder, same_encoder):
    plain, by_file, layerwise = split(decoders)
    plot(os.path.join(folder, "quality-kl.svg"), "Decoder quantized, hard clips: KL divergence from the unquantized model",
         Axis("bits per weight of the quantized matrices", decimals=0), Axis("mean KL, nats", log=True),
         [Series("plain", kl_points(plain)), Series("calibrated (same types, unlabelled)", kl_points(by_file, labels=False)),
          Series("layerwise", kl_points(layerwise, labels=False)),
          Series("--auto-mix, layerwise", kl_points([w for w in mixes if w.how == LAYERWISE], labels=False), line=True)])
    q8, same = split(q8_encoder), split(same_encoder)
    plot(os.path.join(folder, "quality-wer.svg"), "Bundles, hard clips: word error rate",
         Axis("file size, MB", decimals=0), Axis("WER, %", decimals=0),
         [Series("encoder q8_0", wer_points(q8[0])), Series("encoder q8_0, layerwise", wer_points(q8[2])),
          Series("encoder the same type", wer_points(same[0])), Series("encoder the same type, layerwise", wer_points(same[2]))])


# ---- main -------------------------------------------------------------------------------------------

def each(name, options, **more):
    return [Way(name, options, how, **more) for how in ("", *CALIBRATED)]


def decoder_ways():
    """One type or a hand-made mix, and automatic mixes; hard clips only, because answers to the clean ones hardly change."""
    scope = ["--scope", DECODER_SCOPE]
    ways = [w for t in TYPES for w in each(t, [*scope, "--qtype", t], sets=("hard",))]
    ways += each("iq4_nl+v q6_k", [*scope, "--qtype", *BY_HAND], sets=("hard",))
    mixes = [Way(f"--auto-mix {bits}", [*scope, "--auto-mix", str(bits)], how, sets=("hard",)) for bits in AUTO_BITS for how in CALIBRATED]
    return ways, mixes


def main():
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # were it ignored, failures of children would go unnoticed
    qasr, output = sys.argv[1:]
    q8_encoder = [w for t in TYPES for w in each(t, ["--scope", "all", "--qtype", t])]
    same_encoder = [w for t in TYPES for w in each(t, ["--scope", "all", "--qtype", t, "--encoder-qtype", t]) if t != "q8_0"]
    same_encoder += each("iq4_nl+ (proj q8_0, conv_out q5_0, v q6_k)", ["--scope", "all", "--qtype", *WHOLE_BY_HAND])
    decoders, mixes = decoder_ways()
    with tempfile.TemporaryDirectory(prefix="qasr-quality-") as folder:
        calibration = os.path.join(folder, "calibration.gguf")
        run(qasr, "calibrate", "--model", DEMO, "--output", calibration, "--covariance", "--quiet", CALIBRATION_CLIPS)
        original = {clips: evaluate(qasr, ["--model", DEMO, "--decoder-weights", "safetensors"], clips) for clips in SETS}
        measure_all(qasr, (q8_encoder, same_encoder, decoders, mixes), folder, calibration)
        pairs = [(Way(t, ["--scope", "all", "--qtype", t]), Way(t, ["--scope", "all", "--qtype", t, "--encoder-qtype", t])) for t in TYPES]
        text = HEAD + speed_table(qasr, pairs, folder)
    text += quality_tables("Bundle, encoder q8_0", "The default of `--scope all`: the encoder keeps 8 bits.", q8_encoder, original)
    text += quality_tables("Bundle, encoder the same type", "The encoder gets the same type with `--encoder-qtype`.", same_encoder, original)
    text += quality_tables("Decoder alone", "The default scope: encoder and embedding stay bf16.", decoders + mixes, original)
    draw_plots(os.path.dirname(output), decoders, mixes, q8_encoder, same_encoder)
    with open(output + ".partial", "w", encoding="utf-8") as f:
        f.write(text)
    os.replace(output + ".partial", output)


if __name__ == "__main__":
    main()
