#!/usr/bin/env python3
"""Writes the seed corpus for fuzzing: small valid files of every kind that the program reads.

make_corpus.py DEMO_MODEL_DIR TEST_DATA_DIR OUT_DIR [STAMP]

One folder per target. Files that Python's own modules cannot make, and former findings, are in corpus/ beside this script.
Needs only Python.
"""
import copy
import json
import shutil
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
from gguf_file import BF16, F32, GgufFile  # noqa: E402
from make_layouts import Model, Tensor, write_crisp, write_llama_mmproj, write_llama_text, write_rust, write_stt  # noqa: E402
from recordings import FLOAT, PCM, aiff, au, caf, comm, fmt, rf64, ssnd, voc, voc_block, voc_sound, w64, wav  # noqa: E402

# ---- a model of a few kilobytes ---------------------------------------------------------------------

ENC = dict(d_model=16, downsample_hidden_size=2, encoder_attention_heads=1, encoder_ffn_dim=4, encoder_layers=1, num_hidden_layers=1,
           output_dim=16)
DEC = dict(head_dim=16, hidden_size=16, intermediate_size=4, num_attention_heads=1, num_hidden_layers=1, num_key_value_heads=1)
ADDED = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|audio_start|>", "<|audio_end|>", "<|audio_pad|>", "<asr_text>"]
N_MERGES = 12


