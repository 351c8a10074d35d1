# A file that fails gets an error line, the others continue, and the exit status is 1.
cd "$DATA/golden/clips"
"$QASR" transcribe --quiet --ffmpeg none --model "$DEMO" en-000.flac missing.wav ../demo.json ru-000.flac
