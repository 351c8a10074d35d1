# Needs quantize.
# With given memory and rates the advice is the same on every machine; QASR_CPU=scalar makes all products those of float32.
export QASR_CPU=scalar
rates=38,231
"$QASR" advise --memory 8G --rates $rates --device cpu | sed '1d'
for size in 3GB 2.5G 2GiB; do
    "$QASR" advise --memory $size --rates $rates --format json | "$PYTHON" -c '
import json, sys
r = json.load(sys.stdin)
best = [c for c in r["candidates"] if c["recommended"]]
print(r["machine"]["usable_bytes"], [(c["model"], c["type"], c["fits"]) for c in best], *r["commands"], sep="\n")
assert len(r["candidates"]) == 12 and all(c["fits"] == (c["memory_bytes"] <= r["machine"]["usable_bytes"]) for c in r["candidates"])'
done

# one model: a published one, a directory, a quantized file
"$QASR" advise 0.6B --memory 16G --rates 1,5 --batch 1 --device cpu | sed -n '/model/,$p'
ln -s "$DEMO" demo
"$QASR" advise demo --memory 4G --rates $rates --kv-type f32 --threads 2 --device cpu | sed -n '/model/,$p'
QASR_CPU='' "$QASR" quantize --input demo --output 'a b.gguf' --scope all --qtype q5_k_m --quiet
"$QASR" advise 'a b.gguf' --memory 4G --rates $rates --device cpu | sed -n '/model/,$p'

"$QASR" advise --memory 1.2G --rates $rates --device cpu | sed -n '/Nothing/p'

# the commands work
unset QASR_CPU
"$QASR" advise demo --memory 4G --rates $rates --format json >advice.json
cp "$DEMO/samples/en.flac" talk.wav
mkdir bin
ln -s "$QASR" bin/qasr
"$PYTHON" -c 'import json; print(*json.load(open("advice.json"))["commands"], sep="\n")' >commands.sh
PATH=$PWD/bin:$PATH bash -e commands.sh 2>/dev/null | tail -n 1
ls *.gguf

# JSON
"$PYTHON" - <<'PY'
import json
r = json.load(open("advice.json"))
m = r["machine"]
print(*r, "|", *m, "|", *m["limits"], "|", *r["candidates"][0])
assert m["memory_given"] and m["limits_given"] and m["threads"] is None and m["available_bytes"] is None
first = r["candidates"][0]
assert first["qtype"] is None and first["kl_demo"] == 0 and first["seconds_per_minute"] > 0, first
PY

# this machine: the rates are measured
"$QASR" advise demo --format json | "$PYTHON" -c '
import json, sys
m = json.load(sys.stdin)["machine"]
assert 0 < m["usable_bytes"] < m["total_bytes"] and m["limits"]["read_gb_s"] > 0 and m["threads"] > 0 and not m["limits_given"], m'

must_fail 2 "$QASR" advise demo demo
must_fail 2 "$QASR" advise --memory 8
must_fail 2 "$QASR" advise --memory 1M
must_fail 2 "$QASR" advise --device abacus
for list in 38 38, 38,0 38,231,x 1,2,3,4,5 nan,1; do must_fail 2 "$QASR" advise --rates $list; done
must_fail 1 "$QASR" advise nothing --rates $rates
