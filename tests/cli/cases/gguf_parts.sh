# Needs quantize.
# Models in several GGUF files: any part stands for all; missing, foreign and duplicate parts are named.
clip=$DATA/golden/clips/en-000.flac
text() { "$QASR" transcribe "$@" $clip 2>&1; }
same() { [ "$(text "$@")" = "$want" ] && echo same || { echo "WRONG: $*"; text "$@"; }; }
t() { must_fail 1 "$QASR" transcribe --model "$@" $clip; }
want=$(text --model "$LAYOUTS/stt-q8_0.gguf")
[ -n "$want" ] || echo "WRONG: no text"
mkdir good
tool split "$LAYOUTS/stt-q8_0.gguf" good/m 3
echo "any part, or the directory"
for n in 1 2 3; do same --model good/m-0000$n-of-00003.gguf; done
same --model good
same --model good/m-00002-of-00003.gguf --no-mmap
(cd good && same --model m-00003-of-00003.gguf)
echo "llama.cpp's pair"
mkdir pair
tool split "$LAYOUTS/llama/Demo-F16.gguf" pair/Demo-F16 2
tool split "$LAYOUTS/llama/mmproj-Demo-F16.gguf" pair/mmproj-Demo-F16 2
want=$(text --model "$LAYOUTS/llama")
same --model pair
same --model pair/Demo-F16-00002-of-00002.gguf
same --model pair/mmproj-Demo-F16-00002-of-00002.gguf
same --model pair/Demo-F16-00001-of-00002.gguf --mmproj pair/mmproj-Demo-F16-00002-of-00002.gguf
echo "a decoder for a model directory"
demo_links dir
"$QASR" quantize --quiet --input dir --output q8.gguf --qtype q8_0
want=$(text --model dir --decoder-gguf "$PWD/q8.gguf")
tool split q8.gguf dir/model-q8_0 2
same --model dir
same --model dir --decoder-gguf model-q8_0-00002-of-00002.gguf
"$QASR" transcribe --model dir $clip --format json | python3 -c 'import json, sys; print(json.load(sys.stdin)["decoder"])'
echo "other commands"
"$QASR" info good/m-00002-of-00003.gguf | grep '^tensors\|^container\|^layout'
"$QASR" info dir | grep '^gguf'
"$QASR" quantize --quiet --input "$LAYOUTS/stt-q8_0.gguf" --output whole.gguf --scope all --qtype q4_0 2>whole.err
"$QASR" quantize --quiet --input good/m-00002-of-00003.gguf --output parts.gguf --scope all --qtype q4_0
"$QASR" info whole.gguf | grep -v '^meta.general.name\|^meta.qasr.source' >whole.txt
"$QASR" info parts.gguf | grep -v '^meta.general.name\|^meta.qasr.source' >parts.txt
cmp whole.txt parts.txt
"$QASR" bench --model good/m-00003-of-00003.gguf --seconds 1 --tokens 2 --repeat 1 --format json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["quant_scheme"])'
printf 'file\tlanguage\ttext\n%s\tEnglish\tanything\n' $clip >list.tsv
"$QASR" eval --model good/m-00003-of-00003.gguf --data list.tsv --format json --output eval.json
python3 -c 'import json; print(json.load(open("eval.json"))["decoder_type"])'
echo "faults"
bad() { rm -rf bad; cp -r good bad; }
bad; rm bad/m-00002-of-00003.gguf; t bad/m-00001-of-00003.gguf; t bad/m-00003-of-00003.gguf; t bad
bad; rm bad/m-00001-of-00003.gguf; t bad/m-00002-of-00003.gguf; t bad
bad; cp bad/m-00001-of-00003.gguf bad/m-00002-of-00003.gguf; t bad/m-00001-of-00003.gguf
bad; cp "$LAYOUTS/stt-q8_0.gguf" bad/m-00003-of-00003.gguf; t bad/m-00001-of-00003.gguf; same --model bad/m-00003-of-00003.gguf
bad; cp pair/Demo-F16-00002-of-00002.gguf bad/m-00002-of-00003.gguf; t bad/m-00001-of-00003.gguf
tool split "$LAYOUTS/stt-bf16.gguf" other 3
bad; mv other-00002-of-00003.gguf bad/m-00002-of-00003.gguf; tool gguf bad/m-00002-of-00003.gguf 'general.name=str:"Another"'; t bad/m-00001-of-00003.gguf
bad; tool gguf bad/m-00002-of-00003.gguf split.tensors.count=i32:7; t bad/m-00001-of-00003.gguf
bad; for n in 1 2 3; do tool gguf bad/m-0000$n-of-00003.gguf split.tensors.count=u64:7; done; t bad/m-00001-of-00003.gguf
bad; tool gguf bad/m-00001-of-00003.gguf split.no=i8:-1; t bad/m-00001-of-00003.gguf
bad; tool gguf bad/m-00001-of-00003.gguf split.no=u8:3; t bad/m-00001-of-00003.gguf
bad; tool gguf bad/m-00002-of-00003.gguf -split.no; t bad/m-00001-of-00003.gguf
bad; tool gguf bad/m-00001-of-00003.gguf 'split.count=str:"3"'; t bad/m-00001-of-00003.gguf
bad; tool gguf bad/m-00001-of-00003.gguf split.count=u16:60000; t bad/m-00001-of-00003.gguf
bad; truncate -s -1000 bad/m-00002-of-00003.gguf; t bad/m-00001-of-00003.gguf
bad; mv bad/m-00001-of-00003.gguf bad/renamed.gguf; t bad/renamed.gguf
bad; tool gguf bad/m-00003-of-00003.gguf %dec.output_norm.weight; t bad/m-00001-of-00003.gguf
echo "joined again"
cp "$LAYOUTS/stt-q8_0.gguf" joined.gguf
tool gguf joined.gguf split.no=u16:0 split.count=u16:0 split.tensors.count=i32:7
want=$(text --model "$LAYOUTS/stt-q8_0.gguf")
same --model joined.gguf
# What comes with a complete model in GGUF files, such as config.json, does not make a checkpoint of its folder.
mkdir repository
cp "$DEMO"/*.json "$DEMO/merges.txt" repository
rm repository/model.safetensors.index.json
must_fail 1 "$QASR" transcribe --model repository "$DATA/golden/clips/en-000.flac"
"$QASR" quantize --quiet --input "$DEMO" --output repository/whole.gguf --scope all
"$QASR" transcribe --model repository "$DATA/golden/clips/en-000.flac"
