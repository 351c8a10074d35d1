# Needs quantize.
# Every type and mix: its name in the file, its size, and a working decoder.
for type in Q8_0 q6_k q5_k_m Q5_K q5_1 q5_0 Q4_K_M q4_k q4_1 q4_0 IQ4_NL bf16 f16; do
    "$QASR" quantize --input "$DEMO" --output x.gguf --qtype $type --quantize-embeddings --force --quiet
    echo $type $(stat -c %s x.gguf) $("$QASR" info x.gguf | sed -nE 's/^meta.(general.file_type|qasr.qtype) *//p; s/^type.([a-z0-9_]+) *([0-9]+) tensor.*/\1=\2/p')
    "$QASR" transcribe --model "$DEMO" --decoder-gguf "$PWD/x.gguf" "$DEMO/samples/en.flac" | cut -c 1-42
done
