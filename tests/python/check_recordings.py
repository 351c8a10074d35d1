#!/usr/bin/env python3
"""Recordings of every kind, made by the encoders that are installed, in every state in which they are found: whole, joined,
with a header that tells too little, nothing, or the largest number there is, cut off, under another name, through a pipe. Each gives
the samples that it should, or says what is missing. Kinds without an encoder are left out."""
import argparse
import array
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

RATE = 16000


def run(*command, stdin=None):
    done = subprocess.run(command, stdin=stdin or subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.decode(errors='replace')[-300:]}")


def ffmpeg(source, target, *options):
    run("ffmpeg", "-y", "-v", "error", "-i", source, *options, target)


# kind: (program, what it does, lossless)
KINDS = {
    "wav": ("ffmpeg", lambda s, t: ffmpeg(s, t), True),
    "float.wav": ("ffmpeg", lambda s, t: ffmpeg(s, t, "-c:a", "pcm_f32le"), True),
    "sox.wav": ("sox", lambda s, t: run("sox", s, "-b", "24", t), True),
    "mp3.wav": ("ffmpeg", lambda s, t: ffmpeg(s, t, "-c:a", "libmp3lame", "-b:a", "64k"), False),
    "adpcm.wav": ("ffmpeg", lambda s, t: ffmpeg(s, t, "-c:a", "adpcm_ima_wav"), False),
    "w64": ("ffmpeg", lambda s, t: ffmpeg(s, t), True),
    "float.w64": ("ffmpeg", lambda s, t: ffmpeg(s, t, "-c:a", "pcm_f32le"), True),
    "rf64": ("ffmpeg", lambda s, t: ffmpeg(s, t, "-rf64", "always", "-f", "wav"), True),
    "aiff": ("ffmpeg", lambda s, t: ffmpeg(s, t), True),
    "sox.aiff": ("sox", lambda s, t: run("sox", s, t), True),
    "au": ("ffmpeg", lambda s, t: ffmpeg(s, t), True),
    "caf": ("ffmpeg", lambda s, t: ffmpeg(s, t, "-c:a", "pcm_s16be"), True),
    "voc": ("ffmpeg", lambda s, t: ffmpeg(s, t, "-c:a", "pcm_s16le"), True),
    "ulaw.voc": ("ffmpeg", lambda s, t: ffmpeg(s, t, "-c:a", "pcm_mulaw"), False),
    "adpcm.w64": ("ffmpeg", lambda s, t: ffmpeg(s, t, "-c:a", "adpcm_ms", "-ar", "96000"), False),
    "flac": ("flac", lambda s, t: run("flac", "-s", "-f", s, "-o", t), True),
    "pipe.flac": ("ffmpeg", lambda s, t: ffmpeg(s, t, "-seekable", "0"), True),
    "ogg": ("oggenc", lambda s, t: run("oggenc", "-Q", s, "-o", t), False),
    "ff.ogg": ("ffmpeg", lambda s, t: ffmpeg(s, t, "-c:a", "libvorbis"), False),
    "opus": ("opusenc", lambda s, t: run("opusenc", "--quiet", s, t), False),
    "ff.opus": ("ffmpeg", lambda s, t: ffmpeg(s, t, "-c:a", "libopus"), False),
    "oga": ("flac", lambda s, t: run("flac", "-s", "-f", "--ogg", s, "-o", t), True),
    "cbr.mp3": ("lame", lambda s, t: run("lame", "--quiet", "-b", "64", s, t), False),
    "vbr.mp3": ("lame", lambda s, t: run("lame", "--quiet", "-V", "3", s, t), False),
    "plain.mp3": ("lame", lambda s, t: run("lame", "--quiet", "-t", "-b", "64", s, t), False),
    "pipe.mp3": ("ffmpeg", lambda s, t: ffmpeg(s, t, "-b:a", "64k", "-write_xing", "0"), False),
    "mp2": ("ffmpeg", lambda s, t: ffmpeg(s, t), False),
    "m4a": ("ffmpeg", lambda s, t: ffmpeg(s, t), False),
    "mp4": ("ffmpeg", lambda s, t: ffmpeg(s, t, "-movflags", "+faststart"), False),
    "mp3.mp4": ("ffmpeg", lambda s, t: ffmpeg(s, t, "-c:a", "libmp3lame"), False),
    "mkv": ("ffmpeg", lambda s, t: ffmpeg(s, t), False),
    "webm": ("ffmpeg", lambda s, t: ffmpeg(s, t), False),
    "ts": ("ffmpeg", lambda s, t: ffmpeg(s, t), False),
    "aac": ("ffmpeg", lambda s, t: ffmpeg(s, t), False),
    "flv": ("ffmpeg", lambda s, t: ffmpeg(s, t, "-c:a", "aac"), False),
    "wma": ("ffmpeg", lambda s, t: ffmpeg(s, t), False),
    "tta": ("ffmpeg", lambda s, t: ffmpeg(s, t), True),
    "wv": ("ffmpeg", lambda s, t: ffmpeg(s, t), True),
}


