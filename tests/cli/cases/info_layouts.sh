# Layout, parts and configuration of other programs' files.
i() { "$QASR" info "$LAYOUTS/$1" | grep -v '^meta\.'; }
for file in stt-bf16.gguf crisp-f16.gguf llama/Demo-F16.gguf llama/mmproj-Demo-F16.gguf rust-q8_0.gguf; do
    echo "== $file"
    i $file
done
i llama
"$QASR" info "$LAYOUTS/stt-q8_0.gguf" | grep '^meta\.tokenizer\|eps'
"$QASR" info "$LAYOUTS/crisp-f16.gguf" --tensors | grep 'blk.0.attn_q\.\|mel_filters\|^output'
