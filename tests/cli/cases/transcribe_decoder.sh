# Needs quantize.
# Which decoder weights are used.
demo_links m
t() { "$QASR" transcribe --model m "$DATA/golden/clips/en-000.flac" --format json "$@" >r.json &&
      python3 -c 'import json; r = json.load(open("r.json")); print(r["decoder"]["file"], r["decoder"]["type"], r["text"])'; }
must_fail 1 "$QASR" transcribe --model m a.wav --decoder-weights gguf
# smaller types come later in the search order
for type in bf16 iq4_nl q4_k_m q5_1; do
    "$QASR" quantize -q --input m --output m/model-$type.gguf --qtype $type
    t
done
"$QASR" quantize -q --input m --output m/model.gguf --qtype q6_k
t
"$QASR" quantize -q --input m --output m/model-q6_k.gguf --qtype q6_k
t
cp m/model-q6_k.gguf m/model-q6k.gguf
t
"$QASR" quantize -q --input m --output m/model-q8_0.gguf --qtype q8_0
t
t --decoder-weights safetensors
"$QASR" quantize -q --input m --output m/other.gguf --qtype q4_0 --quantize-embeddings
t --decoder-gguf other.gguf
t --decoder-gguf "$PWD/m/model-q6_k.gguf" --decoder-weights gguf
must_fail 1 "$QASR" transcribe --model m a.wav --decoder-gguf missing.gguf
"$QASR" info m | grep gguf
