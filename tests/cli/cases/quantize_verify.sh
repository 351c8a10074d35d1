# Needs quantize.
# A file that is worse than its original is caught before it is in place; the proof is in the summary and in the file; errors.
"$PYTHON" "$MAKE_OUTLIERS" "$DEMO" outliers --exponent 10 --seed 1
must_fail 1 "$QASR" quantize -i outliers -o bad.gguf --scope all --encoder-qtype q4_0 --equalize off | sed "s,KL [0-9.]*,KL N,"
must_fail 1 "$QASR" quantize -i outliers -o bad.gguf --scope all --encoder-qtype q4_0 --equalize off --format json | sed "s,KL [0-9.]*,KL N,"
ls
"$QASR" quantize -i outliers -o bad.gguf --scope all --encoder-qtype q4_0 --equalize off --force 2>&1 | grep -E '^qasr|verified' |
    sed -E 's/KL [0-9.e-]+/KL N/; s/cosine [0-9.]+ \(lowest segment [0-9.]+, vector [0-9.]+\)/cosine N/; s/, [0-9]+ texts/, N texts/'
"$QASR" info bad.gguf | grep 'verify.passed'
"$QASR" quantize -i outliers -o good.gguf --scope all --encoder-qtype q4_0 --equalize on --format json -t 1 >good.json
"$QASR" quantize -i outliers -o same.gguf --scope all --encoder-qtype q4_0 --equalize on -t 2 -q
cmp good.gguf same.gguf
"$QASR" info good.gguf | grep qasr.verify | sed -E 's/(kl|cosine|cosine_lowest|texts) +[0-9.e-]+$/\1/'
"$PYTHON" - <<'PY'
import json, subprocess, os
v = json.load(open("good.json"))["verification"]
print(*v)
assert v["passed"] and v["segments"] == 16 and v["audio_seconds"] > 40 and v["positions"] > 400 and v["lost_texts"] == 0
assert 0 < v["kl_mean"] < 0.02 and v["kl_mean"] < v["kl_max"]
assert 0.98 < v["encoder_cosine_lowest"] < v["encoder_cosine"] < 1 and v["encoder_cosine_lowest_vector"] < v["encoder_cosine_lowest"]
PY
# what is verified: by default encoders below 8 bits and mixes
verified() { "$QASR" quantize "$@" 2>&1 | grep -E '^qasr|^verified' | sed -E 's/KL [0-9.e-]+/KL N/; s/cosine [01.]+[0-9]* \(.*\)/cosine N/; s/, [0-9]+ texts/, N texts/'; }
echo 'plain:'; verified -i "$DEMO" -o a.gguf --scope all
echo 'on:'; verified -i "$DEMO" -o b.gguf --scope all --verify on && cmp -s a.gguf b.gguf || echo 'with keys'
echo 'decoder:'; verified -i "$DEMO" -o c.gguf --verify on
echo 'off:'; verified -i "$DEMO" -o d.gguf --scope all --encoder-qtype q4_0 --verify off
echo 'dry run:'; verified -i "$DEMO" --scope all --encoder-qtype q4_0 --dry-run
printf '%s\n' "$DATA/golden/clips/ru-002.flac" "$DATA/golden/clips/en-001.flac" >list.txt
echo 'list:'; verified -i a.gguf -o e.gguf --scope all --qtype q6_k --verify list.txt
echo 'no clips:'; QASR_DATA_DIR=$PWD verified -i "$DEMO" -o f.gguf --scope all --encoder-qtype q4_0
QASR_DATA_DIR=$PWD must_fail 1 "$QASR" quantize -i "$DEMO" -o x.gguf --verify on
# what cannot be verified
must_fail 1 "$QASR" quantize -i "$DEMO" -o x.gguf --verify missing.wav
must_fail 1 "$QASR" quantize -i "$DEMO" -o x.gguf --verify on --scope thinker.model.layers.1
must_fail 1 "$QASR" quantize -i a.gguf -o x.gguf --verify on
must_fail 1 "$QASR" quantize -i c.gguf -o x.gguf --qtype q4_0 --verify on
"$PYTHON" - <<'PY'
import wave
with wave.open("silence.wav", "wb") as w:
    w.setparams((1, 2, 16000, 0, "NONE", ""))
    w.writeframes(bytes(64000))
PY
must_fail 1 "$QASR" quantize -i "$DEMO" -o x.gguf --verify silence.wav
ls
