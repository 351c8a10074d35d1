#!/usr/bin/env python3
"""Compare our reading and writing of weights files with the official `safetensors` and `gguf` packages.

    check_formats.py all --dump-weights PROGRAM --write-gguf PROGRAM
        everything below, in a temporary folder
    check_formats.py write-safetensors DIR
        writes models DIR/NAME/ with the safetensors package, and DIR/NAME.expected.jsonl
    check_formats.py write-gguf DIR
        writes files DIR/NAME.gguf with the gguf package, and DIR/NAME.expected.jsonl
    check_formats.py compare EXPECTED.jsonl ACTUAL.jsonl
        ACTUAL is the output of dump_weights for such a model or file
    check_formats.py read-gguf FILE.gguf REFERENCE.safetensors
        opens FILE with the gguf package, dequantizes every tensor and compares it bit for bit with
        REFERENCE, which dump_weights wrote for the same file

The packages are taken from the Python that QASR_TEST_PYTHON names, else from the one that runs this, else from
.venv in the source tree. Exit code 77: none of them has the packages.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import packages

packages.find("gguf", "numpy", "safetensors")

import gguf  # noqa: E402
import numpy as np  # noqa: E402
import safetensors  # noqa: E402
import safetensors.numpy  # noqa: E402
from gguf import GGMLQuantizationType as Type  # noqa: E402


# ---- the form that dump_weights prints ------------------------------------------------------

def fnv1a(data: bytes) -> str:
    h = 0xCBF29CE484222325
    for byte in data:
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{h:016x}"


def tensor_line(name, canonical, type_name, values):
    values = np.ascontiguousarray(values, dtype="<f4") if values.ndim else values.astype("<f4")
    return {"name": name, "canonical": canonical, "type": type_name, "shape": list(values.shape),
            "fnv1a": fnv1a(values.tobytes())}


def key_line(key, type_id, value):
    return {"key": key, "type": int(type_id), "value": value}


def write_lines(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def read_lines(path):
    lines = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    by_name = {line.get("name", line.get("key")): line for line in lines}
    if len(by_name) != len(lines):
        raise SystemExit(f"{path}: duplicate name")
    return by_name


def compare(expected_path, actual_path):
    expected, actual = read_lines(expected_path), read_lines(actual_path)
    wrong = [f"{name}: expected {expected.get(name)}, found {actual.get(name)}"
             for name in sorted(expected.keys() | actual.keys()) if expected.get(name) != actual.get(name)]
    if not expected or wrong:
        raise SystemExit("\n".join([f"{actual_path} differs from {expected_path}", *wrong]))
    return len(expected)


# ---- safetensors written by the official package ----------------------------------------------

def to_bf16(values):
    """Upper halves of float32 values that fit bfloat16 exactly."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    assert not (bits & 0xFFFF).any()
    return (bits >> 16).astype(np.uint16)


def example_values(rng, shape, dtype):
    values = (rng.standard_normal(shape) * 0.3).astype(np.float32)
    if dtype == "BF16":
        return (values.reshape(-1).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32).reshape(shape)
    return values.astype(np.float16).astype(np.float32) if dtype == "F16" else values


def save_safetensors(path, tensors, metadata=None):
    """tensors: name -> (dtype, values)."""
    names = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "I64": "int64"}
    stored = {"BF16": to_bf16, "F16": lambda x: x.astype(np.float16), "F32": np.float32, "I64": np.int64}
    arrays = {name: np.array(stored[dtype](values)) for name, (dtype, values) in tensors.items()}
    specs = {name: safetensors.TensorSpec(dtype=names[tensors[name][0]], shape=list(np.shape(tensors[name][1])),
                                          data_ptr=a.ctypes.data, data_len=a.nbytes)
             for name, a in arrays.items()}
    safetensors.serialize_file(specs, path, metadata=metadata)


