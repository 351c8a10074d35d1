# Warnings as failures: the text is still written.
cd "$DATA/golden/clips"
t() { "$QASR" transcribe --quiet --model "$DEMO" "$@"; echo "status $?"; }
tool wav "$OLDPWD/zero.wav" 0
t en-000.flac --max-new-tokens 6
t en-000.flac --max-new-tokens 6 --strict
t en-000.flac ru-000.flac --max-new-tokens 22 --strict --output "$OLDPWD/out.txt"
cat "$OLDPWD/out.txt"
t en-000.flac --strict
cd "$OLDPWD"
t zero.wav
t zero.wav --strict --output out.txt
cat out.txt
echo "--- a truncated file, and a damaged one"
head -c 40000 "$DEMO/eval/long/en-long-12s.flac" >cut.flac
t cut.flac --strict --format json -o cut.json 2>&1
grep audio_damaged cut.json
t "$DATA/golden/clips/en-000.flac" --strict --format json | grep -c audio_damaged
t cut.flac --format jsonl 2>/dev/null | grep -c '"audio_damaged":true'
for kind in wav aiff au w64 rf64 flac ogg opus mp3; do
    "$CONVERT" "$DATA/golden/clips/en-000.flac" whole.$kind
    head -c $(($(wc -c <whole.$kind) / 2)) whole.$kind >half.$kind
    t whole.$kind --strict -o out.txt 2>&1 | sed "s/^/whole $kind: /"
    { t half.$kind --strict -o out.txt; t - --strict -o out.txt <half.$kind; } 2>&1 | grep -o 'warning: .*\(damaged\|ends early\)\|status .' | sort | uniq -c
done
echo "--- audio without words: suspect segments stay suspect when cut"
python3 - <<'PY'
import random, struct, wave
def write(name, samples):
    with wave.open(name, "wb") as w:
        w.setparams((1, 2, 16000, 0, "NONE", ""))
        w.writeframes(struct.pack(f"<{len(samples)}h", *samples))
random.seed(0)
noise = lambda size, seconds: [random.randint(-size, size) for _ in range(int(16000 * seconds))]
bursts = []
for _ in range(9):
    bursts += noise(6000, random.uniform(0.25, 0.6)) + noise(3, random.uniform(1, 3))
write("bursts.wav", bursts)
write("steady.wav", noise(5200, 6))
write("silent.wav", [0] * 160000)
PY
t bursts.wav steady.wav --strict --format jsonl 2>warnings | grep -c suspect_empty | sed 's/^[1-9]$/some/'
t bursts.wav steady.wav --strict --format txt -o out.txt 2>/dev/null
grep -c 'audible sound but no text' warnings | sed 's/^[1-9]$/some/'
t silent.wav --strict -o out.txt 2>&1
echo "--- lines with warnings are replaced by new ones"
lines() { python3 -c 'import json, sys; [print(l["file"][-11:], l.get("text", l.get("error"))) for l in map(json.loads, open(sys.argv[1])) if l["type"] == "file"]' out.jsonl; }
clips=$DATA/golden/clips
r() { t "$clips/en-000.flac" zero.wav "$clips/ru-001.flac" gone.wav --strict -o out.jsonl "$@" 2>&1 | grep -v 'qasr: warning'; }
r --max-new-tokens 22
r --max-new-tokens 20 --resume
lines
t "$clips/en-000.flac" zero.wav "$clips/ru-001.flac" --max-new-tokens 20 -o out.jsonl --resume # without --strict they are done
r --resume
lines
rm zero.wav
r --resume # an error does not replace a text
lines
"$CONVERT" "$clips/ru-000.flac" zero.wav
cp zero.wav gone.wav
r --resume
lines
for n in 6 60; do t "$clips/en-000.flac" --max-new-tokens $n -o $n.jsonl 2>/dev/null; done
cat 6.jsonl 60.jsonl >both.jsonl # as after a run killed before it removed the old lines
t "$clips/en-000.flac" --strict --resume -o both.jsonl
cmp both.jsonl 60.jsonl
t cut.flac -o cut.jsonl 2>/dev/null # a truncated file may be complete now
t cut.flac -o cut.jsonl --strict --resume 2>/dev/null
"$CONVERT" "$DEMO/eval/long/en-long-12s.flac" whole.flac
cp whole.flac cut.flac
t cut.flac -o cut.jsonl --strict --resume
grep -c '"type":"file"' cut.jsonl
