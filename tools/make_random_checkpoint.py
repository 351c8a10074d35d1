#!/usr/bin/env python3
"""Write a random-weight Qwen3-ASR checkpoint in the original Hugging Face layout, to measure speed and memory with full shapes.

Needs only Python 3.8+ and numpy (tools/venv.sh makes .venv with it).

  make_random_checkpoint.py --size 0.6b                                  (writes models/random-0.6b, 1.9 GB)
  make_random_checkpoint.py --size 1.7b                                  (writes models/random-1.7b, 4.7 GB)
  make_random_checkpoint.py --size tiny --out models/tiny                (built-in small shape)
  make_random_checkpoint.py --shape tiny.json --out models/tiny --full-random

A shape file is a JSON object {"base": "0.6b"|"1.7b"|"tiny", "audio_config": {...}, "text_config": {...}}
whose keys override the base's (names as in config.json).

Files written (JSON files are copies of the originals if --configs has them): config.json, generation_config.json,
preprocessor_config.json, tokenizer_config.json, chat_template.json, vocab.json, merges.txt and model.safetensors, or
model-0000i-of-0000N.safetensors plus model.safetensors.index.json (--shards N; default 2 for 1.7b as in the original,
else 1). All tensors are bf16, as in the originals (612 tensors for 0.6B; lm_head is stored too, bitwise equal to
embed_tokens, because tie_word_embeddings is true).

The values are Gaussian (--std 0.02; norm weights 1, norm biases 0, other biases Gaussian). Fast mode draws one
block of 2^24-3 (a prime) values and gives every tensor a window into the endlessly repeated block, at an offset
derived from a hash of seed and tensor name: deterministic, independent of the tensor order, and no two rows
of a matrix are equal. --full-random draws every tensor separately (default for shapes below 64 M parameters).

Rows of embed_tokens/lm_head of ids >= 151643 (the special tokens) are multiplied by --special-scale (0.05): greedy
decoding then almost never picks an end token. With --special-scale 1 they are like all other rows.

--residual-scale multiplies the contribution of the decoder's layers to the residual stream (o_proj, down_proj). Random layers drown the
input and make all logits similar, unlike in a trained model; with 0.01 the last token dominates and is repeated.

The tokenizer files come from --tokenizer DIR if it has them (plain, or packed with an unpack.py as in
tests/data/tokenizer). Otherwise a valid substitute is written, with the 256 byte tokens, a few merges (enough for the words of
the prompt) and unique filler strings. It has the correct ids of the prompt (system 8948, user 872, assistant 77091,
language 11528, newline 198, space 220).
"""
import argparse
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import time

import numpy as np

BLOCK = (1 << 24) - 3            # prime: rows of a power-of-two width never repeat

LANGS = ["Chinese", "English", "Cantonese", "Arabic", "German", "French", "Spanish", "Portuguese", "Indonesian",
         "Italian", "Korean", "Russian", "Thai", "Vietnamese", "Japanese", "Turkish", "Hindi", "Malay", "Dutch",
         "Swedish", "Danish", "Finnish", "Polish", "Czech", "Filipino", "Persian", "Greek", "Romanian", "Hungarian",
         "Macedonian"]

AUDIO_BASE = dict(activation_dropout=0, activation_function="gelu", attention_dropout=0, conv_chunksize=500,
                  downsample_hidden_size=480, dropout=0, initializer_range=0.02, max_source_positions=1500,
                  model_type="qwen3_asr_audio_encoder", n_window=50, n_window_infer=800, num_mel_bins=128,
                  scale_embedding=False)
TEXT_BASE = dict(attention_bias=False, attention_dropout=0.0, head_dim=128, hidden_act="silu",
                 initializer_range=0.02, max_position_embeddings=65536, model_type="qwen3",
                 num_attention_heads=16, num_hidden_layers=28, num_key_value_heads=8, rms_norm_eps=1e-06,
                 rope_scaling=dict(interleaved=True, mrope_interleaved=True, mrope_section=[24, 20, 20],
                                   rope_type="default", type="default"),
                 rope_theta=1000000, tie_word_embeddings=True, use_cache=True, vocab_size=151936)
