#!/usr/bin/env python3
"""Makes and damages files for the command-line cases.

tool.py wav FILE N_SAMPLES                 a 16 kHz mono wav file with a quiet tone
tool.py hours FILE SECONDS CLIP.wav EVERY  a 16 kHz mono wav file of silence (sparse on disk), with the clip every EVERY seconds,
                                           first after EVERY / 2
tool.py set FILE.safetensors TENSOR INDEX VALUE   overwrite one bf16 value: nan, inf or a number
tool.py header FILE.safetensors TENSOR KEY JSON   change one entry of a tensor's header
tool.py scale FILE.safetensors SUFFIX POWER multiply all bf16 tensors whose names end so by 2^POWER
tool.py spike DIR TOKEN                    gives the token a value beyond float16 in the first decoder layer, which nothing reads
tool.py gguf FILE EDIT...                  change a GGUF file: KEY=TYPE:JSON sets a metadata key ("u32:7", "arr/str:[]"),
                                           KEY[I]=JSON one element, -KEY removes one, %TENSOR removes a tensor,
                                           TENSOR:NExNE gives it another shape, fastest dimension first
tool.py split FILE.gguf STEM COUNT         divide it into STEM-00001-of-0000N.gguf and so on; the first part has most keys
tool.py sub FILE OLD NEW                   replace text that must occur in the file
tool.py keys                               paths and types of the JSON on standard input
tool.py fuzz FILE COUNT SIZE COMMAND...    flip single bits within the first SIZE bytes, and report where the command does not exit
                                           with status 0, or with 1 or 3 and one error line
"""
import json
import math
import random
import re
import struct
import subprocess
import sys
import wave
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
from gguf_file import GgufFile  # noqa: E402


def make_wav(path, n_samples):
    with wave.open(path, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        tone = [int(1000 * math.sin(i / 8)) for i in range(int(n_samples))]
        out.writeframes(struct.pack(f"<{len(tone)}h", *tone))


def make_hours(path, seconds, clip, every):
    rate, seconds, every = 16000, int(seconds), int(every)
    with wave.open(clip, "rb") as source:
        assert source.getparams()[:3] == (1, 2, rate)
        samples = source.readframes(source.getnframes())
    size = 2 * rate * seconds
    with open(path, "wb") as out:
        out.write(struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16, b"data", size))
        for at in range(every // 2, seconds, every):
            out.seek(44 + 2 * rate * at)
            out.write(samples)
        out.truncate(44 + size)


def read_header(path):
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        return size, json.loads(f.read(size))


def set_value(path, tensor, index, value):
    size, header = read_header(path)
    bits = struct.unpack("<I", struct.pack("<f", float(value)))[0] >> 16
    with open(path, "r+b") as f:
        f.seek(8 + size + header[tensor]["data_offsets"][0] + 2 * int(index))
        f.write(struct.pack("<H", bits))


def set_header(path, tensor, key, value):
    size, header = read_header(path)
    header[tensor][key] = json.loads(value)
    text = json.dumps(header, separators=(",", ":")).encode()
    data = Path(path).read_bytes()
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size:])


def scale_tensors(path, suffix, power):
    data = bytearray(Path(path).read_bytes())
    size, = struct.unpack_from("<Q", data)
    for name, entry in json.loads(data[8:8 + size]).items():
        if not name.endswith(suffix):
            continue
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        for at in range(begin, end, 2):
            bits, = struct.unpack_from("<H", data, at)
            exponent = bits >> 7 & 0xFF
            if bits & 0x7FFF:
                assert 0 < exponent and 0 < exponent + int(power) < 0xFF, name
                struct.pack_into("<H", data, at, bits + (int(power) << 7))
    Path(path).write_bytes(data)


class Bf16Tensor:
    """A tensor of a model directory; rows are read and written as numbers."""

    def __init__(self, folder, name):
        for self.path in sorted(Path(folder).glob("*.safetensors")):
            data = self.path.read_bytes()
            size, = struct.unpack_from("<Q", data)
            entry = json.loads(data[8:8 + size]).get(name)
            if entry:
                self.begin, self.columns = 8 + size + entry["data_offsets"][0], entry["shape"][-1]
                self.rows = entry["shape"][0] if len(entry["shape"]) > 1 else 1
                return
        raise KeyError(name)

    def at(self, row):
        return self.begin + 2 * row * self.columns

    def row(self, row=0, data=None):
        words = struct.unpack_from(f"<{self.columns}H", data or self.path.read_bytes(), self.at(row))
        return [struct.unpack("<f", struct.pack("<I", word << 16))[0] for word in words]

    def change(self, edit):
        """edit(row, numbers) -> numbers, for every row."""
        data = bytearray(self.path.read_bytes())
        for row in range(self.rows):
            numbers = edit(row, self.row(row, data))
            struct.pack_into(f"<{self.columns}H", data, self.at(row), *[struct.unpack("<I", struct.pack("<f", x))[0] >> 16 for x in numbers])
        self.path.write_bytes(data)


