# Needs pull and quantize.
# A model from the hub: which files are fetched from where, and who gets the token; then models by name.
hub --cdn --token secret
must_fail 1 "$QASR" pull 0.6b 2>&1 | sed -E 's/:[0-9]+/:PORT/g'
ls -A cache/qasr/models 2>/dev/null
export HF_TOKEN=secret
pull 0.6B
same_as_demo cache/qasr/models/0.6b
echo "requests to the hub without the token after the first: $(log "sum(e['server'] == 'hub' and e['authorization'] != 'Bearer secret' for e in L[1:])")"
echo "responses from the other port: statuses $(log "sorted({e['status'] for e in L if e['server'] == 'cdn'})"), with a token: $(log "sum(e['server'] == 'cdn' and bool(e['authorization']) for e in L)")"
echo "ranges of weights: $(log "sum(e['server'] == 'cdn' for e in L)"), bytes $(log "sum(e['sent'] for e in L if e['server'] == 'cdn')")"
echo "unneeded files: $(log "[e['path'] for e in L if 'README' in e['path'] or 'samples' in e['path']]")"
echo "-- already there"
hub_end
pull 0.6b
pull Qwen/Qwen3-ASR-0.6B --quiet
pull 0.6b --verify
pull 0.6b --quantize q8_0
pull 0.6b --quantize q8_0
echo "-- another decoder, which is not the default"
pull 0.6b --quantize q4_0
pull 0.6b --quantize q4_0
pull 0.6b --quantize q4_0 --quiet
"$QASR" transcribe --model 0.6b --format json "$DEMO/samples/ru.flac" | grep '"file".*gguf'
"$QASR" transcribe --model 0.6b --decoder-gguf model-q4_0.gguf --format json "$DEMO/samples/ru.flac" | grep '"file".*gguf'
rm cache/qasr/models/0.6b/model-q4_0.gguf
echo "-- by name"
"$QASR" models
"$QASR" models --format json | tool keys
"$QASR" transcribe --model 0.6b "$DEMO/samples/ru.flac"
"$QASR" transcribe --model qwen/qwen3-asr-0.6b "$DEMO/samples/ru.flac"
"$QASR" transcribe "$DEMO/samples/ru.flac"
QASR_MODEL=0.6b "$QASR" transcribe "$DEMO/samples/ru.flac"
"$QASR" info 0.6b | head -n 2
"$QASR" quantize --input 0.6b --output x.gguf --qtype q4_0 --dry-run | tail -n 1
"$QASR" bench --model 0.6b --seconds 1 --tokens 2 --repeat 1 --variants fp >/dev/null && echo bench
"$QASR" calibrate --output c.gguf "$DEMO/samples/ru.flac" | head -n 1
"$QASR" eval --model 0.6b --baseline 0.6b --data "$DEMO/eval/clean" --limit 1 --quiet >/dev/null && echo eval
