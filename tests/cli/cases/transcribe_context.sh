# Context and language: sources, allowed values, and the effect of forcing a language that is not spoken.
clip=$DATA/golden/clips/en-000.flac
t() { "$QASR" transcribe --quiet --model "$DEMO" "$@"; }
printf 'Sophia\nletter\n' >names.txt
t $clip --context $'Sophia\nletter' --format json >a.json
t $clip --context-file names.txt --format json >b.json
python3 -c 'import json; a, b = (json.load(open(f)) for f in ("a.json", "b.json")); assert a["tokens"] == b["tokens"] and a["segments"][0]["n_prompt_tokens"] == b["segments"][0]["n_prompt_tokens"] > 60, (a, b); print(a["text"])'
t $clip --context-file - --format json <names.txt >c.json
python3 -c 'import json; a, c = (json.load(open(f)) for f in ("a.json", "c.json")); assert a["segments"][0]["n_prompt_tokens"] == c["segments"][0]["n_prompt_tokens"], (a, c)'
printf 'a\0b' | must_fail 1 t $clip --context-file -
must_fail 2 t - --context-file - <names.txt
must_fail 2 t --list - --context-file - <names.txt
echo - >dash.txt
must_fail 2 t --list dash.txt --context-file - <names.txt
must_fail 1 t $clip --context-file missing.txt
must_fail 1 t $clip --context-file .
head -c 40000 /dev/zero | tr '\0' x >long.txt
must_fail 2 t $clip --context-file long.txt
printf 'a\0b' >zero.txt
must_fail 1 t $clip --context-file zero.txt
t $clip --context "carried KNIFE, again snow" --format json >echo.json
python3 -c 'import json; r, a = json.load(open("echo.json")), json.load(open("a.json")); p = r["segments"][0]; print(r["text"], p["context_echoed"], p["status"], p["n_prompt_tokens"] < a["segments"][0]["n_prompt_tokens"])'
t $clip --context "carried KNIFE, again snow" --segment off
t $clip --language auto
t $clip --language EN --translate-warning
t $clip --language ru --translate-warning --format json >forced.json
python3 -c 'import json; r = json.load(open("forced.json")); print(r["language"], r["detected_language"])'
t "$DATA/golden/clips/ru-000.flac" missing.wav --language ru --translate-warning
