# Needs quantize.
# Keys, and values that must be consistent; a GGUF in the model directory is used; without fp there is no comparison.
demo_links model
"$QASR" quantize --input "$DEMO" --output model/model-q4_0.gguf --qtype q4_0 --quiet
"$QASR" bench --model model --seconds 2 --tokens 10 --repeat 2 --threads 2 --variants fp,q4_0 --format json --output two.json
tool keys <two.json
"$QASR" bench --model model --audio "$DEMO/samples/ru.flac" --tokens 5 --repeat 1 --warm-up 2 --variants Q4_0 --format json >one.json
"$QASR" bench --model model --seconds 2 --tokens 10 --repeat 1 --variants fp,q4_0 --batch 1,3 --kv-type q8_0 --format json >batch.json
"$QASR" bench --model model --seconds 1 --tokens 2 --repeat 1 --variants iq4_nl,Q4_K_M+emb,f16 --format json >types.json
"$QASR" bench --model "$LAYOUTS/stt-q8_0.gguf" --seconds 1 --tokens 2 --repeat 1 --format json >whole.json
"$QASR" bench --model model --seconds 1 --tokens 2 --repeat 1 --variants own,fp --format json >own.json
"$QASR" bench --limits --threads 1 --format json | tee limits.json | tool keys
"$QASR" bench --limits --threads 1 | grep -c '^Threads: 1; CPU level: .* GB/s read from memory, '
python3 - <<'PY'
import json
fp, q4 = json.load(open("two.json"))
assert [fp["variant"], q4["variant"]] == ["fp", "q4_0"] and q4["quant_scheme"] == "q4_0" and q4["embeddings"] == "bf16", q4
assert fp["cer"] == fp["wer"] == 0 and q4["notes"] == "GGUF of the model directory", q4
batch = json.load(open("batch.json"))
assert [(r["variant"], r["batch"]) for r in batch] == [("fp", 1), ("fp", 3), ("q4_0", 1), ("q4_0", 3)], batch
assert batch[0]["cer"] == batch[1]["cer"] == 0 and batch[2]["cer"] == batch[3]["cer"], batch # equal texts
assert fp["kv_type"] == "f16" and all(r["kv_type"] == "q8_0" for r in batch), batch
for one, three in batch[:2], batch[2:]:
    assert abs(three["work"]["encode_gop"] / one["work"]["encode_gop"] - 3) < 0.01, batch
    # weights are shared
    assert one["work"]["decode_mb_per_token"] / 3 < three["work"]["decode_mb_per_token"] < one["work"]["decode_mb_per_token"], batch
for r in [fp, q4] + batch:
    assert abs(r["decode_tokens_per_s"] * r["decode_ms_per_token"] / 1000 - 1) < 0.01, r
    assert r["limits"]["matrix_gop_s"] == r["limits"][r["precision"]["encode"] + "_gop_s"], r
    for phase in "encode", "prefill":
        limit = 10 * r["limits"][r["precision"][phase] + "_gop_s"]
        assert abs(r["percent_of_limit"][phase] / (1000 * r["work"][phase + "_gop"] / r[phase + "_s"] / limit) - 1) < 0.01, r
    decode = 100 * r["work"]["decode_mb_per_token"] / r["decode_ms_per_token"] / r["limits"]["read_gb_s"]
    assert abs(r["percent_of_limit"]["decode"] / decode - 1) < 0.01, (r, decode)
for r in fp, q4:
    assert r["batch"] == 1, r
    assert r["threads"] == 2 and r["tokens"] == 10 and r["repeat"] == 2 and r["audio_s"] == 2, r
    assert r["total_s"] >= max(r["encode_s"], r["prefill_s"]) > 0 and r["peak_rss_mb"] > 1, r
assert fp["limits"]["read_gb_s"] == q4["limits"]["read_gb_s"] and fp["weights_mb"] > q4["weights_mb"], (fp, q4)
types = [(r["variant"], r["quant_scheme"], r["embeddings"]) for r in json.load(open("types.json"))]
assert types == [("iq4_nl", "iq4_nl", "bf16"), ("q4_k_m+emb", "q4_k", "q6_k"), ("f16", "f16", "bf16")], types
[alone] = json.load(open("one.json"))
assert alone["warm_up"] == 2 and fp["warm_up"] == 0 and alone["tokens"] == 5, alone
assert alone["cer"] is None and alone["wer"] is None and alone["variant"] == "q4_0", alone
[whole] = json.load(open("whole.json")) # a complete model in one file
assert [whole["variant"], whole["quant_scheme"], whole["embeddings"], whole["notes"]] == ["own", "q8_0", "q8_0", "as stored"], whole
assert whole["precision"]["encode"] == fp["precision"]["encode"], whole # its float32 convolutions hold bfloat16 values
own, stored = json.load(open("own.json"))
assert [own["quant_scheme"], stored["quant_scheme"]] == ["q4_0", "bf16"] and stored["cer"] == 0, own
assert json.load(open("limits.json"))["threads"] == 1
PY
