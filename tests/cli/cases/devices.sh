# The CPU is the first device; the others depend on the machine and the build.
"$QASR" devices | head -n 1
"$QASR" devices --format json >devices.json
python3 - <<'PY'
import json
devices = json.load(open("devices.json"))
cpu = devices[0]
assert cpu["name"] == cpu["kind"] == "cpu" and cpu["backend"] == "qasr" and cpu["total_bytes"] > 0 and cpu["maps_files"], cpu
assert {"f32", "bf16", "q8_0", "q4_0", "q6_k"} <= set(cpu["types"]), cpu
assert len({d["name"].lower() for d in devices}) == len(devices), devices
PY
must_fail 1 "$QASR" transcribe --model "$DEMO" "$DEMO"/samples/en.flac --device abacus | sed 's/ not found;.*/ not found/'
must_fail 1 "$QASR" transcribe --model "$DEMO" "$DEMO"/samples/en.flac --device metal:77 | sed 's/not found;.* (docs/not found; ... (docs/'
"$QASR" transcribe --model "$DEMO" "$DEMO"/samples/en.flac --device CPU --format json | python3 -c 'import json, sys; r = json.load(sys.stdin); print(r["device"], r["device_mb"])'

# auto: falls back to the CPU if a GPU does not work
QASR_GGML_AVOID=f32,f16,bf16 "$QASR" transcribe --model "$DEMO" "$DEMO"/samples/en.flac --device auto --format json 2>/dev/null |
    python3 -c 'import json, sys; r = json.load(sys.stdin); print(r["device"], r["text"][:14])'
