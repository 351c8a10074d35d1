# A line for each entry, whatever is in texts and names: line breaks in answers, names with line breaks, lists of such names.
t() { "$QASR" transcribe --quiet --model m "$@"; }
demo_links m
own m/vocab.json
own m/merges.txt
tool sub m/vocab.json '"Ġthe": ' '"ĊĉĊ": ' # the answer has a line break, a tab and a line break for " the"
tool sub m/merges.txt 'Ġt he
' ''
sed -i.old '/^Ġthe [^ ]*$/d; /^[^ ]* Ġthe$/d' m/merges.txt
cp "$DEMO/samples/en.flac" a.flac
mkdir in
cp a.flac in/x.flac
cp a.flac "$(printf 'in/1\n2\t3.flac')"
"$QASR" transcribe --quiet --model "$DEMO" a.flac >wanted
t a.flac --format json | "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["text"].count("\n\t\n") > 0)'
sed 's/ the /  /g' wanted >without
t a.flac | cmp - without
t a.flac --format tsv >got
wc -l <got
cut -f 6 got | sed 1d | cmp - without
t a.flac --format csv | "$PYTHON" -c 'import csv, sys; print(len(list(csv.reader(sys.stdin))))'
echo "-- names"
t in >got
wc -l <got
cut -c 1-12 got
t in --format tsv | cut -f 1
t in --format csv | "$PYTHON" -c 'import csv, sys; print([row[0] for row in csv.reader(sys.stdin)])'
t in --format jsonl | "$PYTHON" -c 'import json, sys; print(sorted({json.loads(line)["file"] for line in sys.stdin}))'
echo "-- lists"
find in -type f -print0 | LC_ALL=C sort -z | t --list0 - >listed
cmp listed got
printf 'in/x.flac\0\0in/1\n2\t3.flac' >list # an empty name is none, the last needs no end
t --list0 list | wc -l
printf 'in/x.flac\n' >list
must_fail 3 "$QASR" transcribe --quiet --model m --list0 list
must_fail 2 "$QASR" transcribe --model m --list0 list --list list
must_fail 2 "$QASR" transcribe --model m --list0 - -
must_fail 2 "$QASR" transcribe --model m --list0 list --list0 list
must_fail 2 "$QASR" transcribe --model m a.flac --list0 list --output ./list
echo "-- a byte order mark"
t a.flac --format csv --csv-bom | head -c 7 | od -An -c
t a.flac --format csv | head -c 4
echo
t in/x.flac a.flac --format csv,tsv --csv-bom --output-dir out
head -c 3 -q out/*.csv | od -An -tx1
head -c 4 -q out/*.tsv
echo
must_fail 2 "$QASR" transcribe --model m a.flac --csv-bom
