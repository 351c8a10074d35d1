# Batches of files and of segments of one file: the same output in the same order as one after the other, also around a file that
# fails; results are written as soon as they are complete.
ln -s "$DATA"/golden/clips/*.flac "$DEMO"/eval/long/*.flac .
files="en-long-12s.flac ru-000.flac missing.wav silence-1s.flac en-001.flac ru-002.flac en-long-45s.flac ru-001.flac"
for batch in 1 2 3 8 64; do
    "$QASR" transcribe --model "$DEMO" --quiet --segment 9 --batch $batch $files >$batch.txt 2>$batch.err
    echo $?
done
"$QASR" transcribe --model "$DEMO" --quiet --segment 9 $files >auto.txt 2>auto.err
"$QASR" transcribe --model "$DEMO" --quiet --format json --batch 3 --kv-type q8_0 ru-000.flac missing.wav ru-001.flac 2>/dev/null >out.json
"$QASR" transcribe --quiet --model "$DEMO" --kv-type f32 -b 2 ru-000.flac ru-002.flac
for batch in 2 3 8 64 auto; do
    cmp 1.txt $batch.txt
    cmp 1.err $batch.err
done
cat 1.err
cut -d" " -f 1-4 1.txt
python3 - <<'PY'
import json
a, missing, b = json.load(open("out.json"))
assert a["text"].startswith("Медленно семь") and b["text"].startswith("Каждый вторник") and "error" in missing, (a, b)
assert a["timings"]["decode_s"] > 0 and a["timings"]["decode_ms_per_token"] > 0, a
PY
must_fail 2 "$QASR" transcribe --model "$DEMO" --batch 0 x.wav
must_fail 2 "$QASR" transcribe --model "$DEMO" --batch 65 x.wav
must_fail 2 "$QASR" transcribe --model "$DEMO" --kv-type bf16 x.wav
