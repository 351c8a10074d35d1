# Keys, and figures that must agree with one another; a GGUF of the model directory is taken; without fp no comparison.
demo_links model
"$QASR" quantize --input "$DEMO" --output model/model-q4_0.gguf --qtype q4_0 --quiet
"$QASR" bench --model model --seconds 2 --tokens 10 --repeat 2 --threads 2 --variants fp,q4_0 --format json --output two.json
tool keys <two.json
"$QASR" bench --model model --audio "$DEMO/samples/ru.flac" --tokens 5 --repeat 1 --variants Q4_0 --format json >one.json
"$QASR" bench --limits --threads 1 --format json | tee limits.json | tool keys
"$QASR" bench --limits --threads 1 | grep -c '^Threads: 1; CPU level: .* GB/s read from memory, '
python3 - <<'PY'
import json
fp, q4 = json.load(open("two.json"))
assert [fp["variant"], q4["variant"]] == ["fp", "q4_0"] and q4["quant_scheme"] == "q4_0" and q4["embeddings"] == "bf16", q4
assert fp["cer"] == fp["wer"] == 0 and q4["notes"] == "GGUF of the model directory", q4
for r in fp, q4:
    assert r["threads"] == 2 and r["tokens"] == 10 and r["repeat"] == 2 and r["audio_s"] == 2, r
    assert r["total_s"] >= max(r["encode_s"], r["prefill_s"]) > 0 and r["peak_rss_mb"] > 1, r
    assert r["limits"]["matrix_gop_s"] == r["limits"][r["precision"]["encode"] + "_gop_s"], r
    for phase in "encode", "prefill":
        limit = 10 * r["limits"][r["precision"][phase] + "_gop_s"]
        assert abs(r["percent_of_limit"][phase] / (1000 * r["work"][phase + "_gop"] / r[phase + "_s"] / limit) - 1) < 0.01, r
    decode = 100 * r["work"]["decode_mb_per_token"] / r["decode_ms_per_token"] / r["limits"]["read_gb_s"]
    assert abs(r["percent_of_limit"]["decode"] / decode - 1) < 0.01, (r, decode)
assert fp["limits"]["read_gb_s"] == q4["limits"]["read_gb_s"] and fp["weights_mb"] > q4["weights_mb"], (fp, q4)
[alone] = json.load(open("one.json"))
assert alone["cer"] is None and alone["wer"] is None and alone["variant"] == "q4_0", alone
assert json.load(open("limits.json"))["threads"] == 1
PY
