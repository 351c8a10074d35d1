# Needs quantize.
# Keys; a model against itself; results do not depend on threads, batch or group size; a quantized decoder; clips with several segments.
data="$DEMO/eval/clean"
eval_demo() { "$QASR" eval --model "$DEMO" --data "$data" --format json "$@"; }
"$QASR" quantize --input "$DEMO" --output q4_0.gguf --qtype q4_0 --quiet
eval_demo --limit 3 --baseline "$DEMO" --threads 1 >same.json
tool keys <same.json
eval_demo --limit 3 --baseline "$DEMO" --threads 2 --batch 1 | cmp - same.json
"$QASR" eval --model "$DEMO" --decoder-gguf "$PWD/q4_0.gguf" --baseline "$DEMO" --data "$DEMO/eval/hard/refs.tsv" --limit 7 --format json --output q4.json \
    --threads 2 --details q4.jsonl
"$QASR" eval --model "$DEMO" --decoder-gguf "$PWD/q4_0.gguf" --baseline "$DEMO" --data "$DEMO/eval/hard" --limit 7 --format json --threads 1 --batch 2 | cmp - q4.json
data="$DEMO/eval/long"
eval_demo --limit 1 --segment 8 --baseline "$DEMO" >segments.json
eval_demo --limit 1 >alone.json
python3 - <<'PY'
import json
same, q4, segments, alone = (json.load(open(f"{name}.json")) for name in ("same", "q4", "segments", "alone"))
assert same["clips"] == same["forced_clips"] == same["per_language"]["Russian"]["clips"] + 1 == 3, same
assert same["kl_mean_ci"] == [0, 0] and q4["kl_mean_ci"][0] < q4["kl_mean"] < q4["kl_mean_ci"][1], (same, q4)
assert same["kl_mean"] == same["kl_p95"] == same["kl_max"] == same["changed"] == same["wer_vs_baseline"] == 0, same
assert same["top1_agreement"] == same["first32_agreement"] == same["perplexity_ratio"] == same["language_accuracy"] == 1, same
assert same["decoder_type"] == same["baseline_decoder_type"] == "bf16" and q4["decoder_type"] == "q4_0", q4["decoder_type"]
assert 0 < q4["kl_mean"] < 0.05 and q4["kl_mean"] < q4["kl_p95"] <= q4["kl_max"], q4
assert 0.9 < q4["perplexity_ratio"] < 1.2 and q4["perplexity_ratio"] != 1 and 0.9 <= q4["top1_agreement"] <= 1, q4
lines = [json.loads(line) for line in open("q4.jsonl")]
assert lines[0]["qasr_eval"]["decoder_type"] == "q4_0" and len(lines) == 8, lines[0]
kl = [x for line in lines[1:] for x in line["baseline"]["forced"]["kl"]]
assert len(kl) == q4["positions"] == sum(len(p["tokens"]) + 1 for line in lines[1:] for p in line["baseline"]["segments"]), q4
assert abs(sum(kl) / len(kl) / q4["kl_mean"] - 1) < 1e-12 and abs(max(kl) / q4["kl_max"] - 1) < 1e-12, q4
errors = sum(line[k] for line in lines[1:] for k in ("substitutions", "insertions", "deletions"))
assert abs(q4["wer"] / errors * sum(line["words"] for line in lines[1:]) - 1) < 1e-12, q4
assert segments["clips"] == 1 and segments["forced_clips"] == segments["positions"] == 0 and segments["kl_mean"] is None, segments
assert segments["changed"] == 0 and segments["first32_agreement"] == 1 and segments["segment"] == "8", segments
assert alone["wer"] == 0 and alone["wer_ci"] == [0, 0] and alone["exact"] == 1 and "kl_mean" not in alone, alone
PY
