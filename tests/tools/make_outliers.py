#!/usr/bin/env python3
"""Copies a bfloat16 checkpoint and gives it outlier channels, as large models have, without changing what it computes.

make_outliers.py IN_DIR OUT_DIR [--exponent K] [--channels N] [--parts norm,value,gate] [--seed N]

In each layer the values of N channels grow by 2^K, and the columns that multiply them shrink by as much:
  norm   the two norms of a layer (weight and bias), against the matrices that read them
  value  rows of v_proj (weight and bias), against columns of o_proj or out_proj; in the decoder, heads share them
  gate   rows of up_proj, against columns of down_proj; in the decoder
Only exponents change, so results in float32 keep every bit. Subfolders are not copied. Needs only Python.
"""
import argparse
import array
import json
import mmap
import random
import shutil
import struct
import sys
from pathlib import Path

# For each part: the tensor of a layer whose rows grow, and those whose columns shrink.
DECODER = (
    ("norm", "input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
    ("norm", "post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj")),
    ("value", "self_attn.v_proj", ("self_attn.o_proj",)),
    ("gate", "mlp.up_proj", ("mlp.down_proj",)),
)
ENCODER = (
    ("norm", "self_attn_layer_norm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
    ("norm", "final_layer_norm", ("fc1",)),
    ("value", "self_attn.v_proj", ("self_attn.out_proj",)),
)
PARTS = ("norm", "value", "gate")


def scale(bits, k, name):
    """bfloat16 values, as 16-bit integers, times 2^k. Zeros stay; whatever would not be exact is an error."""
    out = array.array("H", bits)
    for i, value in enumerate(out):
        exponent = value >> 7 & 0xFF
        if value & 0x7FFF == 0:
            continue
        if exponent == 0 or not 0 < exponent + k < 0xFF:
            sys.exit(f"make_outliers.py: '{name}' has a value that times 2^{k} is not a normal bfloat16 number")
        out[i] = value + k * 128
    return out


class Checkpoint:
    """The tensors of all safetensors files of a folder, mapped for writing."""

    def __init__(self, folder):
        self.views, self.shapes = {}, {}
        for path in sorted(folder.glob("*.safetensors")):
            with path.open("r+b") as f:
                view = memoryview(mmap.mmap(f.fileno(), 0))
            size, = struct.unpack_from("<Q", view)
            for name, spec in json.loads(bytes(view[8:8 + size])).items():
                if name == "__metadata__":
                    continue
                if spec["dtype"] != "BF16":
                    sys.exit(f"make_outliers.py: '{name}' is {spec['dtype']}, expected BF16")
                begin, end = spec["data_offsets"]
                self.views[name] = view[8 + size + begin:8 + size + end].cast("H")
                self.shapes[name] = spec["shape"]

    def n_layers(self, prefix):
        layers = {int(name[len(prefix):].split(".")[0]) for name in self.views if name.startswith(prefix)}
        return max(layers) + 1 if layers else 0

    def scale_rows(self, name, channels, k):
        for part in (name + ".weight", name + ".bias"):
            if part in self.views:
                view, cols = self.views[part], self.shapes[part][1] if len(self.shapes[part]) == 2 else 1
                for c in channels:
                    view[c * cols:(c + 1) * cols] = scale(view[c * cols:(c + 1) * cols], k, part)

    def scale_columns(self, name, channels, k):
        view, cols = self.views[name + ".weight"], self.shapes[name + ".weight"][1]
        for c in channels:
            view[c::cols] = scale(view[c::cols], k, name)


def readers(channels, n, cols, head_dim):
    """The columns that multiply n channels. With grouped heads, several query heads read each value head."""
    group = cols // n
    return [(c // head_dim * group + g) * head_dim + c % head_dim for c in channels for g in range(group)]


def make(model, args, chosen):
    head_dim = json.loads((args.dst / "config.json").read_text())["thinker_config"]["text_config"]["head_dim"]
    for prefix, groups in (("thinker.audio_tower.layers.", ENCODER), ("thinker.model.layers.", DECODER)):
        for layer in range(model.n_layers(prefix)):
            for part, producer, consumers in groups:
                if part not in args.parts:
                    continue
                p = f"{prefix}{layer}."
                n = model.shapes[p + producer + ".weight"][0]
                channels = chosen.sample(range(n), args.channels)
                model.scale_rows(p + producer, channels, args.exponent)
                for name in consumers:
                    cols = model.shapes[p + name + ".weight"][1]
                    model.scale_columns(p + name, readers(channels, n, cols, head_dim), -args.exponent)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("src", type=Path, metavar="IN_DIR")
    parser.add_argument("dst", type=Path, metavar="OUT_DIR")
    parser.add_argument("--exponent", type=int, default=10)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--parts", type=lambda text: text.split(","), default=PARTS)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if not set(args.parts) <= set(PARTS):
        parser.error(f"--parts: expected some of {','.join(PARTS)}")
    args.dst.mkdir(parents=True, exist_ok=True)
    for path in sorted(args.src.iterdir()):
        if path.is_file():
            shutil.copyfile(path, args.dst / path.name)
    make(Checkpoint(args.dst), args, random.Random(args.seed))


if __name__ == "__main__":
    main()
