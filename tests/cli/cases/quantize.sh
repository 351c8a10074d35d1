# Needs quantize.
# Every type: contents of the file; no other file is left.
for type in q8_0 q6_k q4_0; do
    "$QASR" quantize --input "$DEMO" --output $type.gguf --qtype $type --quiet
    "$QASR" info $type.gguf | grep -E '^(layout|container|tensors|type|meta.qasr.(qtype|scope))'
done
"$QASR" quantize --input "$DEMO/model.safetensors.index.json" --output q6k.gguf --qtype q6k --quiet
"$QASR" info q6k.gguf | grep -E '^(model|decoder.width|type)'
"$QASR" quantize --input "$DEMO" --output all.gguf --scope thinker. --quantize-embeddings --threads 3 --quiet
"$QASR" info all.gguf | grep -E '^(parameters|type)'
ls
