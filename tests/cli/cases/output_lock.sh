# Two runs never write to one growing file at once; a killed run leaves no lock behind.
mkfifo sound
wait_for() { for _ in $(seq 600); do if [ -e "$1" ]; then sleep 0.5; return; fi; sleep 0.05; done; }
"$QASR" transcribe --quiet --model "$DEMO" "$DEMO/samples/ru.flac" - -o out.jsonl <sound &
pid=$!
exec 3>sound
wait_for out.jsonl
must_fail 1 "$QASR" transcribe --model "$DEMO" "$DEMO/samples/en.flac" -o out.jsonl
must_fail 1 "$QASR" transcribe --model "$DEMO" "$DEMO/samples/en.flac" -o out.jsonl --resume
ln -s out.jsonl link.jsonl
must_fail 1 "$QASR" transcribe --model "$DEMO" "$DEMO/samples/en.flac" -o link.jsonl --resume
cat "$DEMO/samples/en.flac" >&3
exec 3>&-
wait $pid
"$QASR" transcribe --quiet --model "$DEMO" "$DEMO/samples/en.flac" -o out.jsonl --resume
grep -c '"type":"file".*"text":' out.jsonl
echo "-- killed"
"$QASR" transcribe --quiet --model "$DEMO" - -o killed.jsonl <sound &
pid=$!
exec 3>sound
wait_for killed.jsonl
disown $pid # without a message about its end
kill -KILL $pid
while kill -0 $pid 2>/dev/null; do sleep 0.05; done
exec 3>&-
"$QASR" transcribe --quiet --model "$DEMO" "$DEMO/samples/en.flac" -o killed.jsonl --resume
grep -c '"type":"file".*"text":' killed.jsonl
echo "-- eval"
printf 'file\tlanguage\ttext\n%s\tEnglish\twords\n' "$DEMO/samples/en.flac" >refs.tsv
flock_and() { "$PYTHON" -c 'import fcntl, subprocess, sys
with open(sys.argv[1], "a") as f:
    fcntl.flock(f, fcntl.LOCK_EX)
    sys.exit(subprocess.run(sys.argv[2:]).returncode)' "$@"; }
must_fail 1 flock_and details.jsonl "$QASR" eval --quiet --model "$DEMO" --data refs.tsv --details details.jsonl
must_fail 1 flock_and details.jsonl "$QASR" eval --quiet --model "$DEMO" --data refs.tsv --details details.jsonl --resume
"$QASR" eval --quiet --model "$DEMO" --data refs.tsv --details details.jsonl >report
wc -l <details.jsonl