ORIGINAL_SHAPES = {
    "thinker.audio_tower.conv2d1.weight": (6, 1, 3, 3),
    "thinker.audio_tower.conv2d1.bias": (6,),
    "thinker.audio_tower.proj1.weight": (8, 8),
    "thinker.audio_tower.proj2.bias": (16,),
    "thinker.model.embed_tokens.weight": (40, 16),
    "thinker.model.layers.0.mlp.up_proj.weight": (48, 16),
    "thinker.model.norm.weight": (16,),
    "thinker.lm_head.weight": (40, 16),
}
NATIVE_NAMES = {
    "thinker.audio_tower.conv2d1.weight": "model.audio_tower.conv2d1.weight",
    "thinker.audio_tower.conv2d1.bias": "model.audio_tower.conv2d1.bias",
    "thinker.audio_tower.proj1.weight": "model.multi_modal_projector.linear_1.weight",
    "thinker.audio_tower.proj2.bias": "model.multi_modal_projector.linear_2.bias",
    "thinker.model.embed_tokens.weight": "model.language_model.embed_tokens.weight",
    "thinker.model.layers.0.mlp.up_proj.weight": "model.language_model.layers.0.mlp.up_proj.weight",
    "thinker.model.norm.weight": "model.language_model.norm.weight",
    "thinker.lm_head.weight": "lm_head.weight",
}


def model_tensors(rng, dtypes):
    """name -> (dtype, values), with the dtypes in rotation."""
    return {name: (dtypes[i % len(dtypes)], example_values(rng, shape, dtypes[i % len(dtypes)]))
            for i, (name, shape) in enumerate(ORIGINAL_SHAPES.items())}


def expect_tensors(tensors, canonical=None):
    return [tensor_line(name, (canonical or {}).get(name, name), dtype.lower(), values)
            for name, (dtype, values) in tensors.items()]


def write_single(folder, rng):
    tensors = model_tensors(rng, ["F32", "F16", "BF16"])
    tensors["scalar"] = ("F32", np.float32(2.5))
    tensors["empty"] = ("F16", np.zeros((0, 4), np.float32))
    save_safetensors(folder / "model.safetensors", {**tensors, "left.out": ("I64", np.arange(3))},
                     {"format": "pt", "note": "caf\u00e9"})
    return [key_line("format", 8, "pt"), key_line("note", 8, "caf\u00e9"), *expect_tensors(tensors)]


def write_sharded(folder, rng):
    """Two shards and their index, plus a tensor that is not in the index."""
    tensors = model_tensors(rng, ["BF16"])
    names = list(tensors)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, part in parts.items():
        save_safetensors(folder / file, {**{name: tensors[name] for name in part}, "stray": tensors[part[0]]},
                         {"format": "pt"})
    weight_map = {name: file for file, part in parts.items() for name in part}
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}, indent=2), encoding="utf-8")
    return [key_line("format", 8, "pt"), *expect_tensors(tensors)]


def write_shards_without_index(folder, rng):
    tensors = model_tensors(rng, ["F16"])
    names = list(tensors)
    for i in range(3):
        save_safetensors(folder / f"model-{i + 1:05}-of-00003.safetensors", {n: tensors[n] for n in names[i::3]})
    return expect_tensors(tensors)


def write_native(folder, rng):
    """The "-hf" names, through the package's own save_file."""
    tensors = {NATIVE_NAMES[name]: value for name, value in model_tensors(rng, ["F32"]).items()}
    safetensors.numpy.save_file({name: values for name, (_, values) in tensors.items()}, folder / "model.safetensors")
    return expect_tensors(tensors, {native: original for original, native in NATIVE_NAMES.items()})


def write_safetensors(folder):
    rng = np.random.default_rng(20260)
    models = {"single": write_single, "sharded": write_sharded, "shards": write_shards_without_index,
              "native": write_native}
    for name, write in models.items():
        (folder / name).mkdir(parents=True)
        write_lines(folder / f"{name}.expected.jsonl", write(folder / name, rng))
    return {name: folder / name for name in models}


# ---- GGUF written by the official package --------------------------------------------------------

# Where the float16 factors of a block are: random bytes there could be infinities.
FACTORS = {Type.Q4_K: (0, 2), Type.Q5_K: (0, 2), Type.Q6_K: (208,), Type.IQ4_NL: (0,)}


