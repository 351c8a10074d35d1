# Warnings as failures: the text is written all the same.
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
echo "--- lines with warnings are made again, and replaced"
lines() { python3 -c 'import json, sys; [print(l["file"][-11:], l.get("text", l.get("error"))) for l in map(json.loads, open(sys.argv[1])) if l["type"] == "file"]' out.jsonl; }
clips=$DATA/golden/clips
r() { t "$clips/en-000.flac" zero.wav "$clips/ru-001.flac" gone.wav --strict -o out.jsonl "$@" 2>&1 | grep -v 'qasr: warning'; }
r --max-new-tokens 22
r --max-new-tokens 20 --resume
lines
t "$clips/en-000.flac" zero.wav "$clips/ru-001.flac" --max-new-tokens 20 -o out.jsonl --resume # whoever is not strict has them
r --resume
lines
rm zero.wav
r --resume # an error does not take the place of a text
lines
"$CONVERT" "$clips/ru-000.flac" zero.wav
cp zero.wav gone.wav
r --resume
lines
for n in 6 60; do t "$clips/en-000.flac" --max-new-tokens $n -o $n.jsonl 2>/dev/null; done
cat 6.jsonl 60.jsonl >both.jsonl # of a run that was killed before it could take the old ones out
t "$clips/en-000.flac" --strict --resume -o both.jsonl
cmp both.jsonl 60.jsonl
