# Needs quantize.
# Layerwise calibration: the same bytes for any number of threads, better than without calibration; errors.
clips=("$DATA/golden/clips/ru-002.flac" "$DATA/golden/clips/en-001.flac" "$DATA/golden/clips/ru-001.flac")
audio=()
for c in "${clips[@]}"; do audio+=(--calibration-audio "$c"); done
"$QASR" quantize -i "$DEMO" -o one.gguf --qtype q4_0 --encoder-qtype q4_0 --scope all "${audio[@]}" --verify off -t 1 | grep -v '^wrote' | cut -c1-46
"$QASR" quantize -i "$DEMO" -o two.gguf --qtype q4_0 --encoder-qtype q4_0 --scope all "${audio[@]}" --verify off -t 2 -q
cmp one.gguf two.gguf
"$QASR" transcribe -m one.gguf "$DEMO/samples/en.flac"
"$QASR" info one.gguf | grep calibration
# the decoder alone, from a list; tensors other than matrices are unchanged
printf '%s\n' "${clips[@]}" >list.txt
"$QASR" quantize -i "$DEMO" -o listened.gguf --qtype iq4_nl --calibration-audio list.txt -q
"$QASR" quantize -i "$DEMO" -o plain.gguf --qtype iq4_nl -q
cmp -s listened.gguf plain.gguf || echo "calibration changes the file"
"$QASR" info listened.gguf --tensors | grep -E 'layers.5' | sed 's/[a-z]*\.gguf//' >listened.txt
"$QASR" info plain.gguf --tensors | grep -E 'layers.5' | sed 's/[a-z]*\.gguf//' | cmp - listened.txt && echo "but not its layout"
# also works for a whole model in one file, but not for a decoder alone
"$QASR" quantize -i "$DEMO" -o whole.gguf --qtype q8_0 --scope all -q
"$QASR" quantize -i whole.gguf -o again.gguf --qtype q4_0 --scope all --calibration-audio list.txt -q 2>&1 | sed 's/:.*//'
"$QASR" quantize -i listened.gguf -o x.gguf --qtype q4_0 --calibration-audio list.txt -q 2>&1
echo "exit $?"
"$QASR" quantize -i "$DEMO" -o x.gguf --calibration-audio missing.wav 2>&1
echo "exit $?"
"$QASR" quantize -i "$DEMO" -o x.gguf --calibration-audio list.txt -c x.gguf 2>&1
echo "exit $?"
"$QASR" quantize -i "$DEMO" -o x.gguf --qtype bf16 --calibration-audio list.txt 2>&1
echo "exit $?"
"$QASR" quantize -i "$DEMO" --dry-run --qtype q4_0 --calibration-audio list.txt | tail -n 1
ls
# Noise, whose answers are suspect, and silence, which skips the model.
python3 - <<'PY'
import random, struct, wave
random.seed(1)
noise = lambda n: struct.pack(f"<{n}h", *(random.randint(-20000, 20000) for _ in range(n)))
with wave.open("odd.wav", "wb") as w:
    w.setparams((1, 2, 16000, 0, "NONE", ""))
    w.writeframes(noise(48000) + bytes(2 * 1200000) + noise(48000))
PY
"$QASR" quantize --quiet --input "$DEMO" --output odd.gguf --qtype q4_0 --calibration-audio odd.wav && echo "noise and silence are accepted"
