# A file that fails gets its line, the rest goes on, the status is 1 at the end.
cd "$DATA/golden/clips"
"$QASR" transcribe --quiet --ffmpeg none --model "$DEMO" en-000.flac missing.wav ../demo.json ru-000.flac
