# Needs pull.
# Killed at any time: no loadable file is left, and received data is not fetched again. tests/cli/check_resume.py compares the state
# after each end with later requests.
dest=cache/qasr/models/0.6b
partial=cache/qasr/models/.0.6b.partial
fetching() { # SIGNAL N ARGUMENT...: a pull that is ended some time after N ranges were recorded
    local pid have
    "$QASR" pull 0.6b --connections 2 "${@:3}" >out 2>err &
    pid=$!
    for _ in $(seq 600); do
        have=$(grep -c ^have "$partial/.qasr-pull-state" 2>/dev/null)
        [ "${have:-0}" -lt "$2" ] || break
        sleep 0.1
    done
    sleep "0.$((RANDOM % 5))"
    kill -"$1" $pid
    wait $pid 2>/dev/null
    echo "SIG$1: status $?" >>ends
    [ ! -e "$dest" ] || echo "WRONG: '$dest' exists"
    for f in "$partial"/*.part; do
        [ ! -e "$f" ] || { cp "$f" x.safetensors; "$QASR" info x.safetensors >/dev/null 2>&1 && echo "WRONG: '$f' loads"; }
    done
    "$QASR" transcribe --model "$partial" "$DEMO/samples/ru.flac" >/dev/null 2>&1 && echo "WRONG: '$partial' is a model"
    sleep 0.5 # until the server has noticed
    cp "$partial/.qasr-pull-state" "state.$(wc -l <hub/log)" 2>/dev/null # if it got that far
}
hub --cdn --rate 2000000
for n in 0 2 4; do fetching KILL $n; done
fetching TERM 6
cat out err | sed -n '$p'
fetching KILL 8
cat ends
"$QASR" models | awk '/^0.6b/ { $2 = "N"; print }'
must_fail 1 "$QASR" transcribe --model 0.6b "$DEMO/samples/ru.flac"
pull 0.6b --connections 8 | sed 's/, [0-9.]* MB already here/, some MB already here/'
same_as_demo "$dest"
python3 "${TOOL%/*}/check_resume.py" hub/log state.*
echo "-- the file has changed on the server"
rm -rf cache state.* ends
fetching KILL 4
[ "$(grep -c '^have .* model-00002-of-00002.safetensors$' state.*)" -ge 2 ] && echo "some ranges are recorded"
mkdir other
cp "$DEMO"/*.json "$DEMO"/*.txt "$DEMO"/*.safetensors other
printf x | dd of=other/model-00002-of-00002.safetensors bs=1 seek=500000 conv=notrunc 2>/dev/null
hub --repo Qwen/Qwen3-ASR-0.6B=other
pull 0.6b | sed 's/, [0-9.]* MB already here/, some MB already here/'
for f in config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors; do cmp other/$f "$dest/$f"; done
echo "-- damaged files are fetched again, in place"
truncate -s 1000 "$dest/vocab.json"
printf y | dd of="$dest/model-00002-of-00002.safetensors" bs=1 seek=6000000 conv=notrunc 2>/dev/null
echo mine >"$dest/notes"
pull 0.6b
pull 0.6b --verify
pull 0.6b --verify
cmp other/model-00002-of-00002.safetensors "$dest/model-00002-of-00002.safetensors"
cat "$dest/notes"
ls -A cache/qasr/models
echo "-- two pulls at the same time"
hub --rate 3000000
"$QASR" pull 0.6b --dir twice --quiet &
pid=$!
for _ in $(seq 100); do [ -s .twice.partial/.qasr-pull-state ] && break; sleep 0.1; done
pull 0.6b --dir twice
wait $pid
same_as_demo twice
echo "-- the disk fills up"
rm -rf full
hub
(ulimit -f 5000; pull 0.6b --dir full)
[ -e full ] || echo "no directory"
pull 0.6b --dir full | sed 's/, [0-9.]* MB already here/, some MB already here/'
same_as_demo full
echo "-- the suggested command resumes"
hub --rate 2000000
dest='my model' partial='.my model.partial' fetching TERM 2 --dir 'my model' --endpoint "$HF_ENDPOINT"
unset HF_ENDPOINT
again=$(sed -n 's/^qasr: interrupted; resume with: qasr //p' err)
sed 's/[0-9]*$/PORT/' <<<"$again"
eval "$again" | sed 's/, [0-9.]* MB already here/, some MB already here/'
same_as_demo 'my model'
