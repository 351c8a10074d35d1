# The same audio gives the same text in any container, and the same bytes in lossless ones; parts, channels, headerless samples.
t() { "$QASR" transcribe --quiet --model "$DEMO" "$@"; }
clip=$DATA/golden/clips/en-000.flac
t "$clip" --format jsonl | tee wanted.jsonl
for name in a.wav a.flac a.aiff a.au a.caf a.w64 a.rf64 float.wav; do
    "$CONVERT" "$clip" $name
    cp $name sound # the format is detected from the content, not from the name
    t sound --format jsonl >got.jsonl
    sed 's/"file":"[^"]*"/"file":""/' wanted.jsonl >w
    sed 's/"file":"[^"]*"/"file":""/' got.jsonl | cmp - w || echo "WRONG: $name"
    t - --format jsonl <sound | sed 's/"file":"[^"]*"/"file":""/' | cmp - w || echo "WRONG: $name from standard input"
done
for name in a.ogg a.opus a.mp3; do
    "$CONVERT" "$clip" $name
    t $name
done
"$CONVERT" "$clip" a.s16be.raw
"$CONVERT" "$clip" a.f32le.raw
t a.s16be.raw --raw s16be:16000:1
t - --raw f32le:16000:1 <a.f32le.raw
t a.wav --raw s16be:16000:2 --duration 1 >/dev/null # the header is read as samples: noise, but not an error
echo "--- parts: times count from the start of the file"
t "$DEMO/eval/long/en-long-45s.flac" --start 20.5 --duration 11 --format jsonl
t "$clip" --start 1000
echo "status $?"
echo "--- channels"
"$CONVERT" "$clip" "$DATA/golden/clips/ru-000.flac" two.wav
t two.wav --channel 1
t two.wav --channel 2
t two.wav --channel split
t two.wav --channel split --format json | python3 -c 'import json, sys; print([(x["channel"], x["language"]) for x in json.load(sys.stdin)])'
t two.wav --channel split --output-dir out --format txt,jsonl
(cd out && ls && cat two.ch2.jsonl)
t two.wav --channel 3
echo "status $?"
t missing.wav two.wav --channel split
echo "status $?"
echo "--- warnings and progress name the channel"
for file in silence-1s.flac en-000.flac; do "$CONVERT" "$DATA/golden/clips/$file" $file.wav; done
"$CONVERT" silence-1s.flac.wav en-000.flac.wav half.wav
"$QASR" transcribe --model "$DEMO" --channel split --timings --max-new-tokens 6 half.wav 2>&1 | sed -E 's/[0-9.]+x$/Ax/; s/: audio .*/: audio/; s/: [0-9.]+ s of audio in .*/: A/'
