# Needs pull.
# Which model a command uses.
clip=$DEMO/samples/ru.flac
t() { must_fail "$1" "$QASR" transcribe "${@:2}" "$clip"; }
must_fail 2 "$QASR" transcribe "$clip"
must_fail 2 env -u XDG_CACHE_HOME -u HOME "$QASR" transcribe "$clip"
t 1 --model 0.6b
t 1 --model 1.7B
t 1 --model 0.7b
t 1 --model Qwen/Qwen3-ASR-1.7B
t 1 --model Some/Model@rev
t 1 --model missing/path.gguf
QASR_MODEL=1.7b t 1
must_fail 1 env -u XDG_CACHE_HOME -u HOME "$QASR" models
"$QASR" models
echo "-- the most recently pulled model, except an aligner"
cache=cache/qasr/models
model() { # NAME REPO TIME
    mkdir -p "$cache/$1"
    ln -s "$DEMO"/*.json "$DEMO"/*.txt "$DEMO"/*.safetensors "$cache/$1"
    printf '{"repo": "%s", "revision": "main", "commit": "%040d", "files": [{"name": "config.json", "size": 1, "hash": "", "source": "x"}]}' \
        "$2" 7 >"$cache/$1/qasr-pull.json"
    touch -d "$3" "$cache/$1/qasr-pull.json"
}
model 0.6b Qwen/Qwen3-ASR-0.6B 2020-01-01
model Other--Model Other/Model 2021-01-01
model aligner Qwen/Qwen3-ForcedAligner-0.6B 2022-01-01
mkdir -p "$cache/.1.7b.partial" "$cache/by-hand" "$cache/.hidden"
cp -r "$cache/.1.7b.partial" "$cache/模型" # wide characters take two columns
touch "$cache/file"
echo 'no JSON' >"$cache/by-hand/qasr-pull.json"
"$QASR" models
"$QASR" transcribe --format json "$clip" | grep '"model"'
t 1 --model 1.7b
t 1 --model Other-Model
"$QASR" transcribe --model Other/Model --format json "$clip" | grep '"model"'
"$QASR" transcribe --model Other--Model --format json "$clip" | grep '"model"'
QASR_MODEL=0.6b "$QASR" models | tail -n 1
QASR_MODEL=0.6b "$QASR" transcribe --format json "$clip" | grep '"model"'
QASR_MODEL=$DEMO "$QASR" transcribe --format json "$clip" | grep '"model"'
QASR_MODEL=0.6b "$QASR" transcribe --model Other/Model --format json "$clip" | grep '"model"'
echo "-- an existing path takes precedence"
ln -s "$DEMO" 0.6b
"$QASR" transcribe --model 0.6b --format json "$clip" | grep '"model"'
