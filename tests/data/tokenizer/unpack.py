"""Writes the full tokenizer files of Qwen3-ASR from what this folder stores.

usage: unpack.py merges.txt.xz tokenizer_config.json OUT_DIR

vocab.json is not stored: token i < 256 is one byte, in the order below, and token 256 + i is what merge i
makes. The results are compared with the SHA-256 of the published files.
"""

import hashlib
import json
import lzma
import pathlib
import sys

SHA256 = {
    "merges.txt": "8831e4f1a044471340f7c0a83d7bd71306a5b867e95fd870f74d0c5308a904d5",
    "vocab.json": "ca10d7e9fb3ed18575dd1e277a2579c16d108e32f27439684afa0e10b1440910",
}


def byte_tokens():
    """The 256 bytes as vocab.json writes them, in the order of their ids."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(len(others))]


def vocabulary(merges):
    """vocab.json for the text of merges.txt."""
    lines = merges.decode("utf-8").splitlines()[1:]  # the first says the version
    tokens = byte_tokens() + [line.replace(" ", "") for line in lines]
    ids = {token: i for i, token in enumerate(tokens)}
    return json.dumps(ids, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def main():
    packed, config, out = (pathlib.Path(name) for name in sys.argv[1:])
    merges = lzma.decompress(packed.read_bytes())
    files = {"merges.txt": merges, "vocab.json": vocabulary(merges)}
    for name, data in files.items():
        if hashlib.sha256(data).hexdigest() != SHA256[name]:
            sys.exit(f"{packed}: {name} made from it is not the published file")
        (out / name).write_bytes(data)
    (out / "tokenizer_config.json").write_bytes(config.read_bytes())


if __name__ == "__main__":
    main()