SIZES = {
    "0.6b": (dict(d_model=896, encoder_layers=18, num_hidden_layers=18, encoder_attention_heads=14,
                  encoder_ffn_dim=3584, output_dim=1024),
             dict(hidden_size=1024, intermediate_size=3072)),
    "1.7b": (dict(d_model=1024, encoder_layers=24, num_hidden_layers=24, encoder_attention_heads=16,
                  encoder_ffn_dim=4096, output_dim=2048),
             dict(hidden_size=2048, intermediate_size=6144)),
    # small enough for unit tests; the full vocabulary is kept so that the real token ids stay valid
    "tiny": (dict(d_model=64, encoder_layers=2, num_hidden_layers=2, encoder_attention_heads=4, encoder_ffn_dim=128,
                  output_dim=64, downsample_hidden_size=16),
             dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                  num_key_value_heads=2, head_dim=16,
                  rope_scaling=dict(interleaved=True, mrope_interleaved=True, mrope_section=[4, 2, 2],
                                    rope_type="default", type="default"))),
}


def build_config(args):
    base, over = args.size, {}
    if args.shape:
        over = json.load(open(args.shape))
        base = over.get("base", base or "0.6b")
    a, t = SIZES[base]
    audio = {**AUDIO_BASE, **a, **over.get("audio_config", {})}
    text = {**TEXT_BASE, **t, **over.get("text_config", {})}
    if "encoder_layers" in over.get("audio_config", {}):
        audio["num_hidden_layers"] = audio["encoder_layers"]
    if audio["output_dim"] != text["hidden_size"]:
        sys.exit("audio_config.output_dim (%d) must equal text_config.hidden_size (%d)" %
                 (audio["output_dim"], text["hidden_size"]))
    thinker = dict(audio_config=audio, audio_end_token_id=151670, audio_start_token_id=151669, audio_token_id=151676,
                   dtype="bfloat16", initializer_range=0.02, model_type="qwen3_asr", text_config=text)
    return dict(architectures=["Qwen3ASRForConditionalGeneration"], model_type="qwen3_asr", support_languages=LANGS,
                thinker_config=thinker, transformers_version="4.57.6")


def conv_freq(n):                      # bins left after one 3x3, stride 2, padding 1 convolution
    return (n - 1) // 2 + 1


def tensor_list(cfg):
    """[(name, shape, kind)], kind: 'w' weight, 'b' bias, '1' ones (norm weight), '0' zeros (norm bias), 'e' embedding"""
    a, t = cfg["thinker_config"]["audio_config"], cfg["thinker_config"]["text_config"]
    out, P = [], "thinker.audio_tower."
    c, d, f = a["downsample_hidden_size"], a["d_model"], a["encoder_ffn_dim"]
    for i, cin in ((1, 1), (2, c), (3, c)):
        out += [(P + "conv2d%d.weight" % i, (c, cin, 3, 3), "w"), (P + "conv2d%d.bias" % i, (c,), "b")]
    out.append((P + "conv_out.weight", (d, c * conv_freq(conv_freq(conv_freq(a["num_mel_bins"])))), "w"))
    for i in range(a["encoder_layers"]):
        L = P + "layers.%d." % i
        for n in ("q_proj", "k_proj", "v_proj", "out_proj"):
            out += [(L + "self_attn.%s.weight" % n, (d, d), "w"), (L + "self_attn.%s.bias" % n, (d,), "b")]
        out += [(L + "self_attn_layer_norm.weight", (d,), "1"), (L + "self_attn_layer_norm.bias", (d,), "0"),
                (L + "fc1.weight", (f, d), "w"), (L + "fc1.bias", (f,), "b"),
                (L + "fc2.weight", (d, f), "w"), (L + "fc2.bias", (d,), "b"),
                (L + "final_layer_norm.weight", (d,), "1"), (L + "final_layer_norm.bias", (d,), "0")]
    out += [(P + "ln_post.weight", (d,), "1"), (P + "ln_post.bias", (d,), "0"),
            (P + "proj1.weight", (d, d), "w"), (P + "proj1.bias", (d,), "b"),
            (P + "proj2.weight", (a["output_dim"], d), "w"), (P + "proj2.bias", (a["output_dim"],), "b")]
    h, it, hd = t["hidden_size"], t["intermediate_size"], t["head_dim"]
    nq, nkv = t["num_attention_heads"] * hd, t["num_key_value_heads"] * hd
    out.append(("thinker.lm_head.weight", (t["vocab_size"], h), "e"))
    out.append(("thinker.model.embed_tokens.weight", (t["vocab_size"], h), "e"))
    for i in range(t["num_hidden_layers"]):
        L = "thinker.model.layers.%d." % i
        out += [(L + "input_layernorm.weight", (h,), "1"),
                (L + "self_attn.q_proj.weight", (nq, h), "w"), (L + "self_attn.k_proj.weight", (nkv, h), "w"),
                (L + "self_attn.v_proj.weight", (nkv, h), "w"), (L + "self_attn.o_proj.weight", (h, nq), "w"),
                (L + "self_attn.q_norm.weight", (hd,), "1"), (L + "self_attn.k_norm.weight", (hd,), "1"),
                (L + "post_attention_layernorm.weight", (h,), "1"),
                (L + "mlp.gate_proj.weight", (it, h), "w"), (L + "mlp.up_proj.weight", (it, h), "w"),
                (L + "mlp.down_proj.weight", (h, it), "w")]
    out.append(("thinker.model.norm.weight", (h,), "1"))
    return out


