# Needs quantize.
# GGUF files as input. Requantizing gives a warning, copying does not.
"$QASR" quantize --input "$DEMO" --output f16.gguf --qtype f16 --quiet
"$QASR" quantize --input f16.gguf --output q8_0.gguf --quiet
"$QASR" quantize --input "$DEMO" --output direct.gguf --quiet
"$QASR" quantize --input q8_0.gguf --output same.gguf --quiet
"$QASR" quantize --input q8_0.gguf --output q4_k.gguf --qtype q4_k --quiet
"$QASR" quantize --input q4_k.gguf --output mixed.gguf --qtype q8_0 --tensor-type '[024]\.mlp.*_proj=q4_k' --quiet
for file in f16 q8_0 direct same q4_k mixed; do
    echo $file && "$QASR" info $file.gguf | grep -E '^(type|meta.general.name|meta.qasr.source)'
done
must_fail 1 "$QASR" quantize --input q4_k.gguf --output q4_k.gguf --force
must_fail 1 "$QASR" quantize --input q4_k.gguf --output x.gguf --scope thinker.audio_tower.
# The decoder is extracted.
"$QASR" transcribe --model "$DEMO" --decoder-gguf "$PWD/mixed.gguf" "$DEMO/samples/en.flac"
