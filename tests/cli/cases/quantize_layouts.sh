# Needs quantize.
# Other programs' files are converted to our whole models and decoders.
for file in stt-bf16 stt-q8_0 crisp-f16 llama/Demo-F16 llama/mmproj-Demo-F16 rust-q8_0; do
    echo "$file"
    if "$QASR" quantize --input $LAYOUTS/$file.gguf --output whole.gguf --scope all --force --quiet; then
        "$QASR" info whole.gguf | grep -E '^(tensors|tokenizer|type.q|meta.general.name|meta.stt.qwen3_asr.decoder.tie)'
        "$QASR" transcribe --model whole.gguf "$DEMO/samples/en.flac" | cut -c 1-60
    fi
    if "$QASR" quantize --input $LAYOUTS/$file.gguf --output decoder.gguf --qtype q5_k --force --quiet; then
        "$QASR" info decoder.gguf | grep -E '^(layout|tensors|type)'
        "$QASR" transcribe --model "$DEMO" --decoder-gguf "$PWD/decoder.gguf" "$DEMO/samples/en.flac" | cut -c 1-60
    fi
done 2>&1