def alphabet():
    """The character that represents each byte."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(b if b in printable else next(others)) for b in range(256)]


def shapes(enc, dec, n_vocab):
    """Name without 'thinker.' -> shape."""
    d, c, f, out = enc["d_model"], enc["downsample_hidden_size"], enc["encoder_ffn_dim"], enc["output_dim"]
    h, g, q, k, hd = (dec["hidden_size"], dec["intermediate_size"], dec["num_attention_heads"] * dec["head_dim"],
                      dec["num_key_value_heads"] * dec["head_dim"], dec["head_dim"])
    tower, layer = "audio_tower.", "audio_tower.layers.0."
    linear = {tower + "proj1": [d, d], tower + "proj2": [out, d], layer + "fc1": [f, d], layer + "fc2": [d, f]}
    linear |= {f"{layer}self_attn.{x}_proj": [d, d] for x in ("q", "k", "v", "out")}
    linear |= {f"{tower}conv2d{i}": [c, 1 if i == 1 else c, 3, 3] for i in (1, 2, 3)}
    result = {tower + "conv_out.weight": [d, 16 * c]}
    for name, shape in linear.items():
        result |= {name + ".weight": shape, name + ".bias": shape[:1]}
    for name in tower + "ln_post", layer + "self_attn_layer_norm", layer + "final_layer_norm":
        result |= {name + ".weight": [d], name + ".bias": [d]}
    layer = "model.layers.0."
    matrices = {"self_attn.q_proj": [q, h], "self_attn.k_proj": [k, h], "self_attn.v_proj": [k, h], "self_attn.o_proj": [h, q],
                "self_attn.q_norm": [hd], "self_attn.k_norm": [hd], "input_layernorm": [h], "post_attention_layernorm": [h],
                "mlp.gate_proj": [g, h], "mlp.up_proj": [g, h], "mlp.down_proj": [h, g]}
    result |= {layer + name + ".weight": shape for name, shape in matrices.items()}
    return result | {"model.embed_tokens.weight": [n_vocab, h], "model.norm.weight": [h]}


class TinyModel(Model):
    def __init__(self, demo):
        self.config = json.loads((demo / "config.json").read_text())
        thinker = self.config["thinker_config"]
        self.ids, self.enc, self.dec = thinker, thinker["audio_config"], thinker["text_config"]
        lines = (demo / "merges.txt").read_text().splitlines()
        self.merges = [line for line in lines if line and not line.startswith("#version")][:N_MERGES]
        tokens = alphabet() + [line.replace(" ", "") for line in self.merges]
        self.vocab = {token: i for i, token in enumerate(tokens)}
        self.added = {len(tokens) + i: {"content": text, "special": text != "<asr_text>", "lstrip": False, "rstrip": False,
                                        "normalized": False, "single_word": False} for i, text in enumerate(ADDED)}
        self.texts = dict(enumerate(tokens)) | {i: t["content"] for i, t in self.added.items()}
        self.enc |= ENC
        self.dec |= DEC | {"vocab_size": len(self.texts) + 2}
        for key, text in ("audio_start_token_id", ADDED[3]), ("audio_end_token_id", ADDED[4]), ("audio_token_id", ADDED[5]):
            self.ids[key] = self.id_of(text)
        self.tensors = {}
        for name, shape in shapes(self.enc, self.dec, self.dec["vocab_size"]).items():
            n = 1
            for d in shape:
                n *= d
            self.tensors[name] = Tensor(shape, struct.pack("<H", 0x3C00) * n)

    def tokenizer_config(self):
        return {"added_tokens_decoder": {str(i): t for i, t in self.added.items()}}


# ---- containers --------------------------------------------------------------------------------------


def safetensors(tensors, metadata=None, dtype="BF16"):
    header, data = ({"__metadata__": metadata} if metadata else {}), b""
    for name, shape, raw in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def write_safetensors(folder, model):
    whole = [("thinker." + name, t.shape, t.raw) for name, t in model.tensors.items()]
    (folder / "model").write_bytes(safetensors(whole, {"format": "pt"}))
    (folder / "few").write_bytes(safetensors([("a", [2, 3], bytes(12)), ("b", [], bytes(2)), ("c", [0, 4], b"")]))
    (folder / "f32").write_bytes(safetensors([("x.weight", [2, 2, 1, 1], bytes(16))], dtype="F32"))
    (folder / "empty").write_bytes(safetensors([]))


def write_gguf(folder, model):
    writers = {"stt": lambda path: write_stt(path, model, "BF16"), "crisp": lambda path: write_crisp(path, model),
               "llama": lambda path: write_llama_text(path, model), "rust": lambda path: write_rust(path, slim(model))}
    for name, write in writers.items():
        write(folder / name)
        file = GgufFile.read(folder / name)
        for key in [key for key in file.tensors if "frontend" in key or "mel_" in key]:
            del file.tensors[key]  # large and unused
        file.write(folder / name)
    write_llama_mmproj(folder / "mmproj", model)
    file = GgufFile.read(folder / "mmproj")
    del file.tensors["a.position_embd.weight"]
    file.write(folder / "mmproj")
    write_calibration(folder / "calibration")
    write_all_types(folder / "types")
    file = GgufFile.read(folder / "calibration")
    for key, value in (("split.no", 1), ("split.count", 2), ("split.tensors.count", 9)):
        file.set(key, "u16", value)
    file.write(folder / "part")


def slim(model):
    """The matrix type of the Rust program needs rows of 32."""
    model = copy.copy(model)
    model.tensors = {name: t for name, t in model.tensors.items() if len(t.shape) == 1}
    return model


def write_calibration(path):
    out, matrix, n = GgufFile(), "blk.0.attn_q.weight", 8
    out.set("general.type", "str", "imatrix")
    out.set("imatrix.chunk_count", "u32", 1)
    out.set("imatrix.chunk_size", "u32", 512)
    out.set("imatrix.datasets", ("arr", "str"), ["audio"])
    out.add(matrix + ".in_sum2", [1, n], F32, struct.pack("<f", 8.0) * n)
    out.add(matrix + ".counts", [1, 1], F32, struct.pack("<f", 4.0))
    out.add(matrix + ".in_cov", [1, n * (n + 1) // 2], F32, b"".join(struct.pack("<f", 8.0 * (i == j)) for i in range(n) for j in range(i + 1)))
    out.write(path)


def write_all_types(path):
    out = GgufFile()
    for kind, value in (("u8", 1), ("i8", -1), ("u16", 2), ("i16", -2), ("u32", 3), ("i32", -3), ("f32", 0.5), ("bool", True),
                        ("u64", 4), ("i64", -4), ("f64", 0.25), ("str", "text")):
        out.set("one." + kind, kind, value)
        out.set("list." + kind, ("arr", kind), [value, value])
    out.set("general.alignment", "u32", 32)
    out.add("thinker.model.norm.weight", [4], BF16, bytes(8))
    out.write(path)


# ---- text files ----------------------------------------------------------------------------------------


def write_config(folder, demo, model):
    for name in "config", "hf_config", "generation_config":
        (folder / name).write_bytes((demo / f"{name}.json").read_bytes())
    (folder / "tiny").write_text(json.dumps(model.config))
    index = {"metadata": {"total_size": 32}, "weight_map": {"a.weight": "1.safetensors", "b.weight": "2.safetensors"}}
    (folder / "index").write_text(json.dumps(index))


def write_tokenizer(folder, model):
    merges = "#version: 0.2\n" + "".join(line + "\n" for line in model.merges)
    text = "the \u0441\u0442\u0430\u0440 <|im_end|> caf\u0065\u0301 \u6f22\u5b57"
    parts = [json.dumps(model.vocab, ensure_ascii=False), merges, json.dumps(model.tokenizer_config()), text]
    (folder / "tokenizer").write_bytes(b"\0".join(part.encode() for part in parts))
    parts[0] = json.dumps(model.vocab)  # with escapes
    (folder / "escaped").write_bytes(b"\0".join(part.encode() for part in parts))


def write_text(folder):
    texts = {"english": "No, the singer isn't here. It costs 12 dollars!\0no the singer is here, it cost 12", "russian":
             "\u041a\u0430\u0436\u0434\u044b\u0439 \u0432\u0442\u043e\u0440\u043d\u0438\u043a\u0406, \u0441\u043e\u0441\u0435\u0434.",
             "answer": "language English<asr_text>Hello, world.<|im_end|>", "two": "language English,Chinese<asr_text>\u4f60\u597d",
             "marks": "cafe\u0301 \u1100\u1161\u11a8 \u0e01\u0e33 A\u030a\u0323 \U0001f600", "loop": "na " * 60 + "x" * 50}
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "malformed").write_bytes(b"a\xff\xc3(\xe2\x82 \xf0\x9f\x98\0\x80\xed\xa0\x80 end")


def write_refs(folder, demo):
    rows = (demo / "eval" / "clean" / "refs.tsv").read_bytes().splitlines(keepends=True)
    (folder / "refs").write_bytes(b"".join(rows[:6]))
    (folder / "order").write_bytes(b"\xef\xbb\xbftext\tother\tfile\tlanguage\r\nWords.\t1\ta.wav\tEnglish\r\n")
    (folder / "hypotheses").write_bytes(b"file\ttext\na.wav\tWords\nb.wav\t\n")
    (folder / "lines").write_bytes(b'{"qasr_eval": 1}\n{"file": "a.wav", "text": "Words \\u00e9", "language": "English"}\n'
                                   b'{"file": "b.wav", "text": ""}\n')


def write_options(folder):
    lines = {"transcribe": (0, "--model m -f json --batch 4 --threads=2 --segment 12.5 a.wav -- -b.wav"),
             "quantize": (1, "--input m --output o.gguf --qtype q4_k --tensor-type a=q8_0 --tensor-type b=f16 --dry-run"),
             "calibrate": (2, "-m m --covariance -o c.gguf list.tsv"), "info": (3, "m --tensors --format json"),
             "bench": (4, "--model m --variants fp,q8_0 --repeat 3"), "eval": (5, "--model m --data d --exclude *-long-* --limit 3"),
             "score": (6, "--ref r --hyp h --format md"), "unknown": (0, "--modell m -z"), "help": (1, "-h"), "value": (0, "--mlock=1 -t"),
             "cluster": (0, "-qt4 -qz")}
    for name, (number, words) in lines.items():
        (folder / name).write_bytes(bytes([number]) + words.replace(" ", "\0").encode() + b"\0")


# ---- audio -----------------------------------------------------------------------------------------------


def tone(n, amplitude=8000, period=40):
    return [amplitude if i % period < period // 2 else -amplitude for i in range(n)]


def write_audio(folder, data):
    pcm = struct.pack("<800h", *tone(800))
    files = {"wav": wav(pcm), "wav_stereo": wav(pcm, fmt(PCM, 2, 44100)), "wav_u8": wav(bytes(range(256)), fmt(PCM, 1, 8000, 8)),
             "wav_f32": wav(struct.pack("<300f", *[x / 9e3 for x in tone(300)]), fmt(FLOAT, 1, 48000, 32)),
             "wav_streamed": wav(pcm[:401], size=0xFFFFFFFF), "wav_cut": wav(pcm[:101], size=1600),
             "wav_24": wav(bytes(900), fmt(PCM, 1, 96000, 24)), "wav_ulaw": wav(bytes(range(0, 256, 3)), fmt(7, 1, 8000, 8)),
             "aiff": aiff(comm(400), ssnd(struct.pack(">400h", *tone(400)))),
             "wav_zero": wav(pcm, size=0), "wav_joined": wav(pcm) + wav(pcm, fmt(PCM, 2, 44100)),
             "wav_two_data": wav(pcm) + b"data" + struct.pack("<I", 800) + pcm[:800],
             "rf64": rf64(pcm[:800]), "w64": w64(pcm, fmt(FLOAT, 1, 16000, 32)), "caf": caf(pcm, 2),
             "au_unknown": au(bytes(900), 27, 0xFFFFFFFF, channels=2, rate=8000),
             "voc": voc(voc_sound(pcm[:800]), voc_block(3, bytes(3)), voc_block(8, bytes(4)), voc_block(1, bytes(100))),
             "au": au(struct.pack(">400h", *tone(400)))}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    flac = (data / "golden" / "clips" / "short-200ms.flac").read_bytes()
    (folder / "flac").write_bytes(flac)
    (folder / "flac_joined").write_bytes(flac + flac)
    (folder / "flac_damaged").write_bytes(flac[:len(flac) // 2] + bytes(40) + flac[len(flac) // 2:])
    corpus = Path(__file__).parent / "corpus" / "audio"
    for name in "mp3", "ogg", "opus":  # joined, and with bytes that are lost in the middle
        content = (corpus / name).read_bytes()
        middle = len(content) // 2
        (folder / f"{name}_joined").write_bytes(content + content)
        (folder / f"{name}_damaged").write_bytes(content[:middle] + bytes(60) + content[middle + 100:])
    mp3 = (corpus / "mp3").read_bytes()
    (folder / "wav_mp3").write_bytes(wav(mp3, fmt(0x55, 1, 16000, 0)))
    (folder / "id3").write_bytes(b"ID3\4\0\0\0\0\0\x14" + bytes(20) + mp3 + b"TAG" + bytes(125))


def main():
    demo, data, out = (Path(arg) for arg in sys.argv[1:4])
    model = TinyModel(demo)
    for name, write, args in (("safetensors", write_safetensors, [model]), ("gguf", write_gguf, [model]),
                              ("config", write_config, [demo, model]), ("tokenizer", write_tokenizer, [model]), ("text", write_text, []),
                              ("audio", write_audio, [data]), ("options", write_options, []), ("refs", write_refs, [demo])):
        shutil.rmtree(out / name, ignore_errors=True)
        (out / name).mkdir(parents=True)
        write(out / name, *args)
    if len(sys.argv) > 4:
        Path(sys.argv[4]).touch()


if __name__ == "__main__":
    main()
