# Needs quantize.
q() { must_fail "$1" "$QASR" calibrate "${@:2}"; }
clip=$DATA/golden/clips/short-200ms.flac
q 2
q 2 --model "$DEMO" --output x.gguf
q 2 --model "$DEMO" "$clip"
q 2 --output x.gguf "$clip"
q 2 --model "$DEMO" --output x.gguf --limit 0 "$clip"
q 1 --model missing --output x.gguf "$clip"
q 1 --model "$DEMO" --output missing/x.gguf "$clip"
q 1 --model "$DEMO" --output x.gguf missing.wav
q 1 --model "$DEMO" --output x.gguf missing.txt
q 1 --model "$DEMO" --output x.gguf -
q 1 --model "$DEMO" --output x.gguf .
q 1 --model "$DEMO" --output x.gguf --covariance --max-memory 1 "$clip"
tool wav empty.wav 0
q 1 --model "$DEMO" --output x.gguf empty.wav
echo precious >there.gguf
q 1 --model "$DEMO" --output there.gguf "$clip"
cat there.gguf
demo_links damaged
own damaged/model-00001-of-00002.safetensors
tool set damaged/model-00001-of-00002.safetensors thinker.audio_tower.layers.0.fc1.weight 5 nan
q 1 --model damaged --output x.gguf "$clip"
(ulimit -f 50; q 1 --model "$DEMO" --output x.gguf "$clip")
ls
