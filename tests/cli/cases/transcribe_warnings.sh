cd "$DATA/golden/clips"
"$QASR" transcribe --model "$DEMO" --max-new-tokens 6 en-000.flac --quiet
"$QASR" transcribe --model "$DEMO" --max-new-tokens 6 en-000.flac --format json >/dev/null
"$QASR" transcribe --model "$DEMO" --max-new-tokens 6 --ignore-eos en-000.flac >/dev/null
QASR_CPU=best "$QASR" transcribe --model "$DEMO" en-000.flac >/dev/null
QASR_CPU=scalar "$QASR" transcribe --model "$DEMO" silence-1s.flac --timings
