# Existing transcripts: tables and JSON lines give the same result; missing transcripts count as empty.
score() { "$QASR" score --ref refs.tsv "$@"; }
printf 'file\tlanguage\ttext\n' >refs.tsv
printf 'a.wav\tEnglish\tYes, Anna is here.\nb.wav\tEnglish\tNo.\nc.wav\tru\tДа, нет.\nd.wav\tEnglish\tOne two.\n' >>refs.tsv
printf 'text\tfile\tlanguage\r\nYes Anna was here.\ta.wav\ten\r\nno\tb.wav\tRussian\r\nДа, нет.\tc.wav\tRussian\r\nOne two.\td.wav\tENGLISH\r\n' >hyp.tsv
score --hyp hyp.tsv
score --hyp hyp.tsv --format json --output one.json
cat one.json
cat >hyp.jsonl <<'END'
{"file": "c.wav", "text": "Да, нет.", "language": "Russian", "seconds": 2}

{"file": "a.wav", "text": "Yes Anna was here.", "language": "English"}
{"file": "b.wav", "text": "no", "language": "ru"}
{"text": "One two.", "file": "d.wav", "language": "en"}
END
score --hyp hyp.jsonl --format json | sed 's/hyp.jsonl/hyp.tsv/' | cmp - one.json
cut -f1,2 hyp.tsv | grep -v 'b.wav' | grep -v 'd.wav' >less.tsv
echo "?	x.wav" >>less.tsv
score --hyp less.tsv --format json 2>&1 | grep -E '"(wer|empty|exact|language_accuracy|Russian)"|warning'
score --hyp hyp.tsv --exclude '[ab].*' --limit 1 --format json | grep -E '"(clips|wer)"'
# Chinese, Japanese, Cantonese and Thai count characters: 1 of 6, 1 of 4, 0 of 2, 1 of 6; Korean words: 1 of 2
printf 'file\tlanguage\ttext\na\tChinese\t你好，GPU 一。\nb\tja\tこんにち\nc\tyue\t係啊\nd\tThai\tสวัสดี\ne\tko\t안녕 하세요\nf\ten\tOne two.\n' >cjk.tsv
printf 'file\ttext\na\t您好 GPU一\nb\tこんにた\nc\t係啊！\nd\tสวัสดา\ne\t안녕 하세오\nf\tone two\n' >heard.tsv
"$QASR" score --ref cjk.tsv --hyp heard.tsv --output - | cut -d '|' -f 2-6
"$QASR" score --ref cjk.tsv --hyp heard.tsv --format json | grep -c '"error_unit": "\(words\|characters\|mixed\)"'
# the output of 'qasr eval --details' is such a file
"$QASR" eval --model "$DEMO" --data "$DEMO/eval/hard" --limit 3 --details d.jsonl --format json --output e.json
"$QASR" score --ref "$DEMO/eval/hard/refs.tsv" --limit 3 --hyp d.jsonl --format json --output s.json
python3 -c 'import json; e, s = json.load(open("e.json")), json.load(open("s.json")); print(all(s[k] == e[k] for k in s if k not in ("ref", "hyp", "per_language")), "looped" in s)'
must_fail 2 "$QASR" score --ref refs.tsv
must_fail 2 "$QASR" score --hyp refs.tsv
must_fail 2 "$QASR" score --ref refs.tsv --hyp hyp.tsv --output hyp.tsv
must_fail 1 score --hyp none.tsv
fails() {
    printf "$1" >bad
    must_fail 1 score --hyp bad
}
fails 'file\tlanguage\na.wav\tEnglish\n'
fails '{"file": "a.wav"}\n'
fails '{"file": "a.wav", "text": "x"}\n{"file": "b.wav", "text": 7}\n'
fails '{"file": "a.wav", "text": "x", "language": null}\n'
fails '{"file": "a.wav", "text": "x"}\n{"file": "a.wav", "text": "y"}\n'
fails '{"file": "a.wav", "text": "x"}\nb.wav\n'