def to_bf16(x):                        # float32 -> uint16, round to nearest even (values are finite)
    u = x.view(np.uint32)
    return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(u):
    return (u.astype(np.uint32) << 16).view(np.float32)


class Values:
    def __init__(self, seed, std, full, norm_std, special_scale, residual_scale):
        self.seed, self.std, self.full, self.norm_std, self.special = seed, std, full, norm_std, special_scale
        self.residual = residual_scale
        self.block = None
        if not full:
            b = to_bf16(np.random.default_rng(seed).standard_normal(BLOCK, dtype=np.float32) * np.float32(std))
            self.block = np.concatenate([b, b])          # any window of up to BLOCK is contiguous

    def hash(self, name):
        return int.from_bytes(hashlib.sha256(("%d:%s" % (self.seed, name)).encode()).digest()[:8], "little")

    def chunks(self, name, shape, kind):
        """Yields uint16 arrays whose concatenation is the tensor."""
        if name == "thinker.lm_head.weight":
            name = "thinker.model.embed_tokens.weight"   # tied: bitwise equal
        n = int(np.prod(shape, dtype=np.int64))
        rng = np.random.default_rng(self.hash(name))
        if kind in "10":
            x = np.full(n, 1.0 if kind == "1" else 0.0, np.float32)
            if self.norm_std:
                x += rng.standard_normal(n, dtype=np.float32) * np.float32(self.norm_std)
            yield to_bf16(x)
            return
        special0 = 151643 * shape[1] if kind == "e" and shape[0] > 151643 else n    # first special element
        off, done = self.hash(name) % BLOCK, 0
        while done < n:
            step = min(BLOCK, n - done)
            if done < special0:
                step = min(step, special0 - done)
            if self.full:
                step = min(step, 1 << 22)
                v = to_bf16(rng.standard_normal(step, dtype=np.float32) * np.float32(self.std))
            else:
                v = self.block[off:off + step]
            if done >= special0 and self.special != 1:
                v = to_bf16(from_bf16(v) * np.float32(self.special))
            if self.residual != 1 and name.startswith("thinker.model.layers.") and name.endswith(
                    ("o_proj.weight", "down_proj.weight")):
                v = to_bf16(from_bf16(v) * np.float32(self.residual))
            yield v
            done += step
            off = (off + step) % BLOCK


def write_weights(out, tensors, vals, shards):
    sizes = [int(np.prod(s, dtype=np.int64)) * 2 for _, s, _ in tensors]
    total, cut, cur, acc = sum(sizes), [], [], 0
    for t, sz in zip(tensors, sizes):
        if cur and len(cut) < shards - 1 and acc + sz / 2 > total * (len(cut) + 1) / shards:
            cut.append(cur)
            cur = []
        cur.append((t, sz))
        acc += sz
    cut.append(cur)
    n, wmap = len(cut), {}
    for i, part in enumerate(cut):
        fn = "model.safetensors" if n == 1 else "model-%05d-of-%05d.safetensors" % (i + 1, n)
        head, pos = {"__metadata__": {"format": "pt"}}, 0
        for (name, shape, _), sz in part:
            head[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [pos, pos + sz]}
            pos += sz
            wmap[name] = fn
        hj = json.dumps(head, separators=(",", ":")).encode()
        hj += b" " * (-len(hj) % 8)
        with open(os.path.join(out, fn), "wb", buffering=0) as f:
            f.write(struct.pack("<Q", len(hj)) + hj)
            for (name, shape, kind), sz in part:
                got = 0
                for v in vals.chunks(name, shape, kind):
                    f.write(memoryview(np.ascontiguousarray(v)).cast("B"))
                    got += v.nbytes
                assert got == sz, name
    if n > 1:
        dump(out, "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": wmap})
    return total


