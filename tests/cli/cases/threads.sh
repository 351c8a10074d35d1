# Needs quantize.
# Four threads give the same as one: a batch of clips with a quantized decoder, a calibration, a conversion with it. Short, because
# `make test-tsan` runs it too.
"$QASR" quantize --quiet --threads 4 --input "$DEMO" --output q4_0.gguf --qtype q4_0
for n in 1 4; do
    "$QASR" transcribe --threads $n --batch 3 --max-new-tokens 5 --model "$DEMO" --decoder-gguf "$PWD/q4_0.gguf" \
        "$DATA"/golden/clips/{short-200ms,ru-000,ru-001}.flac >text.$n 2>warnings
    "$QASR" calibrate --quiet --threads $n --covariance --limit 1 --model "$DEMO" --output calibration.$n.gguf "$DEMO/samples/ru.flac"
    "$QASR" quantize --quiet --threads $n --input "$DEMO" --scope thinker.model.layers.0.self_attn --qtype q4_k \
        --calibration calibration.1.gguf --output part.$n.gguf
done
wc -l <text.1
cmp text.1 text.4
cmp calibration.1.gguf calibration.4.gguf
cmp part.1.gguf part.4.gguf
