# Needs quantize.
# Types chosen per matrix: the plan keeps to the bit budget, equals the run, and does not depend on threads.
clips="$DEMO/eval/calibration/refs.tsv"
"$QASR" calibrate -m "$DEMO" -o full.gguf --covariance --limit 8 -q "$clips"
"$QASR" calibrate -m "$DEMO" -o squares.gguf --limit 8 -q "$clips"
for c in full squares; do
    mix="-i $DEMO -c $c.gguf --auto-mix 5 --scope thinker.model.layers.1"
    "$QASR" quantize $mix --dry-run --format json -t 1 >plan.json
    "$QASR" quantize $mix -o one.gguf --format json -t 1 -q >made.json
    "$QASR" quantize $mix -o two.gguf -t 2 -q
    cmp one.gguf two.gguf
    python3 - <<'PY'
import json
plan, made = json.load(open("plan.json")), json.load(open("made.json"))
assert plan["tensors"] == made["tensors"] and plan["auto_mix"] == made["auto_mix"] and plan["file_bytes"] == made["file_bytes"]
mixed = [t for t in plan["tensors"] if "sensitivity" in t]
n = sum(t["shape"][0] * t["shape"][1] for t in mixed)
bits = 8 * sum(t["bytes_after"] for t in mixed) / n
assert plan["auto_mix"]["matrices"] == len(mixed) == 7 and plan["auto_mix"]["bits_wanted"] == 5, plan["auto_mix"]
assert 4.8 < bits <= 5 and abs(plan["auto_mix"]["bits_per_weight"] - bits) < 1e-4, bits
assert all(t["sensitivity"] > 0 and t["part"] == "decoder" for t in mixed) and len({t["type"] for t in mixed}) > 2
PY
    "$QASR" info one.gguf | grep -E '^meta.(qasr.qtype|qasr.auto_mix.bits_wanted|qasr.calibration)'
    rm one.gguf two.gguf
done
"$QASR" quantize -i "$DEMO" -c full.gguf --auto-mix 5 -o mixed.gguf | grep -E '^(auto mix|verified)' | sed 's/KL.*//'
"$QASR" transcribe -m "$DEMO" --decoder-gguf "$PWD/mixed.gguf" "$DEMO/samples/en.flac"
must_fail 1 "$QASR" quantize -i "$DEMO" -c full.gguf --auto-mix 4.25 -o x.gguf
must_fail 1 "$QASR" quantize -i "$DEMO" -c full.gguf --auto-mix 5 --scope thinker.audio_tower. -o x.gguf
must_fail 2 "$QASR" quantize -i "$DEMO" --auto-mix 5 -o x.gguf
must_fail 2 "$QASR" quantize -i "$DEMO" -c full.gguf --auto-mix 17 -o x.gguf
must_fail 2 "$QASR" quantize -i "$DEMO" -c full.gguf --auto-mix 5 --qtype q4_0 -o x.gguf
must_fail 2 "$QASR" quantize -i "$DEMO" -c full.gguf --auto-mix 5 --qtype q8_0 -o x.gguf
ls
