# Memory does not grow with the length of a file: 10 minutes are 38 MB of samples. Unless quiet, a line on standard error reports
# progress at one half.
tool wav short.wav 160000
tool wav long.wav 9600000
export ASAN_OPTIONS=quarantine_size_mb=1:${ASAN_OPTIONS-}
t() { "$QASR" transcribe --model "$DEMO" --segment 10 --max-new-tokens 2 --ignore-eos --format json "$@"; }
for name in short long; do
    t $name.wav >$name.json 2>$name.err
done
t - <long.wav 2>&1 >/dev/null | sed -E 's/ 30[0-9] s  [0-9.]+x$/ S s  Cx/'
t --quiet long.wav 2>&1 >/dev/null
sed -E 's/ 30[0-9]\/600 s  [0-9.]+x  ETA [0-9]+:[0-9]+ $/ S\/600 s  Cx  ETA M:S/' long.err short.err
python3 - <<'PY'
import json
short, long = json.load(open("short.json")), json.load(open("long.json"))
assert short["duration"] == 10 and long["duration"] == 600, (short["duration"], long["duration"])
assert len(long["segments"]) >= 60 and long["segments"][-1]["end"] == 600, long["segments"]
assert all(a["end"] == b["start"] for a, b in zip(long["segments"], long["segments"][1:])), long["segments"]
assert long["peak_rss_mb"] < short["peak_rss_mb"] + 25, (short["peak_rss_mb"], long["peak_rss_mb"])
PY
