# Three hours with nine clips of eleven seconds in silence: memory as for a minute, segments cover every second, and standard error
# reports the skipped silence and, occasionally, the progress.
tool hours long.wav 10800 "$DATA/audio/jfk.wav" 1200
tool hours short.wav 60 "$DATA/audio/jfk.wav" 30
export ASAN_OPTIONS=quarantine_size_mb=1:${ASAN_OPTIONS-}
for name in short long; do
    "$QASR" transcribe --model "$DEMO" --format json $name.wav >$name.json 2>$name.err
done
python3 - <<'PY'
import json, re
short, long = json.load(open("short.json")), json.load(open("long.json"))
segments = long["segments"]
assert long["duration"] == 10800 and segments[0]["start"] == 0 and segments[-1]["end"] == 10800, segments
assert all(a["end"] == b["start"] for a, b in zip(segments, segments[1:])), segments
silent = [p for p in segments if p["status"] == "silent"]
spoken = [p for p in segments if p["status"] != "silent"]
assert len(spoken) == 9 and len(silent) == 10, segments
assert all(p["no_speech"] and p["text"] == "" and p["tokens"] == [] and p["stop_reason"] == "empty" for p in silent), silent
for i, p in enumerate(spoken):
    at = 600 + 1200 * i
    assert p["status"] == "ok" and p["text"] == spoken[0]["text"] != "", p
    assert at - 0.5 < p["start"] < at < p["speech_start"] < at + 0.5 and at + 10.5 < p["speech_end"] < p["end"] < at + 11.5, p
lines = open("long.err").read().splitlines()
bars = [re.fullmatch(r" *(\d+)%  file 1/1  (\d+)/10800 s  \d+\.\dx  ETA \d+:\d\d ", line) for line in lines]
lines = [line for line, bar in zip(lines, bars) if not bar]
done = [0] + [int(bar[2]) for bar in bars if bar]
assert 5 <= len(done) - 1 <= 9 and all(b - a >= 1079 for a, b in zip(done, done[1:])) and done[-1] < 10800, done
assert all(abs(int(bar[1]) - int(bar[2]) / 108) < 1 for bar in bars if bar), bars
assert lines == [f"qasr: warning: 'long.wav' from {p['start']:.1f} to {p['end']:.1f} s: no audible sound, skipped" for p in silent], lines
assert long["peak_rss_mb"] < short["peak_rss_mb"] + 30, (short["peak_rss_mb"], long["peak_rss_mb"])
PY