def random_blocks(rng, qtype, rows, row):
    block, size = gguf.GGML_QUANT_SIZES[qtype]
    data = rng.integers(0, 256, (rows * row // block, size), dtype=np.uint8)
    for at in FACTORS[qtype]:
        data[:, at:at + 2] = (rng.standard_normal((len(data), 1)) * 0.01).astype(np.float16).view(np.uint8)
    return data.reshape(rows, -1)


def add_quantized(writer, rng):
    """Every type that we read: quantized by the package where it can, random blocks otherwise."""
    lines = []
    for qtype in (Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1):
        values = (rng.standard_normal((3, 256)) * 0.2).astype(np.float32)
        values[1, 32:64] = 0
        data = gguf.quants.quantize(values, qtype)
        writer.add_tensor(f"matrix.{qtype.name}", data, raw_dtype=qtype)
        lines.append(tensor_line(f"matrix.{qtype.name}", f"matrix.{qtype.name}", qtype.name.lower(),
                                 gguf.quants.dequantize(data, qtype)))
    for qtype in FACTORS:
        data = random_blocks(rng, qtype, 3, 512)
        writer.add_tensor(f"matrix.{qtype.name}", data, raw_dtype=qtype)
        lines.append(tensor_line(f"matrix.{qtype.name}", f"matrix.{qtype.name}", qtype.name.lower(),
                                 gguf.quants.dequantize(data, qtype)))
    return lines


def add_keys(writer):
    lines = []
    for type_name, value in (("uint8", 200), ("int8", -100), ("uint16", 65535), ("int16", -2), ("uint32", 2**32 - 1),
                             ("int32", -2**31), ("uint64", 2**62), ("int64", -2**63), ("float32", 0.5),
                             ("float64", 0.1), ("bool", True), ("string", "na\u00efve \u2615")):
        getattr(writer, f"add_{type_name}")(f"test.{type_name}", value)
        lines.append(key_line(f"test.{type_name}", gguf.GGUFValueType[type_name.upper()], value))
    words = ["a", "", "\u0120longer token", "x" * 300]
    writer.add_array("test.words", words)
    writer.add_array("test.numbers", [1, -2, 3])
    lines.append(key_line("test.words", gguf.GGUFValueType.ARRAY, words))
    lines.append(key_line("test.numbers", gguf.GGUFValueType.ARRAY, fnv1a(np.array([1, -2, 3], "<i4").tobytes())))
    return lines


def save_gguf(path, alignment=None, endianess=gguf.GGUFEndian.LITTLE):
    rng = np.random.default_rng(20261)
    writer = gguf.GGUFWriter(path, "test", endianess=endianess)
    lines = [key_line("general.architecture", gguf.GGUFValueType.STRING, "test")]
    if alignment:
        writer.add_custom_alignment(alignment)
        lines.append(key_line("general.alignment", gguf.GGUFValueType.UINT32, alignment))
    lines += add_keys(writer)
    if endianess == gguf.GGUFEndian.LITTLE:
        lines += add_quantized(writer, rng)
    conv = rng.standard_normal((4, 1, 3, 3)).astype(np.float32)
    writer.add_tensor("model.audio_tower.conv2d1.weight", conv)
    lines.append(tensor_line("model.audio_tower.conv2d1.weight", "thinker.audio_tower.conv2d1.weight", "f32", conv))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return lines


def write_gguf(folder):
    folder.mkdir(parents=True, exist_ok=True)
    write_lines(folder / "plain.expected.jsonl", save_gguf(folder / "plain.gguf"))
    write_lines(folder / "aligned.expected.jsonl", save_gguf(folder / "aligned.gguf", alignment=128))
    save_gguf(folder / "swapped.gguf", endianess=gguf.GGUFEndian.BIG)
    return {name: folder / f"{name}.gguf" for name in ("plain", "aligned")}


# ---- GGUF read by the official package -------------------------------------------------------------

def logical_shape(tensor):
    return tuple(int(n) for n in reversed(tensor.shape))


def read_gguf(path, reference):
    """Compares bit for bit: every reader must get the same values."""
    expected = safetensors.numpy.load_file(reference)
    tensors = {t.name: t for t in gguf.GGUFReader(path).tensors}
    if not tensors or tensors.keys() != expected.keys():
        raise SystemExit(f"{path}: tensors differ: {sorted(tensors.keys() ^ expected.keys())}")
    for name, tensor in tensors.items():
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(logical_shape(tensor))
        ours = expected[name]
        if ours.shape != values.shape:
            raise SystemExit(f"{path}: '{name}' has shape {values.shape}, we read {ours.shape}")
        if not np.array_equal(ours.view(np.uint32), np.ascontiguousarray(values, np.float32).view(np.uint32)):
            raise SystemExit(f"{path}: '{name}' ({tensor.tensor_type.name}) differs by up to "
                             f"{np.abs(ours - values).max()}")
    return len(tensors)


def check_our_keys(path):
    """Compares the contents written by tests/tools/write_gguf.c, as the official reader sees them."""
    expected = {"general.architecture": "test", "general.alignment": 32, "test.text": "caf\u00e9 \u2615",
                "test.empty": "", "test.float": float(np.float32(0.1)), "test.yes": True, "test.no": False,
                "test.numbers": [1, -2, 3], "test.words": ["caf\u00e9", ""]}
    found = {key: field.contents() for key, field in gguf.GGUFReader(path).fields.items()
             if not key.startswith("GGUF.")}
    if list(found.items()) != list(expected.items()):
        raise SystemExit(f"{path}: metadata is {found}, expected {expected}")


def check_our_header(path):
    """Checks shapes in ggml's order, and offsets as running sums of padded sizes."""
    shapes = {"vector": [7], "bias": [1, 1, 5], "conv": [3, 3, 1, 2], "cube": [64, 3, 2], "matrix.QUANT_Q6_K": [512, 3]}
    reader, position = gguf.GGUFReader(path), None
    for tensor in reader.tensors:
        if tensor.name in shapes and [int(n) for n in tensor.shape] != shapes[tensor.name]:
            raise SystemExit(f"{path}: '{tensor.name}' has dimensions {tensor.shape}")
        if position not in (None, tensor.data_offset):
            raise SystemExit(f"{path}: '{tensor.name}' starts at {tensor.data_offset}, expected {position}")
        position = tensor.data_offset + (int(tensor.n_bytes) + 31) // 32 * 32
    if position != Path(path).stat().st_size:
        raise SystemExit(f"{path}: the file ends at {Path(path).stat().st_size}, expected {position}")


# ---- everything ---------------------------------------------------------------------------------------

def dump(program, path, out_lines, out_values=None):
    arguments = [program, str(path)] + ([str(out_values)] if out_values else [])
    with open(out_lines, "wb") as f:
        subprocess.run(arguments, stdout=f, check=True)


def check_refused(program, path, text):
    done = subprocess.run([program, str(path)], capture_output=True, text=True)
    if done.returncode != 1 or text not in done.stderr:
        raise SystemExit(f"{path}: exit code {done.returncode}, message '{done.stderr}', expected '{text}'")


QTYPES = ("q8_0", "q6_k", "q5_k", "q4_k", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")


def check_quantized(qasr, model, dump_weights, folder):
    """The official package and our reader dequantize files of `qasr quantize` to the same bits."""
    for qtype in QTYPES:
        path, values = folder / f"{qtype}.gguf", folder / f"{qtype}.safetensors"
        subprocess.run([qasr, "quantize", "--input", model, "--output", str(path), "--qtype", qtype, "--scope", "thinker.",
                        "--encoder-qtype", qtype], check=True, stdout=subprocess.DEVNULL)
        dump(dump_weights, path, folder / f"{qtype}.jsonl", values)
        n = read_gguf(path, values)
        n_wanted = sum(t.tensor_type.name == qtype.upper() for t in gguf.GGUFReader(path).tensors)
        if n_wanted < 80:
            raise SystemExit(f"{path}: only {n_wanted} of {n} tensors are {qtype}")
        print(f"quantized {qtype}: {n} tensors agree, {n_wanted} of that type")


# ---- whole models in the layout of transcribe.cpp -----------------------------------------------------

ENCODER_TOP = ["conv.0.weight", "conv.0.bias", "conv.1.weight", "conv.1.bias", "conv.2.weight", "conv.2.bias", "conv_out.weight",
               "ln_post.weight", "ln_post.bias", "proj1.weight", "proj1.bias", "proj2.weight", "proj2.bias"]
ENCODER_BLOCK = [f"{name}.{part}" for name in ("norm_attn", "attn.q", "attn.k", "attn.v", "attn.out", "norm_ffn", "ffn.fc1", "ffn.fc2")
                 for part in ("weight", "bias")]
DECODER_BLOCK = [f"{name}.weight" for name in ("norm_attn", "norm_ffn", "attn.q", "attn.k", "attn.v", "attn.o", "attn.q_norm",
                                               "attn.k_norm", "ffn.gate", "ffn.up", "ffn.down")]


def whole_names(encoder_layers, decoder_layers):
    return ({"frontend.mel_filterbank", "frontend.window", "dec.token_embd.weight", "dec.output_norm.weight"}
            | {f"enc.{name}" for name in ENCODER_TOP}
            | {f"enc.blocks.{i}.{name}" for i in range(encoder_layers) for name in ENCODER_BLOCK}
            | {f"dec.blocks.{i}.{name}" for i in range(decoder_layers) for name in DECODER_BLOCK})


def wanted_type(name, decoder, decoder_out, embedding):
    """As a Q4_K_M or Q5_K_M file of that layout, with an 8-bit encoder."""
    if name.startswith(("frontend.", "enc.conv.")) or name.endswith(".bias") or "norm" in name or "ln_post" in name:
        return "F32"
    if name.startswith("enc."):
        return "Q8_0"
    return embedding if "token_embd" in name else decoder_out if name.endswith("attn.o.weight") else decoder


def expected_tokens(model, n_vocab):
    """(text, type) of every row, from the files of the model directory."""
    rows = [(f"<|unused_{i}|>", 1) for i in range(n_vocab)]
    for text, i in json.loads((model / "vocab.json").read_text(encoding="utf-8")).items():
        rows[i] = (text, 1)
    config = json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))
    for i, added in config["added_tokens_decoder"].items():
        rows[int(i)] = (added["content"], 3 if added["special"] else 1)
    return rows


def check_whole_keys(path, fields, model):
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))["thinker_config"]
    audio, text = config["audio_config"], config["text_config"]
    encoder = {"n_layers": "encoder_layers", "d_model": "d_model", "n_heads": "encoder_attention_heads", "ffn_dim": "encoder_ffn_dim",
               "num_mel_bins": "num_mel_bins", "downsample_hidden": "downsample_hidden_size", "output_dim": "output_dim",
               "max_source_positions": "max_source_positions", "n_window": "n_window", "n_window_infer": "n_window_infer",
               "conv_chunksize": "conv_chunksize", "activation": "activation_function"}
    decoder = {"n_layers": "num_hidden_layers", "hidden_size": "hidden_size", "intermediate_size": "intermediate_size",
               "n_heads": "num_attention_heads", "n_kv_heads": "num_key_value_heads", "head_dim": "head_dim",
               "max_position_embeddings": "max_position_embeddings", "vocab_size": "vocab_size", "hidden_act": "hidden_act",
               "rms_norm_eps": "rms_norm_eps", "rope_theta": "rope_theta", "tie_word_embeddings": "tie_word_embeddings"}
    sections = dict(zip("thw", text["rope_scaling"]["mrope_section"]))
    expected = {"general.architecture": "qwen3_asr", "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "qwen2",
                "tokenizer.ggml.add_bos_token": False, "stt.frontend.type": "mel", "stt.frontend.num_mels": 128,
                "stt.frontend.sample_rate": 16000, "stt.frontend.n_fft": 400, "stt.frontend.win_length": 400,
                "stt.frontend.hop_length": 160, "stt.frontend.window": "hann_periodic", "stt.frontend.normalize": "per_utterance",
                "stt.frontend.dither": 0.0, "stt.frontend.pre_emphasis": 0.0, "stt.frontend.f_min": 0.0, "stt.frontend.f_max": 8000.0,
                "stt.frontend.pad_mode": "reflect", "stt.frontend.center": True, "stt.frontend.mel_norm": "slaney",
                "stt.frontend.chunk_length": 30, "stt.frontend.n_samples": 480000, "stt.frontend.nb_max_frames": 3000,
                **{f"stt.qwen3_asr.encoder.{key}": audio[name] for key, name in encoder.items()},
                **{f"stt.qwen3_asr.decoder.{key}": text[name] for key, name in decoder.items()},
                **{f"stt.qwen3_asr.decoder.rope_mrope_section_{letter}": n for letter, n in sections.items()},
                "stt.qwen3_asr.decoder.rope_mrope_interleaved": True,
                **{f"stt.qwen3_asr.{name}": config[name] for name in ("audio_token_id", "audio_start_token_id", "audio_end_token_id")}}
    for key, value in expected.items():
        found = fields[key].contents() if key in fields else None
        if found != value and not (isinstance(value, float) and found == float(np.float32(value))):
            raise SystemExit(f"{path}: key '{key}' is {found!r}, expected {value!r}")
    for key in ("general.name", "general.basename", "general.size_label", "general.languages", "general.file_type", "stt.variant",
                "stt.capability.lang_detect", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.padding_token_id"):
        if key not in fields:
            raise SystemExit(f"{path}: missing key '{key}'")
    rows = expected_tokens(model, text["vocab_size"])
    merges = [line for line in (model / "merges.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#version")]
    lists = {"tokens": [row[0] for row in rows], "token_type": [row[1] for row in rows], "merges": merges}
    for name, wanted in lists.items():
        if fields[f"tokenizer.ggml.{name}"].contents() != wanted:
            raise SystemExit(f"{path}: tokenizer.ggml.{name} differs from the model directory")
    return audio["encoder_layers"], text["num_hidden_layers"]


def check_whole(qasr, model, folder):
    """A whole model has every key and tensor that transcribe.cpp requires, and no other tensor."""
    for qtype, decoder, decoder_out, embedding in (("q4_k_m", "Q4_K", "Q8_0", "Q6_K"), ("q5_k_m", "Q5_K", "Q8_0", "Q6_K"),
                                                   ("q8_0", "Q8_0", "Q8_0", "Q8_0")):
        path = folder / f"whole-{qtype}.gguf"
        subprocess.run([qasr, "quantize", "--input", model, "--output", str(path), "--qtype", qtype, "--scope", "all", "--quiet"],
                       check=True)
        reader = gguf.GGUFReader(path)
        layers = check_whole_keys(path, reader.fields, Path(model))
        tensors = {tensor.name: tensor for tensor in reader.tensors}
        if tensors.keys() != whole_names(*layers):
            raise SystemExit(f"{path}: tensors differ: {sorted(tensors.keys() ^ whole_names(*layers))}")
        for name, tensor in tensors.items():
            if tensor.tensor_type.name != wanted_type(name, decoder, decoder_out, embedding):
                raise SystemExit(f"{path}: '{name}' is {tensor.tensor_type.name}")
        if logical_shape(tensors["frontend.mel_filterbank"]) != (128, 201) or logical_shape(tensors["frontend.window"]) != (400,):
            raise SystemExit(f"{path}: the tables of the front end have other shapes")
        print(f"whole model {qtype}: {len(tensors)} tensors, {len(reader.fields)} keys")


def check_all(options):
    dump_weights = options.dump_weights
    with tempfile.TemporaryDirectory(prefix="qasr-formats-") as temporary:
        folder = Path(temporary)
        for name, path in {**write_safetensors(folder / "st"), **write_gguf(folder / "gguf")}.items():
            actual = folder / f"{name}.actual.jsonl"
            dump(dump_weights, path, actual)
            n = compare(path.parent / f"{name}.expected.jsonl", actual)
            print(f"{name}: {n} tensors and keys agree")
        check_refused(dump_weights, folder / "gguf" / "swapped.gguf", "big-endian byte order")
        ours, values = folder / "ours.gguf", folder / "ours.safetensors"
        subprocess.run([options.write_gguf, str(ours)], check=True)
        dump(dump_weights, ours, folder / "ours.jsonl", values)
        print(f"our GGUF file: {read_gguf(ours, values)} tensors agree")
        check_our_keys(ours)
        check_our_header(ours)
        check_quantized(options.qasr, options.model, dump_weights, folder)
        check_whole(options.qasr, options.model, folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("all")
    command.add_argument("--dump-weights", required=True)
    command.add_argument("--write-gguf", required=True)
    command.add_argument("--qasr", required=True)
    command.add_argument("--model", required=True)
    for name in ("write-safetensors", "write-gguf"):
        commands.add_parser(name).add_argument("folder", type=Path)
    command = commands.add_parser("compare")
    command.add_argument("expected")
    command.add_argument("actual")
    command = commands.add_parser("read-gguf")
    command.add_argument("file")
    command.add_argument("reference")
    options = parser.parse_args()
    if options.command == "all":
        check_all(options)
    elif options.command == "write-safetensors":
        write_safetensors(options.folder)
    elif options.command == "write-gguf":
        write_gguf(options.folder)
    elif options.command == "compare":
        print(f"{compare(options.expected, options.actual)} tensors and keys agree")
    else:
        print(f"{read_gguf(options.file, options.reference)} tensors agree")


main()
