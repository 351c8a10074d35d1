# Needs pull and quantize.
# The other published variant, the aligner, repositories by name, revisions, and a proxy.
mkdir hf gguf
cp "$DEMO/hf_config.json" hf/config.json
ln -s "$DEMO/generation_config.json" "$DEMO"/*.safetensors* "$DEMO/model.safetensors.index.json" hf 2>/dev/null
echo '{}' >hf/tokenizer.json
echo '{}' >hf/tokenizer_config.json
touch gguf/model.gguf
hub --cdn --repo Qwen/Qwen3-ASR-0.6B-hf=hf --repo "Qwen/Qwen3-ForcedAligner-0.6B=$DEMO" --repo "Some.One/My_Model=$DEMO" \
    --repo Some/GGUF=gguf --revision refs/pr/1
echo "-- a variant without vocab.json and merges.txt gets them from the original"
pull 0.6b --layout hf
ls cache/qasr/models/0.6b-hf
for f in vocab.json merges.txt tokenizer_config.json; do cmp "$DEMO/$f" cache/qasr/models/0.6b-hf/$f; done
"$QASR" transcribe --model 0.6b-hf "$DEMO/samples/ru.flac"
pull 0.6b-hf --layout hf --verify
echo "-- the aligner does not become the default model"
pull aligner --quiet
"$QASR" models | tail -n 1
echo "-- by repository name"
pull Some.One/My_Model --quiet
pull Some.One/My_Model@refs/pr/1 --quiet --quantize q4_0
"$QASR" transcribe --model Some.One/My_Model@refs/pr/1 --format json "$DEMO/samples/ru.flac" | grep -E '"(model|decoder)"'
must_fail 1 "$QASR" pull Some/GGUF
"$QASR" models | awk '{ print $1, $3, $4 }'
ls -A cache/qasr/models
echo "-- through a proxy"
hub
export http_proxy=$HF_ENDPOINT
HF_TOKEN=secret pull 0.6b --endpoint http://hub.invalid/ --dir by-proxy
same_as_demo by-proxy
echo "requested by full URL: $(log "any(e['path'].startswith('http://hub.invalid/') for e in L)"), tokens: $(log "sum(bool(e['authorization']) for e in L)")"
no_proxy=hub.invalid pull 0.6b --endpoint http://hub.invalid --dir without | sed 's/main.: .*/main: why/'
[ -e without ] || echo "no directory"
