# Keys and values beyond the type of the KV cache: the same text from a float32 cache, and a warning per file. The demo model gets
# values that are larger by a power of two, and output projections that undo it exactly.
clips=$DATA/golden/clips
demo_links m
for file in m/*.safetensors; do own $file; done
scale() { for file in m/*.safetensors; do tool scale $file "$1" $2; done; }
layer() { echo model.layers.$1.self_attn.$2.weight; }
larger() { # POWER
    for n in $layers; do
        scale $(layer $n v_proj) $1
        scale $(layer $n o_proj) -$1
    done
}
layers=$(seq 0 $(($(python3 -c 'import json; print(json.load(open("m/config.json"))["thinker_config"]["text_config"]["num_hidden_layers"])') - 1)))
run() { "$QASR" transcribe "$@" $clips/en-000.flac $clips/ru-000.flac --format jsonl 2>err >out.jsonl || echo "WRONG: status $?"; sed 's/ of [0-9]* files done.*/ files done/' err | grep warning; }
text() { python3 -c 'import json; print([(p["text"], p.get("tokens"), p.get("kv_widened", False)) for p in map(json.loads, open("out.jsonl"))])'; }
same() { text | sed 's/True/False/g' | cmp - want; text | grep -o 'True' | wc -l; }
run --model "$DEMO" --kv-type f32
text >want
echo "values"
larger 14
run --model m --strict
same
cp out.jsonl first.jsonl
run --model m --kv-type f16 --threads 1 --batch 1
cmp out.jsonl first.jsonl
run --model m --kv-type f32
same
run --model m --kv-type q8_0
text | grep -c True
larger 8
run --model m --kv-type q8_0
same
echo "teacher forcing, and tensors"
head -n 5 "$DEMO/eval/clean/refs.tsv" >list.tsv
"$QASR" eval --model m --baseline "$DEMO" --data list.tsv --audio-root "$DEMO/eval/clean" --format json --output eval.json 2>err
python3 -c 'import json; r = json.load(open("eval.json")); print(r["forced_clips"], r["wer_vs_baseline"], r["kl_max"] < 1e-4)'
"$QASR" transcribe --model m $clips/en-000.flac --dump-tensors m.safetensors >m.txt 2>err
"$QASR" transcribe --model "$DEMO" --kv-type f32 $clips/en-000.flac --dump-tensors demo.safetensors >demo.txt
cmp m.safetensors demo.safetensors
"$QASR" bench --model m --audio $clips/en-000.flac --tokens 5 --repeat 2 --variants fp --format json --output bench.json
"$QASR" bench --model m --audio $clips/en-000.flac --tokens 5 --repeat 1 --variants fp --kv-type f32 --format json --output bench.json
echo "keys"
rm -rf m
demo_links m
for file in m/*.safetensors; do own $file; done
scale model.layers.1.self_attn.k_norm.weight 16
scale model.layers.1.self_attn.q_norm.weight -16
run --model m
same
echo "some clips only, and in the middle of an answer"
rm -rf m
demo_links m
for file in m/*.safetensors; do own $file; done
"$QASR" transcribe --model "$DEMO" $clips/en-000.flac --format json --output plain.json
tool spike m "$(python3 -c 'import json; t = json.load(open("plain.json"))["tokens"]; print(t[len(t) // 2])')"
some() { "$QASR" transcribe --quiet --model m $clips/*.flac --format json "$@" 2>err; }
some --kv-type f32 >want.json
some --batch 1 --threads 1 >one.json
grep -c 'decoded again' err
some --batch 8 --threads 2 >eight.json
some --batch 3 >three.json
python3 - <<'PY'
import json
want, *runs = ([(r["text"], r["tokens"]) for r in json.load(open(f"{name}.json"))] for name in ("want", "one", "eight", "three"))
wide = [["kv_widened" in p for p in r["segments"]] for name in ("one", "eight", "three") for r in json.load(open(f"{name}.json"))]
n = len(want)
assert wide[:n] == wide[n:2 * n] == wide[2 * n:] and runs[0] == runs[1] == runs[2]
assert any(map(any, wide)) and not all(map(any, wide[:n])), wide
assert all(got == w for got, w, is_wide in zip(runs[0], want, wide) if all(is_wide)), runs
PY
printf 'file\tlanguage\ttext\n%s\tEnglish\tanything\n' $clips/en-000.flac >list.tsv
"$QASR" eval --model m --baseline m --data list.tsv --format json --output forced.json 2>err
python3 -c 'import json; r = json.load(open("forced.json")); print(r["forced_clips"], r["kl_max"])'
echo "values that are not finite"
bad() { # TENSOR [OPTION...]
    rm -rf m
    demo_links m
    for file in m/*.safetensors; do
        ! grep -q "\"$1\"" $file || { own $file; tool set $file "$1" 515 nan; }
    done
    shift
    must_fail 3 "$QASR" transcribe --model m $clips/en-000.flac "$@"
}
bad thinker.model.layers.2.self_attn.v_proj.weight --kv-type q8_0
bad thinker.model.layers.2.self_attn.v_proj.weight
bad thinker.model.layers.3.mlp.down_proj.weight
bad thinker.audio_tower.conv2d2.weight
bad thinker.audio_tower.layers.1.fc1.weight --kv-type q8_0
bad thinker.audio_tower.proj2.weight
