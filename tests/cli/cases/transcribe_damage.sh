# Damage in the middle and an early end: the rest is transcribed, each place is named in a warning and in JSON, --strict fails.
t() { "$QASR" transcribe --quiet --model "$DEMO" "$@"; }
t --format json "$DATA/field/mp3-600-bad-bytes.mp3" >damaged.json
t --format jsonl "$DATA/field/mp3-600-bad-bytes.mp3" 2>/dev/null >damaged.jsonl
python3 - <<'PY'
import json
one = json.load(open("damaged.json"))
two = [json.loads(line) for line in open("damaged.jsonl")][-1]
assert one["audio_damaged"] and one["damage"] == two["damage"], (one, two)
place, = one["damage"]
assert 0 < place["start"] <= place["end"] < one["duration"] and place["what"], place
PY
must_fail 3 t --strict "$DATA/field/mp3-600-bad-bytes.mp3" >/dev/null
t "$DATA/field/joined-cbr.mp3" "$RECORDINGS/whole/two-data.wav"
# What replaces sound on a guess counts, too.
for name in opposite-phase one-sample-1e4; do
    t --format json "$RECORDINGS/$name.wav" 2>/dev/null | grep -c '"audio_damaged": true'
    must_fail 3 t --strict --output out.txt "$RECORDINGS/$name.wav" 2>&1 | grep -c 'warning'
done