def find_sizes(kind, data):
    """Where the lengths of samples stand: (offset, struct format, what is added to the bytes of samples)."""
    if kind.endswith("wav"):
        return [(4, "<I", 36), (data.index(b"data") + 4, "<I", 0)]
    if kind == "rf64":
        return [(20, "<Q", 60), (28, "<Q", 0)]
    if kind.endswith("w64"):
        return [(16, "<Q", 104), (data.index(b"data\xf3\xac\xd3\x11") + 16, "<Q", 24)]
    if kind.endswith("aiff"):
        return [(4, ">I", 46), (data.index(b"SSND") + 4, ">I", 8)]
    if kind == "au":
        return [(8, ">I", 0)]
    if kind == "caf":
        return [(data.rindex(b"data") + 4, ">Q", 4)]
    return []


def with_size(kind, data, size):
    """The file with another number of bytes of samples in its header; size None: the largest number. None: it has none."""
    data = bytearray(data)
    if kind.endswith("flac") and data[:4] == b"fLaC":
        frames = 0 if size is None else size // 2
        data[21] = data[21] & 0xF0
        data[22:26] = struct.pack(">I", frames)
        return bytes(data)
    if kind in ("cbr.mp3", "vbr.mp3") and size is not None:
        at = data.find(b"Xing") if b"Xing" in data else data.find(b"Info")
        data[at + 8:at + 12] = struct.pack(">I", size // 2 // 576)
        return bytes(data)
    sizes = find_sizes(kind, bytes(data))
    for at, form, more in sizes:
        largest = (1 << 8 * struct.calcsize(form)) - 1
        data[at:at + struct.calcsize(form)] = struct.pack(form, largest if size is None else size + more if size else 0)
    return bytes(data) if sizes else None


class Recordings:
    def __init__(self, decode, folder):
        self.decode_audio, self.folder, self.errors, self.n_checks = decode, folder, [], 0

    def decode(self, path, piped=False):
        out = self.folder / "out.f32"
        with open(path, "rb") as data:
            done = subprocess.run([self.decode_audio, "-" if piped else path, out, "ffmpeg"], stdin=data, capture_output=True,
                                  text=True, check=False)
        if done.stderr:
            self.errors.append(f"{path.name}: standard error has '{done.stderr.strip()}'")
        samples = array.array("f")
        samples.frombytes(out.read_bytes())
        lines = done.stdout.splitlines()
        assert done.returncode == 0 or any(line.startswith("error") for line in lines), (path, done.returncode)
        return samples, lines

    def check(self, what, path, expected, exact, piped=False, may_be_damaged=True, must_be_damaged=False):
        """The samples that are expected, or a word."""
        self.n_checks += 1
        samples, lines = self.decode(path, piped)
        said = [line for line in lines if line.startswith(("damage", "error"))]
        if any(line.startswith("damage") for line in said) and not any(line.startswith("warning") for line in lines):
            self.errors.append(f"{what}: damage without a warning")
        if must_be_damaged and not said:
            self.errors.append(f"{what}: silent; {len(samples)} samples")
        if said and not may_be_damaged:
            self.errors.append(f"{what}: {said[0]}")
        if said:
            return
        shorter = min(len(samples), len(expected))
        if exact and samples != expected:
            self.errors.append(f"{what}: {len(samples)} samples, expected {len(expected)}, not the same")
        elif not exact and (abs(len(samples) - len(expected)) > RATE // 8 or not alike(samples, expected, shorter)):
            self.errors.append(f"{what}: {len(samples)} samples, expected about {len(expected)}, not alike")


def alike(x, y, n):
    """The same sound, give or take a delay and what codecs do, by its levels."""
    step = RATE // 40

    def levels(z):
        return [sum(v * v for v in z[i:i + step:2]) for i in range(0, n - step, step)]

    a, b = levels(x), levels(y)
    norm = sum(v * v for v in a) ** 0.5 * sum(v * v for v in b) ** 0.5
    return max(sum(p * q for p, q in zip(a[delay:], b)) for delay in range(6)) > 0.9 * norm


def check_kind(r, kind, make, lossless, clips, clean):
    path = r.folder / f"whole.{kind}"
    second = r.folder / f"second.{kind}"
    make(str(clips[0]), str(path))
    make(str(clips[1]), str(second))
    data = path.read_bytes()
    r.check(f"{kind} whole", path, clean[0], lossless, may_be_damaged=False)
    whole, _ = r.decode(path)
    r.check(f"{kind} from a pipe", path, whole, True, piped=True, may_be_damaged=False)
    for name in ("wrong.mp3", "wrong.snd", "wrong.wav", "wrong.vox"):
        wrong = r.folder / name
        shutil.copyfile(path, wrong)
        r.check(f"{kind} as {name}", wrong, whole, True, may_be_damaged=False)
    other = r.folder / f"other.{kind}"
    other.write_bytes(data + second.read_bytes())
    ours = kind.split(".")[-1] not in ("m4a", "mp4", "mkv", "webm", "ts", "aac", "flv", "wma", "tta", "wv")
    both = whole + r.decode(second)[0]
    overlaps = kind.startswith(("plain", "pipe.mp3", "mp2", "mp3.wav", "adpcm.w64"))  # the second goes on where the first ended
    r.check(f"{kind} joined", other, both, ours and not overlaps, may_be_damaged=not ours)
    for what, size in (("too small", 16000), ("zero", 0), ("unknown", None)):
        patched = with_size(kind, data, size)
        if patched:
            other.write_bytes(patched)
            exact = not (kind.endswith("mp3") and what == "too small")  # what the encoder added at the end stays
            r.check(f"{kind} with a header that tells: {what}", other, whole, exact, may_be_damaged=False)
            if lossless and not kind.startswith("pipe"):
                other.write_bytes(patched + with_size(kind, second.read_bytes(), size))
                r.check(f"{kind} joined, headers that tell: {what}", other, both, exact, may_be_damaged=False)
    for part in (0.3, 0.61, 0.99):
        other.write_bytes(data[:int(len(data) * part) | 1])
        r.check(f"{kind} cut to {part:.0%}", other, whole, False, must_be_damaged=True)
    middle = len(data) // 2
    if kind.endswith(("flac", "oga", "wv", "ogg", "opus", "mp3", "mp2")):  # those that can tell
        for what, bad in (("zeros", bytes(2000)), ("other bytes", bytes(i * 7919 % 251 for i in range(2000)))):
            other.write_bytes(data[:middle] + bad + data[middle + 2000:])
            r.check(f"{kind} with {what} in it", other, whole, False, must_be_damaged=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--decode-audio", required=True)
    parser.add_argument("--convert-audio", required=True)
    parser.add_argument("--clips", type=pathlib.Path, required=True)
    parser.add_argument("kinds", nargs="*")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        r = Recordings(args.decode_audio, pathlib.Path(folder))
        clips = [r.folder / "a.wav", r.folder / "b.wav"]
        for clip, name in zip(clips, ("en-000.flac", "en-001.flac")):
            run(args.convert_audio, args.clips / name, clip)
        clean = [r.decode(clip)[0] for clip in clips]
        left_out = []
        for kind, (program, make, lossless) in KINDS.items():
            if args.kinds and kind not in args.kinds:
                continue
            if not shutil.which(program) or not shutil.which("ffmpeg"):
                left_out.append(kind)
                continue
            try:
                check_kind(r, kind, make, lossless, clips, clean)
            except RuntimeError as error:
                left_out.append(f"{kind} ({error})")
        print(f"{r.n_checks} recordings, {len(r.errors)} wrong; left out: {', '.join(left_out) or 'none'}")
        print("\n".join(r.errors))
        if r.n_checks == 0:
            sys.exit(77)
        sys.exit(1 if r.errors else 0)


if __name__ == "__main__":
    main()
