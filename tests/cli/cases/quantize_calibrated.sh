# Needs quantize.
# A calibration changes where rounding errors go, not the format; results do not depend on threads.
clips="$DEMO/eval/calibration/refs.tsv"
"$QASR" calibrate -m "$DEMO" -o full.gguf --covariance --limit 12 -q "$clips" | tail -n 1
"$QASR" calibrate -m "$DEMO" -o squares.gguf --limit 12 -q "$clips"
for c in full squares; do
    "$QASR" quantize -i "$DEMO" -o $c-1.gguf --qtype q4_0 -c $c.gguf --quantize-embeddings -t 1 -q
    "$QASR" quantize -i "$DEMO" -o $c-2.gguf --qtype q4_0 -c $c.gguf --quantize-embeddings -t 2 -q
    cmp $c-1.gguf $c-2.gguf
    "$QASR" transcribe -m "$DEMO" --decoder-gguf "$PWD/$c-1.gguf" "$DEMO/samples/en.flac"
    "$QASR" info $c-1.gguf | grep calibration
done
"$QASR" quantize -i "$DEMO" -o plain.gguf --qtype q4_0 --quantize-embeddings -q
cmp -s full-1.gguf squares-1.gguf || echo "covariances change the result"
cmp -s plain.gguf squares-1.gguf || echo "squares change the result"
# half precision needs no calibration; the rest of the plan is unchanged
"$QASR" quantize -i "$DEMO" -o mixed.gguf --qtype q4_k_m --scope all -c full.gguf --tensor-type 'layers.1.*k_proj=f16' | grep -v '^wrote' | cut -c1-40

for wrong in plain.gguf missing.gguf; do
    "$QASR" quantize -i "$DEMO" -o x.gguf -c $wrong 2>&1
    echo "exit $?"
done
"$QASR" quantize -i "$DEMO" -o x.gguf --qtype f16 -c full.gguf 2>&1
"$PYTHON" -c 'import wave; w = wave.open("silence.wav", "wb"); w.setparams((1, 2, 16000, 0, "NONE", "")); w.writeframes(bytes(80000))'
"$QASR" calibrate -m "$DEMO" -o silence.gguf -q silence.wav
"$QASR" quantize -i "$DEMO" -o x.gguf --qtype q4_0 -c silence.gguf 2>&1
[ -e x.gguf ] || echo "no file is left"
