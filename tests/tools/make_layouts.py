#!/usr/bin/env python3
"""Writes a model directory in every GGUF layout that exists for Qwen3-ASR.

make_layouts.py MODEL_DIR OUT_DIR [STAMP]

Names, keys and types follow the other programs' converters, based on descriptions of their files; no code is shared with the
program under test. Needs only Python.
  stt-bf16.gguf, stt-q8_0.gguf         transcribe.cpp
  crisp-f16.gguf                       CrispASR
  llama/Demo-F16.gguf, llama/mmproj-Demo-F16.gguf    llama.cpp
  rust-q8_0.gguf                       RustASR: the decoder only
"""
import array
import json
import math
import random
import struct
import sys
from pathlib import Path

from gguf_file import BF16, F16, F32, Q8_0, GgufFile

# ---- the source ----------------------------------------------------------------------------------


class Tensor:
    """bf16 values as in the safetensors files."""

    def __init__(self, shape, raw):
        self.shape, self.raw = shape, raw

    def floats(self):
        wide = bytearray(2 * len(self.raw))
        wide[2::4], wide[3::4] = self.raw[0::2], self.raw[1::2]
        return array.array("f", bytes(wide))

    def data(self, type_id):
        if type_id == BF16:
            return self.raw
        values = self.floats()
        if type_id == F32:
            return values.tobytes()
        if type_id == F16:
            return struct.pack(f"<{len(values)}e", *values)
        return quantize_q8_0(values)


def quantize_q8_0(values):
    out = bytearray()
    for i in range(0, len(values), 32):
        block = values[i:i + 32]
        scale = max(max(block), -min(block)) / 127
        inverse = 1 / scale if scale else 0
        out += struct.pack("<e32b", scale, *[math.floor(abs(x) * inverse + 0.5) * (1 if x > 0 else -1) for x in block])
    return bytes(out)


def read_safetensors(folder):
    """Original name after 'thinker.' -> Tensor."""
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        data = path.read_bytes()
        size, = struct.unpack_from("<Q", data)
        for name, spec in json.loads(data[8:8 + size]).items():
            if name == "__metadata__":
                continue
            assert spec["dtype"] == "BF16" and name.startswith("thinker.")
            begin, end = spec["data_offsets"]
            tensors[name[len("thinker."):]] = Tensor(spec["shape"], data[8 + size + begin:8 + size + end])
    return tensors


class Model:
    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        thinker = self.config["thinker_config"]
        self.ids, self.enc, self.dec = thinker, thinker["audio_config"], thinker["text_config"]
        self.tensors = read_safetensors(folder)
        vocab = json.loads((folder / "vocab.json").read_text())
        self.added = {int(i): t for i, t in json.loads((folder / "tokenizer_config.json").read_text())["added_tokens_decoder"].items()}
        self.texts = {i: token for token, i in vocab.items()} | {i: t["content"] for i, t in self.added.items()}
        lines = (folder / "merges.txt").read_text().splitlines()
        self.merges = [line for line in lines if line and not line.startswith("#version")]

    def id_of(self, content):
        return next(i for i, t in self.added.items() if t["content"] == content)

    def rows(self, unused):
        n = self.dec["vocab_size"]
        return [self.texts.get(i, unused.format(i)) for i in range(n)]


# ---- names: one column per layout --------------------------------------------------------------

ENC_LAYER = ["self_attn_layer_norm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj",
             "final_layer_norm", "fc1", "fc2"]
