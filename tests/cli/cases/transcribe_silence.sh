# Silence before, between and after sentences changes nothing but times, at the default length of segments.
clips=$DEMO/eval/clean
for i in 000 012 014 020 030 040; do
    "$CONVERT" "$clips/en-$i.flac" "en-$i.wav"
    "$CONVERT" "$clips/ru-$i.flac" "ru-$i.wav"
done
cat >silence.py <<'PY'
import array, itertools, json, random, subprocess, sys, wave

RATE = 16000
rng = random.Random(1)


def load(name):
    with wave.open(name) as w:
        return array.array("h", w.readframes(w.getnframes()))


def pause(seconds, level):
    """Silence, or noise of this level in steps of 16 bits."""
    n = round(seconds * RATE)
    return array.array("h", bytes(2 * n) if level == 0 else (round(rng.gauss(0, level)) for _ in range(n)))


def transcribe(names):
    done = subprocess.run([sys.argv[1], "transcribe", "--quiet", "--model", sys.argv[2], "--format", "json", *names],
                          check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


singles = sorted(sys.argv[3:])
text = {c["file"]: c["text"] for c in transcribe(singles)}
sound = {name: load(name) for name in singles}
cases = {}  # name: (parts, expected texts)
levels = itertools.cycle((0, 0, 1, 8))
for name, seconds, level in zip(singles * 2, itertools.cycle((3, 13, 5, 8, 2.1)), levels):
    cases[f"lead-{level}-{seconds}-{name}"] = ([pause(seconds, level), sound[name]], [name])
for (a, b), seconds, level in zip(zip(singles, singles[1:] + singles[:1]), itertools.cycle((0.5, 1, 2, 2.5, 3, 3.9, 5, 8, 12, 20)), levels):
    if a[:2] == b[:2]:
        cases[f"pair-{level}-{seconds}-{a[:-4]}-{b}"] = ([sound[a], pause(seconds, level), sound[b], pause(6, level)], [a, b])
for name, (parts, _) in cases.items():
    with wave.open(name, "wb") as w:
        w.setparams((1, 2, RATE, 0, "NONE", ""))
        w.writeframes(b"".join(p.tobytes() for p in parts))
n_bad = 0
for c in transcribe(list(cases)):
    parts, names = cases[c["file"]]
    want = " ".join(text[n] for n in names)
    if c["text"] != want:
        n_bad += 1
        print(c["file"], "has", c["text"], "instead of", want)
    heard = [s for s in c["segments"] if s["text"]]
    # the model never hears much more than two seconds of silence at once
    assert all(s["start"] <= s["speech_start"] <= s["speech_end"] <= s["end"] for s in heard), heard
    assert all(a["end"] == b["start"] for a, b in zip(c["segments"], c["segments"][1:])), c["segments"]
    first, last = len(parts[0]) / RATE if len(names) == 1 else 0, sum(map(len, parts)) / RATE
    speech_end = last if len(names) == 1 else last - 6
    assert first - 0.1 <= heard[0]["speech_start"] <= first + 0.6, (c["file"], heard)
    assert speech_end - 1.2 <= heard[-1]["speech_end"] <= speech_end + 0.1, (c["file"], heard)
print(len(cases), "cases,", n_bad, "with other texts")
PY
"$PYTHON" silence.py "$QASR" "$DEMO" ??-???.wav
# What is left out of a pause is said, in seconds, and --segment off hears everything.
"$PYTHON" - <<'PY'
import wave
with wave.open("en-000.wav") as a, wave.open("en-012.wav") as b, wave.open("gap.wav", "wb") as out:
    out.setparams(a.getparams())
    out.writeframes(a.readframes(a.getnframes()) + bytes(2 * 16000 * 3) + b.readframes(b.getnframes()))
PY
for option in auto 30 off; do
    "$QASR" transcribe --model "$DEMO" --segment $option --format json gap.wav |
        "$PYTHON" -c 'import json, sys; print([(s["status"], s.get("omitted", 0) > 0) for s in json.load(sys.stdin)["segments"]])'
done
