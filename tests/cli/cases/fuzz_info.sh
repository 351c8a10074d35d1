# Needs quantize.
# Single flipped bits in the headers: an error line or a result, never a crash.
"$QASR" quantize -q --input "$DEMO" --output x.gguf
tool fuzz x.gguf 60 3000 "$QASR" info x.gguf
cp "$DEMO/model-00001-of-00002.safetensors" x.safetensors
chmod u+w x.safetensors
tool fuzz x.safetensors 60 2000 "$QASR" info x.safetensors
demo_links m
own m/config.json
tool fuzz m/config.json 40 2000 "$QASR" quantize -q --force --input m --output out.gguf
for file in stt-q8_0.gguf crisp-f16.gguf llama/Demo-F16.gguf llama/mmproj-Demo-F16.gguf; do
    layout $file
    tool fuzz m.gguf 20 3000 "$QASR" info m.gguf
done
