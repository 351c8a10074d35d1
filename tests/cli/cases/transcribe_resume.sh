# Resuming from JSON lines truncated anywhere gives the same file; an interrupted run leaves complete lines of finished files.
ln -s "$DATA/golden/clips" "$DEMO/eval/long" .
t() { "$QASR" transcribe --quiet --model "$DEMO" --segment 14 "$@"; }
clips="clips/en-000.flac long/en-long-45s.flac missing.wav clips/ru-000.flac"
t $clips --output whole.jsonl 2>&1
echo "status $?"
cut -c 1-60 whole.jsonl
size=$(wc -c <whole.jsonl)
for cut in 0 20 300 900 $((size / 2)) $((size - 1)) "$size"; do
    head -c "$cut" whole.jsonl >part.jsonl
    t $clips --output part.jsonl --resume 2>/dev/null
    # failed files are tried again; their new lines, at the end, replace the old ones
    python3 - whole.jsonl part.jsonl <<'PY' || echo "WRONG: cut at $cut"
import json, sys
whole, part = ([json.loads(line) for line in open(path, encoding="utf-8")] for path in sys.argv[1:])
done = lambda lines: sorted(json.dumps(line) for line in lines)
assert done(whole) == done(part), (whole, part)
PY
done
must_fail 1 t "$DATA/golden/clips/en-000.flac" --output part.jsonl
must_fail 1 t "$DATA/golden/clips/en-000.flac" --output list.jsonl --model missing
[ ! -s list.jsonl ] || echo "WRONG: something was written"
for line in '{' '[]' '{"type": 7}' '{"file": "a"}' '{"type": "segment"}'; do
    echo "$line" >bad.jsonl
    must_fail 1 t "$DATA/golden/clips/en-000.flac" --output bad.jsonl --resume
    echo "$line" | cmp - bad.jsonl
done
t "$DATA/golden/clips/en-000.flac" --output /dev/stdout --format jsonl | wc -l
must_fail 1 t "$DATA/golden/clips/en-000.flac" --output /dev/full --format jsonl
{ echo "file	text"; echo "clips/ru-000.flac	Медленно семь вернуть четверг будильник проверить воду Сергей."; } >refs.tsv
sed -i '1s/.*/file	language	text/; 2s/	/	Russian	/' refs.tsv
"$QASR" score --ref refs.tsv --hyp whole.jsonl --format json 2>/dev/null | grep '"wer"' | head -n 1
echo "--- other names of the same files, also names stored with question marks"
mkdir -p names/below
cp "$DATA/golden/clips/ru-000.flac" names/below/a.flac
cp "$DATA/golden/clips/ru-000.flac" "$(printf 'names/\377.flac')"
t ./names/below/a.flac .//names/./*.flac -o names.jsonl
cp names.jsonl names.whole
for form in names ./names names/. .//names/ ./././names; do
    t $form/below//a.flac $form/*.flac -o names.jsonl --resume || echo "WRONG: status $?"
    cmp names.jsonl names.whole
done
t "$PWD/names" -o names.jsonl --resume # an absolute path is another name
grep -c '"file","file"' names.jsonl
echo "--- a stored name shared by two files is ambiguous"
cp "$DATA/golden/clips/en-000.flac" "$(printf 'names/\376.flac')"
cp names.whole names.jsonl
t names --recursive -o names.jsonl --resume
grep -a -o '^{"type":"file","file":"[^"]*"' names.jsonl
echo "--- lines of older versions"
sed -E 's/"(speech_start|speech_end|no_speech|n_prompt_tokens|n_audio_tokens)":[^,]*,//g; s/"tokens":\[[^]]*\],//; s/"language":("[^"]*"),"stop_reason":"eos"\}/"language":\1}/' whole.jsonl >older.jsonl
grep -c tokens older.jsonl
cp older.jsonl older.whole
t $clips --output older.jsonl --resume 2>/dev/null
diff older.jsonl older.whole | cut -c 1-60 # the failing file comes last
echo "--- interrupted in the middle of a file: tables have the rows of finished files"
tool hours hour.wav 3600 "$DATA/audio/jfk.wav" 12
for format in csv tsv; do
    "$QASR" transcribe --batch 1 --model "$DEMO" "$DATA/golden/clips/ru-000.flac" hour.wav -o rows.$format 2>err &
    pid=$!
    for _ in $(seq 600); do
        grep -qs ETA err && break # a tenth of it is done
        sleep 0.05
    done
    kill -TERM $pid
    wait $pid
    echo "status $?, $(tail -n 1 err)"
    sed 's/^.*ru-000/ru-000/' rows.$format
done
rm hour.wav
echo "--- interrupted"
mkdir in
for i in $(seq 10 99); do cp "$DATA/golden/clips/ru-000.flac" in/$i.flac; done
interrupt() {
    "$QASR" transcribe --quiet --batch 1 --model "$DEMO" in "$@" 2>err &
    local pid=$!
    for _ in $(seq 600); do
        grep -qs . out.jsonl out/* && break
        sleep 0.05
    done
    kill -TERM $pid
    wait $pid
    echo "status $?"
    sed -E 's/[0-9]+ of 90/N of 90/' err
}
interrupt --output out.jsonl
python3 -c 'import json; [json.loads(line) for line in open("out.jsonl")]'
grep -c '"type":"file"' out.jsonl | sed -E 's/^[1-9][0-9]?$/some/'
t in --output out.jsonl --resume
grep '"type":"file"' out.jsonl | cut -d '"' -f 8 | LC_ALL=C sort -u | wc -l
wc -l <out.jsonl
rm out.jsonl
interrupt --output-dir out --format txt,srt
ls out | grep -c . | sed -E 's/^[1-9][0-9]*$/some/'
cat out/*.txt | sort -u
t in --output-dir out --format txt,srt --resume
ls out | wc -l