def dump(out, name, obj, **kw):
    with open(os.path.join(out, name), "w", encoding="utf-8") as f:
        json.dump(obj, f, indent=2, ensure_ascii=False, **kw)
        f.write("\n")


ADDED = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
         "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
         "<|image_pad|>", "<|video_pad|>", "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>",
         "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>",
         "<think>", "</think>", "<|audio_start|>", "<|audio_end|>", "<tts_pad>", "<tts_text_bos>", "<tts_text_eod>",
         "<tts_text_bos_single>", "<non_speech>", "<|audio_pad|>"]                 # ids 151643 .. 151676
NOT_SPECIAL = {"<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>",
               "<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>", "<think>", "</think>",
               "<asr_text>", "<blank%d>"}


def byte_chars():
    bs = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    cs, k = bs[:], 0
    for b in range(256):
        if b not in bs:
            bs.append(b)
            cs.append(256 + k)
            k += 1
    return [chr(c) for c in cs]


def copy_if_there(name, out, *dirs):
    """Copy NAME from the first directory that has it."""
    for d in filter(None, dirs):
        path = os.path.join(d, name)
        if os.path.exists(path):
            shutil.copyfile(path, os.path.join(out, name))
            return True
    return False


def unpack_if_there(out, src):
    """Unpack the tokenizer files of SRC; returns their names."""
    parts = [os.path.join(src, n) for n in ("unpack.py", "merges.txt.xz", "tokenizer_config.json")]
    if not all(map(os.path.exists, parts)):
        return []
    subprocess.run([sys.executable, *parts, out], check=True)
    return ["vocab.json", "merges.txt", "tokenizer_config.json"]