DEC_LAYER = ["input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
             "self_attn.q_norm", "self_attn.k_norm", "post_attention_layernorm", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
BLK = "attn_norm attn_q attn_k attn_v attn_output attn_q_norm attn_k_norm ffn_norm ffn_gate ffn_up ffn_down".split()
NAMES = {
    "llama": dict(
        conv="a.conv2d.{}", first_conv=1, conv_out="a.conv_out", enc="a.blk.{}.{}", ln_post="a.post_ln", proj="mm.a.mlp.{}",
        enc_layer="ln1 attn_q attn_k attn_v attn_out ln2 ffn_up ffn_down".split(),
        embed="token_embd", norm="output_norm", head="output", dec="blk.{}.{}", dec_layer=BLK),
    "stt": dict(
        conv="enc.conv.{}", first_conv=0, conv_out="enc.conv_out", enc="enc.blocks.{}.{}", ln_post="enc.ln_post", proj="enc.proj{}",
        enc_layer="norm_attn attn.q attn.k attn.v attn.out norm_ffn ffn.fc1 ffn.fc2".split(),
        embed="dec.token_embd", norm="dec.output_norm", dec="dec.blocks.{}.{}",
        dec_layer="norm_attn attn.q attn.k attn.v attn.o attn.q_norm attn.k_norm norm_ffn ffn.gate ffn.up ffn.down".split()),
    "crisp": dict(
        conv="audio.conv.{}", first_conv=1, conv_out="audio.conv_out", enc="audio.blk.{}.{}", ln_post="audio.ln_post",
        proj="audio.proj{}", enc_layer="attn_norm attn_q attn_k attn_v attn_out ffn_norm ffn_up ffn_down".split(),
        embed="token_embd", norm="output_norm", head="output", dec="blk.{}.{}", dec_layer=BLK),
}


def encoder_names(layout, model):
    """Pairs of names without .weight and .bias: the original's, the layout's."""
    n = NAMES[layout]
    for i in range(3):
        yield f"audio_tower.conv2d{i + 1}", n["conv"].format(i + n["first_conv"])
    yield "audio_tower.conv_out", n["conv_out"]
    for i in range(model.enc["encoder_layers"]):
        for ours, theirs in zip(ENC_LAYER, n["enc_layer"]):
            yield f"audio_tower.layers.{i}.{ours}", n["enc"].format(i, theirs)
    yield "audio_tower.ln_post", n["ln_post"]
    yield "audio_tower.proj1", n["proj"].format(1)
    yield "audio_tower.proj2", n["proj"].format(2)


def decoder_names(layout, model):
    n = NAMES[layout]
    yield "model.embed_tokens", n["embed"]
    for i in range(model.dec["num_hidden_layers"]):
        for ours, theirs in zip(DEC_LAYER, n["dec_layer"]):
            yield f"model.layers.{i}.{ours}", n["dec"].format(i, theirs)
    yield "model.norm", n["norm"]
    if "head" in n:
        yield "lm_head", n["head"]


def put(out, model, pairs, type_of, shape_of=lambda name, shape: shape):
    for ours, theirs in pairs:
        for end in ".weight", ".bias":
            t = model.tensors.get(ours + end)
            if t:
                kind = type_of(ours + end, t.shape)
                out.add(theirs + end, shape_of(ours + end, t.shape), kind, t.data(kind))


def is_conv(name):
    return ".conv2d" in name and name.endswith(".weight")


# ---- the layouts ------------------------------------------------------------------------------------


def put_tokenizer(out, model, unused, types=None, pre="qwen2"):
    out.set("tokenizer.ggml.model", "str", "gpt2")
    if pre:
        out.set("tokenizer.ggml.pre", "str", pre)
    out.set("tokenizer.ggml.tokens", ("arr", "str"), model.rows(unused))
    if types:
        out.set("tokenizer.ggml.token_type", ("arr", "i32"), [types(i) for i in range(model.dec["vocab_size"])])
    out.set("tokenizer.ggml.merges", ("arr", "str"), model.merges)


def write_stt(path, model, preset):
    out = GgufFile()
    enc, dec, ids = model.enc, model.dec, model.ids
    out.set("general.architecture", "str", "qwen3_asr")
    out.set("general.name", "str", "Qwen3-ASR (demo)")
    out.set("general.basename", "str", "qwen3-asr")
    out.set("general.size_label", "str", "10M")
    out.set("general.file_type", "u32", {"BF16": 32, "Q8_0": 7}[preset])
    out.set("general.languages", ("arr", "str"), ["en", "ru"])
    out.set("stt.variant", "str", "qwen3-asr-demo")
    out.set("stt.capability.lang_detect", "bool", True)
    put_tokenizer(out, model, "<|unused_{}|>", lambda i: 3 if model.added.get(i, {}).get("special") else 1)
    out.set("tokenizer.ggml.eos_token_id", "u32", model.id_of("<|im_end|>"))
    out.set("tokenizer.ggml.padding_token_id", "u32", model.id_of("<|endoftext|>"))
    out.set("tokenizer.ggml.add_bos_token", "bool", False)
    out.set("tokenizer.chat_template", "str", "{# not used #}")
    p = "stt.qwen3_asr."
    for key, name in dict(n_layers="encoder_layers", d_model="d_model", n_heads="encoder_attention_heads", ffn_dim="encoder_ffn_dim",
                          num_mel_bins="num_mel_bins", downsample_hidden="downsample_hidden_size", output_dim="output_dim",
                          max_source_positions="max_source_positions", n_window="n_window", n_window_infer="n_window_infer",
                          conv_chunksize="conv_chunksize").items():
        out.set(p + "encoder." + key, "u32", enc[name])
    out.set(p + "encoder.activation", "str", enc["activation_function"])
    for key, name in dict(n_layers="num_hidden_layers", hidden_size="hidden_size", intermediate_size="intermediate_size",
                          n_heads="num_attention_heads", n_kv_heads="num_key_value_heads", head_dim="head_dim",
                          max_position_embeddings="max_position_embeddings", vocab_size="vocab_size").items():
        out.set(p + "decoder." + key, "u32", dec[name])
    out.set(p + "decoder.hidden_act", "str", dec["hidden_act"])
    out.set(p + "decoder.rms_norm_eps", "f32", dec["rms_norm_eps"])
    out.set(p + "decoder.rope_theta", "f32", dec["rope_theta"])
    for axis, n in zip("thw", dec["rope_scaling"]["mrope_section"]):
        out.set(p + "decoder.rope_mrope_section_" + axis, "u32", n)
    out.set(p + "decoder.rope_mrope_interleaved", "bool", True)
    out.set(p + "decoder.tie_word_embeddings", "bool", True)
    for key in "audio_token_id", "audio_start_token_id", "audio_end_token_id":
        out.set(p + key, "u32", ids[key])
    f = "stt.frontend."
    for key, value in dict(num_mels=128, sample_rate=16000, n_fft=400, win_length=400, hop_length=160, chunk_length=30,
                           n_samples=480000, nb_max_frames=3000).items():
        out.set(f + key, "u32", value)
    for key, value in dict(type="mel", window="hann_periodic", normalize="per_utterance", pad_mode="reflect", mel_norm="slaney").items():
        out.set(f + key, "str", value)
    for key, value in dict(dither=0, pre_emphasis=0, f_min=0, f_max=8000).items():
        out.set(f + key, "f32", value)
    out.set(f + "center", "bool", True)

    def type_of(name, shape):
        if len(shape) == 1:
            return F32
        if is_conv(name):
            return F16 if preset == "BF16" else F32
        return {"BF16": BF16, "Q8_0": Q8_0}[preset]

    put(out, model, encoder_names("stt", model), type_of)
    put(out, model, decoder_names("stt", model), type_of)
    put_frontend(out, "frontend.mel_filterbank", [128, 201], "frontend.window")
    out.write(path)


def put_frontend(out, filters, shape, window):
    """Values that other readers use and this program computes itself: wrong ones here, to show that it ignores them."""
    for name, shape in (filters, shape), (window, [400]):
        n = math.prod(shape)
        out.add(name, shape, F32, struct.pack("<f", 1e9) * n)


def write_crisp(path, model):
    out = GgufFile()
    enc, dec, ids, p = model.enc, model.dec, model.ids, "qwen3asr."
    out.set("general.architecture", "str", "qwen3asr")
    out.set("general.name", "str", "demo")
    for key, value in dict(sample_rate=16000, n_mels=enc["num_mel_bins"], n_fft=400, win_length=400, hop_length=160).items():
        out.set(p + key, "u32", value)
    audio = dict(n_layers=enc["encoder_layers"], d_model=enc["d_model"], n_heads=enc["encoder_attention_heads"],
                 head_dim=enc["d_model"] // enc["encoder_attention_heads"], ff_dim=enc["encoder_ffn_dim"],
                 conv_channels=enc["downsample_hidden_size"], proj_dim=enc["output_dim"], max_source_pos=1500)
    llm = dict(n_layers=dec["num_hidden_layers"], d_model=dec["hidden_size"], n_heads=dec["num_attention_heads"],
               n_kv_heads=dec["num_key_value_heads"], head_dim=dec["head_dim"], ff_dim=dec["intermediate_size"],
               vocab_size=dec["vocab_size"], max_pos=dec["max_position_embeddings"])
    for key, value in audio.items():
        out.set(p + "audio." + key, "u32", value)
    for key, value in llm.items():
        out.set(p + "llm." + key, "u32", value)
    out.set(p + "llm.rope_theta", "f32", dec["rope_theta"])
    out.set(p + "llm.rms_norm_eps", "f32", dec["rms_norm_eps"])
    for key, value in dict(audio_start_token_id=ids["audio_start_token_id"], audio_end_token_id=ids["audio_end_token_id"],
                           audio_pad_token_id=ids["audio_token_id"], eos_token_id=model.id_of("<|im_end|>"),
                           pad_token_id=model.id_of("<|endoftext|>")).items():
        out.set(p + key, "u32", value)
    put_tokenizer(out, model, "[PAD{}]", pre=None)
    type_of = lambda name, shape: F32 if len(shape) == 1 else F16
    put(out, model, encoder_names("crisp", model), type_of)
    put(out, model, decoder_names("crisp", model), type_of)
    put_frontend(out, "audio.mel_filters", [201, 128], "audio.mel_window")
    out.write(path)


def write_llama_text(path, model):
    out = GgufFile()
    dec, p = model.dec, "qwen3vl."
    out.set("general.architecture", "str", "qwen3vl")
    out.set("general.type", "str", "model")
    out.set("general.name", "str", "Demo")
    out.set("general.file_type", "u32", 1)
    for key, name in {"block_count": "num_hidden_layers", "context_length": "max_position_embeddings",
                      "embedding_length": "hidden_size", "feed_forward_length": "intermediate_size",
                      "attention.head_count": "num_attention_heads", "attention.head_count_kv": "num_key_value_heads",
                      "attention.key_length": "head_dim", "attention.value_length": "head_dim"}.items():
        out.set(p + key, "u32", dec[name])
    out.set(p + "rope.freq_base", "f32", dec["rope_theta"])
    out.set(p + "rope.dimension_sections", ("arr", "i32"), [24, 20, 20, 0])
    out.set(p + "attention.layer_norm_rms_epsilon", "f32", dec["rms_norm_eps"])
    out.set(p + "n_deepstack_layers", "u32", 0)
    out.set("general.quantization_version", "u32", 2)

    def token_type(i):
        if i not in model.texts:
            return 5
        return 1 if i not in model.added else 3 if model.added[i]["special"] else 4

    put_tokenizer(out, model, "[PAD{}]", token_type)
    for key in "eos", "bos":
        out.set(f"tokenizer.ggml.{key}_token_id", "u32", model.id_of("<|im_end|>"))
    out.set("tokenizer.ggml.padding_token_id", "u32", model.id_of("<|endoftext|>"))
    out.set("tokenizer.ggml.add_bos_token", "bool", False)
    put(out, model, decoder_names("llama", model), lambda name, shape: F32 if len(shape) == 1 else F16)
    out.write(path)


def sinusoids(n, width):
    half = width // 2
    rates = [math.exp(-k * math.log(10000) / (half - 1)) for k in range(half)]
    table = array.array("f")
    for p in range(n):
        table.extend([math.sin(p * r) for r in rates] + [math.cos(p * r) for r in rates])
    return table.tobytes()


def write_llama_mmproj(path, model):
    out = GgufFile()
    enc, p = model.enc, "clip.audio."
    out.set("general.architecture", "str", "clip")
    out.set("general.type", "str", "mmproj")
    out.set("general.name", "str", "Demo")
    out.set("general.file_type", "u32", 1)
    out.set("clip.has_audio_encoder", "bool", True)
    out.set(p + "projector_type", "str", "qwen3a")
    for key, name in {"embedding_length": "d_model", "feed_forward_length": "encoder_ffn_dim", "block_count": "encoder_layers",
                      "projection_dim": "output_dim", "attention.head_count": "encoder_attention_heads",
                      "num_mel_bins": "num_mel_bins"}.items():
        out.set(p + key, "u32", enc[name])
    out.set(p + "attention.layer_norm_epsilon", "f32", 1e-5)
    out.set("general.quantization_version", "u32", 2)
    put(out, model, encoder_names("llama", model), lambda name, shape: F32 if len(shape) == 1 else F16,
        lambda name, shape: shape + [1, 1] if ".conv2d" in name and name.endswith(".bias") else shape)
    out.add("a.position_embd.weight", [1500, enc["d_model"]], F32, sinusoids(1500, enc["d_model"]))
    out.write(path)


def write_rust(path, model):
    out = GgufFile(version=2)
    names = [name for name in model.tensors if name.startswith("model.")]
    random.Random(1).shuffle(names)  # arbitrary order, as from a hash map
    for name in names:
        t = model.tensors[name]
        quantized = len(t.shape) == 2 and "norm" not in name and "embed_tokens" not in name
        out.add("thinker." + name, t.shape, Q8_0 if quantized else F16, t.data(Q8_0 if quantized else F16))
    out.write(path)


def main():
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    model = Model(source)
    (folder / "llama").mkdir(parents=True, exist_ok=True)
    write_stt(folder / "stt-bf16.gguf", model, "BF16")
    write_stt(folder / "stt-q8_0.gguf", model, "Q8_0")
    write_crisp(folder / "crisp-f16.gguf", model)
    write_llama_text(folder / "llama" / "Demo-F16.gguf", model)
    write_llama_mmproj(folder / "llama" / "mmproj-Demo-F16.gguf", model)
    write_rust(folder / "rust-q8_0.gguf", model)
    if len(sys.argv) > 3:
        Path(sys.argv[3]).touch()


if __name__ == "__main__":
    main()
