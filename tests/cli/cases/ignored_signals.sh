# Signals that were ignored when the program started stay ignored (nohup, background jobs), except SIGCHLD, without which children
# would have no exit status.
ignoring() { # SIGNAL,... COMMAND...
    exec "$PYTHON" -c '
import os, signal, sys
for name in sys.argv[1].split(","):
    signal.signal(getattr(signal, name), signal.SIG_IGN)
os.execv(sys.argv[2], sys.argv[2:])' "$@"
}
mkfifo sound
(ignoring SIGHUP,SIGINT,SIGTERM "$QASR" transcribe --quiet --model "$DEMO" "$DEMO/samples/ru.flac" - -o out.jsonl <sound) &
pid=$!
exec 3>sound
for _ in $(seq 600); do
    [ ! -e out.jsonl ] || break # it runs, and will wait for standard input
    sleep 0.05
done
sleep 0.5
for signal in HUP INT TERM; do kill -$signal $pid; done
cat "$DEMO/samples/en.flac" >&3
exec 3>&-
wait $pid
echo "status $?, $(grep -c '"type":"file".*"text":' out.jsonl) files"
(ignoring SIGCHLD "$QASR" bench --limits --format json) >limits.json
echo "status $?"
"$PYTHON" -c 'import json; print(json.load(open("limits.json"))["read_gb_s"] > 0)'
