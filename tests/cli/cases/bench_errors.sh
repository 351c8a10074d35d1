# Needs quantize.
must_fail 2 "$QASR" bench
must_fail 2 "$QASR" bench --model "$DEMO" --variants fp,q3_k
must_fail 2 "$QASR" bench --model "$DEMO" --variants fp,
must_fail 2 "$QASR" bench --model "$DEMO" --variants q8_0,fp,q8_0
must_fail 2 "$QASR" bench --model "$DEMO" --variants fp+emb
must_fail 2 "$QASR" bench --model "$DEMO" --variants +emb
must_fail 2 "$QASR" bench --model "$DEMO" --variants q4_k_m+emb,Q4_K_M+EMB
must_fail 2 "$QASR" bench --limits --model "$DEMO"
must_fail 2 "$QASR" bench --model "$DEMO" --audio "$DEMO/samples/ru.flac" --seconds 3
must_fail 2 "$QASR" bench --model "$DEMO" --audio -
must_fail 2 "$QASR" bench --model "$DEMO" --tokens 1
must_fail 2 "$QASR" bench --model "$DEMO" --seconds 1201
must_fail 2 "$QASR" bench --model "$DEMO" more
must_fail 2 "$QASR" bench --model "$DEMO" --batch 0
must_fail 2 "$QASR" bench --model "$DEMO" --batch 1,
must_fail 2 "$QASR" bench --model "$DEMO" --batch 8,65
must_fail 2 "$QASR" bench --model "$DEMO" --batch 8,1,8
must_fail 2 "$QASR" bench --model "$DEMO" --batch 1,2,3,4,5,6,7,8,9
must_fail 2 "$QASR" bench --model "$DEMO" --batch 99999999999999999999
must_fail 2 "$QASR" bench --model "$DEMO" --kv-type q4_0
must_fail 2 "$QASR" bench --limits --batch 8
must_fail 2 "$QASR" bench --model "$LAYOUTS/stt-q8_0.gguf" --variants own,q4_0
must_fail 1 "$QASR" bench --model missing
must_fail 1 "$QASR" bench --model "$DEMO" --audio missing.wav
must_fail 1 "$QASR" bench --model "$DEMO" --output missing/out.md
must_fail 1 "$QASR" bench --limits --output missing/out.md
must_fail 1 env TMPDIR="$PWD/missing" "$QASR" bench --model "$DEMO" --variants q8_0
tool wav none.wav 0
must_fail 1 "$QASR" bench --model "$DEMO" --audio none.wav
cp none.wav same.wav
must_fail 2 "$QASR" bench --model "$DEMO" --audio same.wav --output same.wav
# a decoder that cannot be opened ends the runs and leaves no file
demo_links model
echo no >model/model-q8_0.gguf
mkdir tmp
must_fail 1 env TMPDIR="$PWD/tmp" "$QASR" bench --model model --seconds 1 --tokens 2 --repeat 1 --variants q4_0,q8_0
ls -A tmp
