"$QASR" transcribe --model "$DEMO" --audio "$DATA/golden/clips/en-000.flac"
"$QASR" transcribe --model "$DEMO" "$DATA/golden/clips/ru-000.flac" --threads 1 --quiet
"$QASR" transcribe -m "$DEMO" -l ru - <"$DATA/golden/clips/ru-001.flac"
cd "$DATA/golden/clips"
"$QASR" transcribe --quiet --model "$DEMO" --language English --audio en-001.flac --audio en-002.flac en-000.flac
