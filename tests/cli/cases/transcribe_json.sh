clips=$DATA/golden/clips
"$QASR" transcribe --model "$DEMO" --format json "$clips/en-000.flac" | tee one.json | tool keys
python3 - <<'PY'
import json
r = json.load(open("one.json"))
assert r["tokens"] == r["segments"][0]["tokens"] and r["text"] == r["segments"][0]["text"], r
assert r["segments"][0]["start"] == 0 and abs(r["segments"][0]["end"] - r["duration"]) < 1e-3, r
assert r["decoder"]["type"] == "bf16" and r["stop_reason"] == "eos" and r["language"] == "English", r
assert r["timings"]["total_s"] > 0 and r["peak_rss_mb"] > 1, r
PY
"$QASR" transcribe --quiet --model "$DEMO" --format json "$clips/silence-1s.flac" missing.wav >two.json
echo $?
python3 -c 'import json; a, b = json.load(open("two.json")); print(a["text"], a["stop_reason"], b["file"], b["error"])'