def add_spike(folder, token):
    text = json.loads(Path(folder, "config.json").read_text())["thinker_config"]["text_config"]
    layer = "thinker.model.layers.0."
    row = Bf16Tensor(folder, "thinker.model.embed_tokens.weight").row(int(token))
    weight = Bf16Tensor(folder, layer + "input_layernorm.weight").row()
    scale = math.sqrt(sum(x * x for x in row) / len(row))
    normed = [x / scale * w for x, w in zip(row, weight)]
    factor = 1.2 * 65520 / sum(x * x for x in normed)  # others have at most a part of it
    Bf16Tensor(folder, layer + "self_attn.v_proj.weight").change(lambda i, old: [factor * x for x in normed] if i == 0 else old)
    group = text["num_attention_heads"] // text["num_key_value_heads"]
    readers = [head * text["head_dim"] for head in range(group)]
    Bf16Tensor(folder, layer + "self_attn.o_proj.weight").change(lambda i, old: [0 if c in readers else x for c, x in enumerate(old)])


def edit_gguf(path, *edits):
    file = GgufFile.read(path)
    for edit in edits:
        element = re.fullmatch(r"([^=]+)\[(\d+)\]=(.*)", edit)
        if edit.startswith("-"):
            del file.keys[edit[1:]]
        elif edit.startswith("%"):
            del file.tensors[edit[1:]]
        elif element:
            file.keys[element[1]][1][int(element[2])] = json.loads(element[3])
        elif "=" in edit:
            key, value = edit.split("=", 1)
            kind, value = value.split(":", 1)
            file.set(key, tuple(kind.split("/")) if "/" in kind else kind, json.loads(value))
        else:
            name, shape = edit.split(":")
            file.tensors[name][0] = [int(n) for n in shape.split("x")]
    file.write(path)


def split_gguf(path, stem, count):
    whole, count = GgufFile.read(path), int(count)
    names = list(whole.tensors)
    for no in range(count):
        part = GgufFile(whole.version)
        part.keys = dict(whole.keys) if no == 0 else {}
        part.set("split.no", "u16", no)
        part.set("split.count", "u16", count)
        part.set("split.tensors.count", "i32", len(names))
        mine = names[no * len(names) // count:(no + 1) * len(names) // count]
        part.tensors = {name: whole.tensors[name] for name in mine}
        part.write(f"{stem}-{no + 1:05}-of-{count:05}.gguf")


def substitute(path, old, new):
    data = Path(path).read_bytes()
    assert old.encode() in data, f"'{old}' is not in {path}"
    Path(path).write_bytes(data.replace(old.encode(), new.encode()))


def print_keys(value, path=""):
    if isinstance(value, dict):
        for key, inner in value.items():
            print_keys(inner, f"{path}.{key}")
    elif isinstance(value, list):
        print(f"{path}[]")
        if value:
            print_keys(value[0], path + "[0]")
    else:
        print(path, type(value).__name__)


def fuzz(path, count, size, command):
    good = Path(path).read_bytes()
    rng = random.Random(1)
    for _ in range(int(count)):
        position, bit = rng.randrange(min(int(size), len(good))), rng.randrange(8)
        bad = bytearray(good)
        bad[position] ^= 1 << bit
        Path(path).write_bytes(bad)
        done = subprocess.run(command, capture_output=True, timeout=120)
        lines = [line for line in done.stderr.splitlines() if not line.startswith(b"qasr: warning: ")]
        clean = done.returncode == 0 and not lines
        refused = done.returncode in (1, 3) and len(lines) == 1 and lines[0].startswith(b"qasr: ")
        if not clean and not refused:
            print(f"byte {position} bit {bit}: status {done.returncode}, {lines[:3]}")
    Path(path).write_bytes(good)


def main():
    what, *args = sys.argv[1:]
    if what == "keys":
        print_keys(json.load(sys.stdin))
    elif what == "fuzz":
        fuzz(args[0], args[1], args[2], args[3:])
    else:
        {"wav": make_wav, "hours": make_hours, "set": set_value, "header": set_header, "scale": scale_tensors, "spike": add_spike,
         "gguf": edit_gguf, "split": split_gguf, "sub": substitute}[what](*args)


if __name__ == "__main__":
    main()
