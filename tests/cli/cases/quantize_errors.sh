# Needs quantize.
q() { must_fail 1 "$QASR" quantize "$@"; }
echo precious >there.gguf
q --input "$DEMO" --output there.gguf
cat there.gguf
q --input "$DEMO" --output missing/x.gguf
q --input "$DEMO" --output /dev/full
q --input "$DEMO" --output . --force
q --input missing --output x.gguf
q --input "$DEMO/config.json" --output x.gguf
q --input "$DEMO" --output x.gguf --scope nothing.
q --input there.gguf --output x.gguf
cp "$DEMO/model-00002-of-00002.safetensors" one.safetensors
q --input one.safetensors --output one.safetensors --force
rm one.safetensors
(ulimit -f 1000; q --input "$DEMO" --output toolarge.gguf)
ls
