# Needs quantize.
demo_links m
"$QASR" quantize -q --input m --output m/model-q8_0.gguf
cp "$DATA/golden/clips/silence-1s.flac" clip.flac
tool fuzz m/model-q8_0.gguf 25 4000 "$QASR" transcribe --model m clip.flac
own m/config.json
tool fuzz m/config.json 25 2000 "$QASR" transcribe --model m clip.flac
own m/tokenizer_config.json
tool fuzz m/tokenizer_config.json 15 2000 "$QASR" transcribe --model m clip.flac
chmod u+w clip.flac
tool fuzz clip.flac 15 200 "$QASR" transcribe --model m clip.flac
for file in stt-q8_0.gguf crisp-f16.gguf llama/Demo-F16.gguf; do
    layout $file
    tool fuzz m.gguf 12 2500 "$QASR" transcribe --model m.gguf clip.flac
    tool fuzz m.gguf 12 45000 "$QASR" transcribe --model m.gguf clip.flac
done
layout llama/Demo-F16.gguf
rm mmproj-m.gguf
cp "$LAYOUTS/llama/mmproj-Demo-F16.gguf" mmproj-m.gguf
tool fuzz mmproj-m.gguf 15 8000 "$QASR" transcribe --model m.gguf clip.flac
