# Chinese, whose characters are several tokens each and have no spaces between, and German: text, segments, words, subtitles.
t() { "$QASR" transcribe --quiet --model "$DEMO" "$@"; }
clip=$DEMO/samples/zh.flac long=$DEMO/eval/long/zh-long-30s.flac
t "$clip"
t "$DEMO/samples/de.flac"
echo "--- language and context"
for options in "-l zh" "-l Chinese" "-c 沙拉，面包" "-l zh -c 赵强"; do
    t "$clip" $options | cmp - <(t "$clip") || echo "WRONG: $options"
done
echo "--- segments are joined without a space"
t "$long" --segment off >whole
for seconds in 6 10 20; do
    t "$long" --segment $seconds | cmp - whole || echo "WRONG: --segment $seconds"
done
grep -c ' ' whole
echo "--- words"
words() { t "$1" --confidence --format json | python3 -c 'import json, sys; print("|".join(w["text"] for w in json.load(sys.stdin)["segments"][0]["words"]))'; }
words "$clip"
words "$DEMO/samples/de.flac"
echo "--- the token limit never leaves part of a character"
for n in $(seq 14 30); do t "$clip" --max-new-tokens $n 2>/dev/null; done >cut
python3 - "$(t "$clip")" <<'PY'
import sys
lines = open("cut", encoding="utf-8").read().split("\n")[:-1]
assert len(lines) == 17 and len(set(lines)) > 4 and all(sys.argv[1].startswith(line) for line in lines), lines
PY
echo "--- subtitles: two columns a character, no line begins with closing punctuation"
for width in 8 10 16 42; do
    t "$long" -f srt --max-line-width $width --max-lines 2
    echo "width $width"
done | python3 -c '
import re, sys
lines = []
for line in sys.stdin.read().split("\n"):
    if line.startswith("width "):
        width = int(line.split()[1])
        assert lines and all(2 * len(x) <= width for x in lines), (width, lines)
        assert "".join(lines) == open("whole", encoding="utf-8").read().strip(), lines
        assert not any(x[0] in "，。！？、；：」）” " for x in lines), lines
        lines = []
    elif line and not re.match("[0-9]", line):
        lines.append(line)'
