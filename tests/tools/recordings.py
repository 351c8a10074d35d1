#!/usr/bin/env python3
"""Builds recordings with unusual headers from one clip, byte by byte.

recordings.py CONVERT_AUDIO CLIP OUT_DIR STAMP

CLIP has 16-bit samples, one channel, 16 kHz; CONVERT_AUDIO (convert_audio.c) decodes it. OUT_DIR/whole gets files that hold
exactly these samples, OUT_DIR itself the others. As a module: the builders of containers.
"""
import array
import shutil
import struct
import subprocess
import sys
from pathlib import Path

RATE = 16000
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
GUID = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # of Wave64's chunks, behind their names
SUBFORMAT = bytes.fromhex("000000001000800000aa00389b71")  # of WAVEFORMATEXTENSIBLE, behind the tag


def chunk(name, data, size=None, pad=True, order="<"):
    size = len(data) if size is None else size
    return name + struct.pack(order + "I", size) + data + (b"\0" if pad and len(data) % 2 else b"")


def fmt(tag=PCM, channels=1, rate=RATE, bits=16, block=None, order="<", more=b""):
    block = channels * bits // 8 if block is None else block
    return struct.pack(order + "HHIIHH", tag, channels, rate, rate * block, block, bits) + more


def extensible(tag, bits, valid_bits):
    return fmt(EXTENSIBLE, bits=bits, more=struct.pack("<HHIH", 22, valid_bits, 4, tag) + SUBFORMAT)


def riff(*chunks, magic=b"RIFF", size=None, order="<"):
    body = b"".join(chunks)
    return magic + struct.pack(order + "I", len(body) + 4 if size is None else size) + b"WAVE" + body


def wav(data, form=None, size=None):
    """The size of the samples is also that which the file states."""
    size = len(data) if size is None else size
    return riff(chunk(b"fmt ", form or fmt()), chunk(b"data", data, size, pad=False), size=min(36 + size, 0xFFFFFFFF))


