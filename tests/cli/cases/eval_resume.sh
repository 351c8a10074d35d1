# Needs quantize.
# Resuming from a details file truncated anywhere, even within a character, gives the same file and the same summary.
"$QASR" quantize --input "$DEMO" --output q4_0.gguf --qtype q4_0 --quiet
eval_demo() {
    "$QASR" eval --model "$DEMO" --decoder-gguf "$PWD/q4_0.gguf" --baseline "$DEMO" --data "$DEMO/eval/hard" --exclude 'en-*' --format json "$@"
}
eval_demo --limit 4 --details whole.jsonl --output whole.json
lines=$(wc -l <whole.jsonl)
echo "$lines lines"
size=$(wc -c <whole.jsonl)
for cut in 0 20 $((size / 3)) $((size / 2)) $((size - 1)) "$size"; do
    head -c "$cut" whole.jsonl >part.jsonl
    eval_demo --limit 4 --details part.jsonl --resume --output part.json
    cmp whole.json part.json && cmp whole.jsonl part.jsonl || echo "WRONG: cut at $cut"
done
rm part.jsonl
eval_demo --limit 4 --details part.jsonl --resume | cmp - whole.json # no file yet
eval_demo --limit 2 --details part.jsonl --resume --output less.json # the file may have more clips than requested
grep '"clips"' less.json | head -n 1

# clips in the file are not run again: its values are used
python3 - <<'PY'
import json
lines = open("whole.jsonl", encoding="utf-8").read().splitlines()
line = json.loads(lines[1])
line.update(text="", language="English", looped=True)
lines[1] = json.dumps(line)
open("changed.jsonl", "w", encoding="utf-8").write("\n".join(lines) + "\n")
PY
eval_demo --limit 4 --details changed.jsonl --resume --output changed.json
grep -E '"(empty|looped)"' changed.json | head -n 2

must_fail 1 eval_demo --limit 4 --details part.jsonl
must_fail 1 eval_demo --limit 4 --details part.jsonl --resume --precision f32
must_fail 1 eval_demo --limit 4 --details part.jsonl --resume --segment 20
head -n 2 whole.jsonl >twice.jsonl
tail -n +2 whole.jsonl >>twice.jsonl
must_fail 1 eval_demo --limit 4 --details twice.jsonl --resume
bad() {
    { head -n 1 whole.jsonl; printf '%s\n' "$1"; } >bad.jsonl
    cp bad.jsonl before.jsonl
    must_fail 1 eval_demo --limit 4 --details bad.jsonl --resume
    cmp bad.jsonl before.jsonl
}
first=$(sed -n 2p whole.jsonl)
bad '{'
bad '[]'
bad '{"file": 7}'
bad "${first/\"same_top1\":/\"same_top1\":99}"
bad "${first/\"kl\":[/\"kl\":[-1,}"
bad "${first/\"kl\":[/\"kl\":[\"x\",}"
bad "${first/\"looped\":false/\"looped\":0}"
bad "${first/\"first_ids\":/\"first_ids\":9}"
bad "${first/\"baseline\":/\"base\":}"
echo '{"file": "a.flac"}' >other.jsonl
must_fail 1 eval_demo --limit 4 --details other.jsonl --resume
