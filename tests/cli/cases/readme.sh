# The table of tasks in README.md: every command does what the table says.
root=$DEMO/../..
mkdir -p models bin talks/below
ln -s "$DEMO" models/demo
ln -s "$QASR" bin/qasr
cat >bin/ffmpeg <<'SH'
#!/bin/sh
[ "$(head -c 4)" = TEST ] && exec cat
SH
chmod +x bin/ffmpeg
clips=$DATA/golden/clips
"$CONVERT" "$DEMO/eval/long/en-long-45s.flac" talk.wav
"$CONVERT" "$clips/en-000.flac" "$clips/ru-000.flac" call.wav
"$CONVERT" "$clips/ru-000.flac" talks/a.wav
"$CONVERT" "$clips/en-000.flac" talks/b.wav
"$CONVERT" "$clips/ru-001.flac" talks/below/c.flac
"$CONVERT" "$clips/en-001.flac" float.au
{ printf TEST; cat float.au; } >video.mp4
printf 'talks/a.wav\ntalks/below/c.flac\n' >names.txt
export PATH=$PWD/bin:$PATH
grep -E '^\| .* \| `qasr transcribe .*` \|$' "$root/README.md" | sed -E 's/^.* \| `(.*)` \|$/\1/' >jobs
wc -l <jobs
while IFS= read -r job; do
    echo "\$ $job"
    bash -c "$job --quiet" </dev/null || echo "WRONG: status $?"
done <jobs
head -n 4 talk.srt video.vtt talks.csv
cut -d '"' -f 4,8 talks.jsonl
find texts -type f | LC_ALL=C sort
