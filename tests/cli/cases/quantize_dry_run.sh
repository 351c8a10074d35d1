# Needs quantize.
# A dry run writes nothing and predicts the exact size of the file.
check() {
    local promised
    promised=$("$QASR" quantize "$@" --dry-run --format json | python3 -c 'import json, sys; print(json.load(sys.stdin)["file_bytes"])')
    ls *.tmp x.gguf 2>/dev/null
    "$QASR" quantize "$@" --output x.gguf --quiet
    [ "$promised" = "$(stat -c %s x.gguf)" ] && echo "$promised bytes"
    rm x.gguf
}
check --input "$DEMO"
check --input "$DEMO" --qtype Q4_K_M --quantize-embeddings --tensor-type 'mlp.*proj=iq4_nl'
"$QASR" quantize --input "$DEMO" --output first.gguf --qtype bf16 --quiet
check --input first.gguf --qtype q6_k --embedding-qtype q5_1
"$QASR" quantize --input "$DEMO" --dry-run --qtype q5_k_m --tensor-type 'layers\.[0-4]\.=f16' --tensor-type 'gate_proj=q4_k' | grep -vE 'layers\.[1-4]'
"$QASR" quantize --input "$DEMO" --dry-run --scope thinker.audio_tower.layers.0. --qtype q4_0 --encoder-qtype q4_k | grep -vE 'bias|norm'
"$QASR" quantize --input "$DEMO" --dry-run --qtype q4_0 --format json | python3 "$TOOL" keys
ls