def rf64(data, size=None, magic=b"RF64", data_size=0xFFFFFFFF, tail=b""):
    size = len(data) if size is None else size
    ds64 = struct.pack("<QQQI", min(size + 72, (1 << 64) - 1), size, size // 2, 0)
    return riff(chunk(b"ds64", ds64), chunk(b"fmt ", fmt()), chunk(b"data", data, data_size), tail, magic=magic, size=0xFFFFFFFF)


def w64(data, form):
    chunks = b""
    for name, content in ((b"fmt ", form), (b"data", data)):
        chunks += name + GUID + struct.pack("<Q", 24 + len(content)) + content + bytes(-len(content) % 8)
    return b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000") + struct.pack("<Q", 40 + len(chunks)) + b"wave" + GUID + chunks


def extended(rate):
    """As a float of 80 bits."""
    return struct.pack(">HQ", 16383 + rate.bit_length() - 1, rate << (64 - rate.bit_length()))


def comm(n_frames, bits=16, codec=b"", rate=RATE):
    return chunk(b"COMM", struct.pack(">hIh", 1, n_frames, bits) + extended(rate) + codec, order=">")


def ssnd(data, offset=0, size=None):
    size = len(data) + 8 + offset if size is None else size
    return chunk(b"SSND", struct.pack(">II", offset, 0) + bytes(offset) + data, size, order=">")


def aiff(*chunks, kind=b"AIFF", size=None):
    body = b"".join(chunks)
    return b"FORM" + struct.pack(">I", len(body) + 4 if size is None else size) + kind + body


def aifc(codec, data, bits=16):
    version = chunk(b"FVER", bytes.fromhex("a2805140"), order=">")
    return aiff(version, comm(len(data) * 8 // bits, bits, codec + b"\4none\0"), ssnd(data), kind=b"AIFC")


def au(data, encoding=3, size=None, annotation=b"", channels=1, rate=RATE, order=">"):
    size = len(data) if size is None else size
    magic = b".snd" if order == ">" else b"dns."
    return magic + struct.pack(order + "IIIII", 24 + len(annotation), size, encoding, rate, channels) + annotation + data


def caf(data, flags=0, bits=16, size=None, front=b"", tail=b""):
    """flags: 1 float, 2 little-endian."""
    desc = struct.pack(">d4sIIIII", RATE, b"lpcm", flags, bits // 8, 1, 1, bits)
    size = len(data) + 4 if size is None else size
    return b"caff\0\1\0\0desc" + struct.pack(">Q", len(desc)) + desc + front + b"data" + struct.pack(">qI", size, 0) + data + tail


def voc_block(kind, data):
    return bytes([kind]) + len(data).to_bytes(3, "little") + data


def voc(*blocks):
    return b"Creative Voice File\x1a" + struct.pack("<HHH", 26, 0x114, 0x111F) + b"".join(blocks) + b"\0"


def voc_sound(data):
    return voc_block(9, struct.pack("<IBBHI", RATE, 16, 1, 4, 0) + data)


def widened(data, n, big_endian=False):
    """Samples of 16 bits in n bytes."""
    zeros = bytes(n - 2)
    pairs = (data[i:i + 2] for i in range(0, len(data), 2))
    return b"".join(pair + zeros if big_endian else zeros + pair for pair in pairs)


def floats(samples, code):
    return struct.pack(f"{code[0]}{len(samples)}{code[1]}", *[x / 32768 for x in samples])


def whole_files(little, big, samples):
    """Name: content, all with the same samples."""
    n, junk = len(samples), chunk(b"JUNK", bytes(28))
    form, data = chunk(b"fmt ", fmt()), chunk(b"data", little)
    info = chunk(b"LIST", b"INFOISFT" + struct.pack("<I", 6) + b"hello\0")
    sound = [comm(n), ssnd(big)]
    half = len(little) // 4 * 2
    odd = chunk(b"note", b"abc", pad=False)
    return {
        "size0.wav": wav(little, size=0), "size-too-small.wav": wav(little, size=32000), "size-max.wav": wav(little, size=0xFFFFFFFF),
        "size-7fffffff.wav": wav(little, size=0x7FFFFFFF), "two-data.wav": riff(form, chunk(b"data", little[:half]), chunk(b"data", little[half:])),
        "list-first.wav": riff(info, form, data), "bext.wav": riff(chunk(b"bext", bytes(633)), junk, form, data, info),
        "id3-chunk.wav": riff(form, chunk(b"id3 ", b"ID3\3\0\0\0\0\0\7abcdefg"), data), "data-first.wav": riff(data, form),
        "odd.wav": riff(form, chunk(b"note", b"abc"), data), "odd-not-padded.wav": riff(odd, form, odd, data),
        "odd-behind.wav": riff(form, data, odd, info), "fmt18.wav": wav(little, fmt(more=b"\0\0")),
        "fact-wrong.wav": riff(form, chunk(b"fact", struct.pack("<I", 100)), data), "block0.wav": wav(little, fmt(block=0)),
        "extensible.wav": wav(little, extensible(PCM, 16, 16)), "20-in-24.wav": wav(widened(little, 3), extensible(PCM, 24, 20)),
        "24-in-32.wav": wav(widened(little, 4), fmt(bits=24, block=4)), "f64.wav": wav(floats(samples, "<d"), fmt(FLOAT, bits=64)),
        "id3-in-front.wav": b"ID3\3\0\0\0\0\0\x0aTIT2abcdef" + wav(little), "id3v1.wav": wav(little) + b"TAG" + bytes(125),
        "big-endian.wav": riff(chunk(b"fmt ", fmt(order=">"), order=">"), chunk(b"data", big, order=">"), magic=b"RIFX", order=">"),
        "rf64.wav": rf64(little), "bw64.wav": rf64(little, magic=b"BW64", tail=chunk(b"axml", b"<x/>")), "rf64-0.wav": rf64(little, 0),
        "rf64-max.wav": rf64(little, (1 << 64) - 1), "rf64-small.wav": rf64(little, 32000), "rf64-32-bits.wav": rf64(little, 0, data_size=len(little)),
        "float.w64": w64(floats(samples, "<f"), extensible(FLOAT, 32, 32)), "s16.w64": w64(little, fmt()),
        "ssnd-too-small.aiff": aiff(comm(20000), ssnd(big, size=40008)), "ssnd0.aiff": aiff(comm(n), ssnd(big, size=0), size=0),
        "ssnd-max.aiff": aiff(comm(n), ssnd(big, size=0xFFFFFFFF), size=0xFFFFFFFF), "ssnd-first.aiff": aiff(*reversed(sound)),
        "offset.aiff": aiff(comm(n), ssnd(big, offset=6)), "name.aiff": aiff(chunk(b"NAME", b"abc", order=">"), *sound),
        "name-not-padded.aiff": aiff(chunk(b"NAME", b"abc", pad=False, order=">"), *sound),
        "sowt.aifc": aifc(b"sowt", little), "twos.aifc": aifc(b"twos", big), "in24.aifc": aifc(b"in24", widened(big, 3, True), 24),
        "in32.aifc": aifc(b"in32", widened(big, 4, True), 32), "23ni.aifc": aifc(b"23ni", widened(little, 4), 32),
        "fl32.aifc": aifc(b"fl32", floats(samples, ">f"), 32), "FL64.aifc": aifc(b"FL64", floats(samples, ">d"), 64),
        "size-max.au": au(big, size=0xFFFFFFFF), "size0.au": au(big, size=0), "size-too-small.au": au(big, size=100),
        "annotation.au": au(big, annotation=b"hello!"), "little-endian.au": au(little, order="<"), "f64.au": au(floats(samples, ">d"), 7),
        "size-unknown.caf": caf(big, size=-1), "size0.caf": caf(big, size=0), "size-too-small.caf": caf(big, size=32004), "little-endian.caf": caf(little, 2),
        "f32le.caf": caf(floats(samples, "<f"), 3, 32), "free.caf": caf(big, front=b"free" + struct.pack(">Q", 101) + bytes(101)),
        "uuid.caf": caf(big, tail=b"uuid" + struct.pack(">Q", 20) + bytes(20)), "block.voc": voc(voc_sound(little)),
        "blocks.voc": voc(voc_sound(little[:half - 1]), voc_block(5, b"a text\0"), voc_block(2, little[half - 1:])),
        "joined.voc": voc(voc_sound(little[:half])) + voc(voc_sound(little[half:])),
    }


def other_files(little, samples):
    loud = samples[:40000]
    with_giant = [x / 32768 for x in loud[:20000]] + [1e4] + [x / 32768 for x in loud[20001:]]
    opposite = [y for x in samples[:48000] for y in (x, min(-x, 32767))]
    return {
        "one-sample-1e4.wav": wav(struct.pack(f"<{len(with_giant)}f", *with_giant), fmt(FLOAT, bits=32)),
        "opposite-phase.wav": wav(struct.pack(f"<{len(opposite)}h", *opposite), fmt(channels=2)),
        "silence.voc": voc(voc_sound(little), voc_block(3, struct.pack("<HB", 15999, 256 - 62)), voc_sound(little)),
    }


def main():
    convert, clip, out, stamp = sys.argv[1:]
    folder = Path(out)
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "whole").mkdir(parents=True)
    raw = folder / "clip.s16be.raw"
    subprocess.run([convert, clip, raw], check=True)
    big = raw.read_bytes()
    raw.unlink()
    samples = array.array("h", big)
    if sys.byteorder == "little":
        samples.byteswap()
    little = b"".join(big[i + 1:i + 2] + big[i:i + 1] for i in range(0, len(big), 2))
    for name, content in whole_files(little, big, samples).items():
        (folder / "whole" / name).write_bytes(content)
    for name, content in other_files(little, samples).items():
        (folder / name).write_bytes(content)
    Path(stamp).touch()


if __name__ == "__main__":
    main()