def write_tokenizer(out, src, common, seed):
    added = {151643 + i: s for i, s in enumerate(ADDED)}
    for i in range(151677, 151704):
        added[i] = "<blank%d>" % (i - 151676)
    added[151704] = "<asr_text>"
    dec = {str(i): dict(content=s, lstrip=False, normalized=False, rstrip=False, single_word=False,
                        special=s not in NOT_SPECIAL) for i, s in sorted(added.items())}
    copied = unpack_if_there(out, src)
    copied += [n for n in ("vocab.json", "merges.txt", "tokenizer_config.json", "chat_template.json")
               if n not in copied and copy_if_there(n, out, src, common)]
    if "vocab.json" not in copied or "merges.txt" not in copied:
        chars = byte_chars()
        vocab = {c: i for i, c in enumerate(chars)}     # ids 0..255: "\n" -> 198, " " -> 220, as in the original
        fixed, merges, seen = {8948: "system", 872: "user", 77091: "assistant", 11528: "language"}, [], set()
        for w in list(fixed.values()) + ["\u0120" + x for x in LANGS]:
            for k in range(1, len(w)):
                m = (w[:k], w[k])
                if m not in seen:
                    seen.add(m)
                    merges.append("%s %s" % m)
        words = {w: i for i, w in fixed.items()}
        merged = [a + b for a, b in (m.split(" ") for m in merges)]
        free = (i for i in range(256, 151643) if i not in fixed)
        for p in merged:
            if p not in words and p not in vocab:
                words[p] = next(free)
        vocab.update(words)
        used = set(vocab.values())
        rng = np.random.default_rng(seed)
        letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
        for i in range(256, 151643):
            if i not in used:
                s = "\u0120" + "".join(letters[[(i // 26 ** k) % 26 for k in range(4)]]) + "q"
                vocab[s] = i
        assert len(vocab) == 151643 and len(set(vocab.values())) == 151643
        with open(os.path.join(out, "vocab.json"), "w", encoding="utf-8") as f:
            json.dump(dict(sorted(vocab.items(), key=lambda kv: kv[1])), f, ensure_ascii=False, separators=(",", ":"))
        with open(os.path.join(out, "merges.txt"), "w", encoding="utf-8") as f:
            f.write("#version: 0.2\n" + "\n".join(merges) + "\n")
        copied.append("(stand-in vocab.json/merges.txt)")
    if "tokenizer_config.json" not in copied:
        dump(out, "tokenizer_config.json", dict(
            add_bos_token=False, add_prefix_space=False, added_tokens_decoder=dec, audio_bos_token="<|audio_start|>",
            audio_eos_token="<|audio_end|>", audio_token="<|audio_pad|>", bos_token=None,
            clean_up_tokenization_spaces=False, eos_token="<|im_end|>", errors="replace", model_max_length=131072,
            pad_token="<|endoftext|>", split_special_tokens=False, tokenizer_class="Qwen2Tokenizer", unk_token=None))
    return copied


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--size", choices=sorted(SIZES))
    ap.add_argument("--shape", help="JSON file with a custom shape")
    ap.add_argument("--out", help="default: models/random-SIZE in the project")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--std", type=float, default=0.02)
    ap.add_argument("--norm-std", type=float, default=0.0, help="standard deviation of norm weights around 1 and norm biases around 0")
    ap.add_argument("--special-scale", type=float, default=0.05)
    ap.add_argument("--residual-scale", type=float, default=1.0)
    ap.add_argument("--shards", type=int)
    ap.add_argument("--full-random", action="store_true")
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    ap.add_argument("--tokenizer", default=os.path.join(root, "tests", "data", "tokenizer"))
    ap.add_argument("--configs", default=os.path.join(root, "tools", "configs"),
                    help="directory of SIZE/*.json and common/*.json, copied unchanged if they exist")
    ap.add_argument("--tokenizer-only", action="store_true", help="rewrite only the tokenizer files of --out")
    args = ap.parse_args()
    if not args.size and not args.shape:
        ap.error("--size or --shape is needed")
    if not args.out:
        if args.shape:
            ap.error("--out is needed with --shape")
        args.out = os.path.join(root, "models", "random-" + args.size)
    ready = os.path.join(args.configs, args.size) if args.size and not args.shape else None
    common = os.path.join(args.configs, "common")
    os.makedirs(args.out, exist_ok=True)
    t0 = time.time()
    if not args.tokenizer_only:
        cfg = build_config(args)
        if not copy_if_there("config.json", args.out, ready):
            dump(args.out, "config.json", cfg)
        if not copy_if_there("generation_config.json", args.out, ready, common):
            dump(args.out, "generation_config.json", dict(
                do_sample=False, eos_token_id=[151643, 151645], pad_token_id=151645, transformers_version="4.57.6"))
        if not copy_if_there("preprocessor_config.json", args.out, ready, common):
            dump(args.out, "preprocessor_config.json", dict(
                chunk_length=30, dither=0.0, feature_extractor_type="WhisperFeatureExtractor",
                feature_size=cfg["thinker_config"]["audio_config"]["num_mel_bins"], hop_length=160, n_fft=400,
                n_samples=480000, nb_max_frames=3000, padding_side="right", padding_value=0.0,
                processor_class="Qwen3ASRProcessor", return_attention_mask=True, sampling_rate=16000))
        tensors = tensor_list(cfg)
        params = sum(int(np.prod(s, dtype=np.int64)) for _, s, _ in tensors)
        for f in os.listdir(args.out):
            if f.startswith("model") and (f.endswith(".safetensors") or f.endswith(".index.json")):
                os.unlink(os.path.join(args.out, f))
        vals = Values(args.seed, args.std, args.full_random or params < 64e6, args.norm_std, args.special_scale,
                      args.residual_scale)
        total = write_weights(args.out, tensors, vals, args.shards or (2 if args.size == "1.7b" else 1))
        print("%s: %d tensors, %.1f M parameters (lm_head counted), %.1f MB, %.1f s" %
              (args.out, len(tensors), params / 1e6, total / 1e6, time.time() - t0))
    tok = write_tokenizer(args.out, args.tokenizer, common, args.seed)
    print("tokenizer files: " + ", ".join(tok))


if __name__ == "__main__":
    main()
