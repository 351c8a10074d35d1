# Cutting long clips loses no text: their WER is at most one point above that of the short clips (1.78 %). The same bytes for any
# threads and batch.
clips=$DEMO/eval/clean
grep -e '^file' -e -long- "$clips/refs.tsv" >refs.tsv
"$QASR" eval --model "$DEMO" --data refs.tsv --audio-root "$clips" --format json --quiet >eval.json
python3 - <<'PY'
import json
r = json.load(open("eval.json"))
assert r["clips"] == 4 and r["wer"] <= 0.0278, r
PY
names=$(grep -e -long- refs.tsv | cut -f 1)
cd "$clips"
for options in "-t 1 -b 1" "-t 2 -b 3" "-t 3 -b 8" "-t 2"; do
    "$QASR" transcribe --quiet --model "$DEMO" --confidence --format json $options $names >"$OLDPWD/clips.json"
    python3 - "$OLDPWD/clips.json" <<'PY'
import hashlib, json, os, sys
clips = json.load(open(sys.argv[1]))
for c in clips:
    p = c["segments"]
    assert p[0]["start"] == 0 and all(a["end"] == b["start"] for a, b in zip(p, p[1:])) and abs(p[-1]["end"] - c["duration"]) < 1e-3, c
    assert len(p) == 1 or all(x["end"] - x["start"] <= 28 and x["status"] == "ok" for x in p), c
    for x in p:
        assert x["start"] <= x["speech_start"] < x["speech_end"] <= x["end"], x
        assert len(x["token_log_probabilities"]) == len(x["token_entropies"]) == len(x["tokens"]), x
        assert [w["text"] for w in x["words"]] == x["text"].split() and all(0 < w["confidence"] <= 1 for w in x["words"]), x
        assert -1 < x["avg_log_probability"] < 0, x
print(hashlib.sha256(json.dumps([[c["text"], c["segments"]] for c in clips]).encode()).hexdigest(), file=os.fdopen(3, "w"))
PY
done 3>"$OLDPWD/sums"
# jsonl has the same segments as json, with and without scores.
for options in "--confidence" "--language English"; do
    for format in json jsonl; do
        "$QASR" transcribe --quiet --model "$DEMO" $options --format $format $names >"$OLDPWD/lines.$format"
    done
    python3 - "$OLDPWD/lines" <<'PY'
import json, sys
clips = json.load(open(sys.argv[1] + ".json"))
lines = [json.loads(line) for line in open(sys.argv[1] + ".jsonl")]
wanted = [dict(type="segment", file=c["file"], **p) for c in clips for p in c["segments"]]
assert [line for line in lines if line["type"] == "segment"] == wanted, lines
print(sorted(wanted[0]))
PY
done
cd "$OLDPWD"
sort sums | uniq -c | awk '{ print $1 }'
# --segment off: one segment without retries. Other limits, also from a pipe.
"$QASR" transcribe --quiet --model "$DEMO" --segment off --format json "$DATA/golden/clips/en-long-61s.flac" >whole.json
"$QASR" transcribe --quiet --model "$DEMO" --segment 100 --format json "$DATA/golden/clips/en-long-61s.flac" >tried.json
"$QASR" transcribe --quiet --model "$DEMO" --segment 6 --format json - <"$DATA/golden/clips/en-long-12s.flac" >six.json
python3 - <<'PY'
import json
whole, tried, six = (json.load(open(n + ".json"))["segments"] for n in ("whole", "tried", "six"))
assert len(whole) == 1 and whole[0]["status"] == "suspect_loop", whole
assert len(tried) > 1 and all(p["status"] == "retried" for p in tried), tried
assert len(six) >= 3 and all(p["end"] - p["start"] <= 6 for p in six), six
PY
must_fail 2 "$QASR" transcribe --quiet --model "$DEMO" --segment 0 x.wav
must_fail 2 "$QASR" transcribe --quiet --model "$DEMO" --segment 1201 x.wav
must_fail 2 "$QASR" transcribe --quiet --model "$DEMO" --segment of x.wav
must_fail 2 "$QASR" eval --model "$DEMO" --data x.tsv --segment 5s
