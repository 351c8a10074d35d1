must_fail 2 "$QASR" transcrib
must_fail 2 "$QASR" frobnicate
must_fail 2 "$QASR" --frobnicate
must_fail 2 "$QASR" help frobnicate
must_fail 2 "$QASR" transcribe --modle x
must_fail 2 "$QASR" transcribe -z
must_fail 2 "$QASR" transcribe --model
must_fail 2 "$QASR" transcribe --timings=yes
must_fail 2 "$QASR" transcribe a.wav
must_fail 2 "$QASR" transcribe --model "$DEMO"
must_fail 2 "$QASR" transcribe --model m a.wav --format xml
must_fail 2 "$QASR" transcribe --model m a.wav --threads 0
must_fail 2 "$QASR" transcribe --model m a.wav --threads 1.5
must_fail 2 "$QASR" transcribe --model m a.wav --max-piece-seconds nan
must_fail 2 "$QASR" transcribe --model m a.wav --max-new-tokens many
must_fail 2 "$QASR" transcribe --model m a.wav --ignore-eos
must_fail 2 "$QASR" transcribe --model m - -
must_fail 2 "$QASR" transcribe --model m a.wav --decoder-weights safetensors --decoder-gguf x.gguf
must_fail 2 "$QASR" transcribe --model m a.wav b.wav --dump-tensors x
must_fail 2 "$QASR" transcribe --model m a.wav --language Englsh
must_fail 2 "$QASR" transcribe --model m a.wav --language klingon
must_fail 2 "$QASR" quantize --output x.gguf
must_fail 2 "$QASR" quantize --input x
must_fail 2 "$QASR" quantize --input x --output y z
must_fail 2 "$QASR" quantize --input x --output y --qtype q3_k
must_fail 2 "$QASR" info
must_fail 2 "$QASR" info a b
