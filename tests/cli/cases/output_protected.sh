# No option that names an output replaces a recording, a file of a model or a file that is read, under whatever name.
clip=$DATA/golden/clips/en-000.flac
t() { must_fail "[12]" "$QASR" transcribe --model m clip.flac "$@"; }
demo_links m
cp "$clip" clip.flac
cp "$clip" recording.txt
"$CONVERT" "$clip" speech.au
mv speech.au notes
ln recording.txt hard.txt
ln -s recording.txt soft.txt
for f in config.json generation_config.json preprocessor_config.json tokenizer_config.json vocab.json merges.txt model.safetensors.index.json; do
    own m/$f
    cp m/$f "${f%.*}.copy" # the content decides
done
echo '{%- for message in messages %}' >template.copy
echo '{"eos_token": "<|im_end|>"}' >special_tokens_map.copy
cp "$LAYOUTS"/llama/Demo*.gguf model.txt
printf 'file\tlanguage\ttext\nclip.flac\tEnglish\tCarried\n' >refs.tsv
echo clip.flac >list.txt
find . -type f ! -name before -exec sha256sum {} + | sort >before
echo "-- transcribe"
for f in recording.txt notes hard.txt soft.txt model.txt m/model-00001-of-00002.safetensors ./*.copy; do t -o $f; done
t -o recording.txt --format jsonl --resume
t -o new.avi
ln -s new.wav later.txt
t -o later.txt
rm later.txt
t --dump-tensors new.TS
t --dump-tensors recording.txt
t --dump-tensors m/model-00001-of-00002.safetensors
t --dump-tensors x --output ./x
t --list list.txt -o list.txt
t --context-file list.txt -o list.txt
t --context-file list.txt --dump-tensors list.txt
mkdir below
cp clip.flac below/list.flac
cp clip.flac below/recording.flac
must_fail 1 "$QASR" transcribe --model m below/list.flac --list list.txt --output-dir .
must_fail 1 "$QASR" transcribe --model m below/recording.flac --output-dir .
echo "-- other commands"
must_fail 1 "$QASR" eval --model m --data refs.tsv -o recording.txt
must_fail 1 "$QASR" eval --model m --data refs.tsv -o new.wav
must_fail 1 "$QASR" eval --model m --data refs.tsv --details recording.txt --resume
must_fail 1 "$QASR" eval --model m --data refs.tsv --details new --output ./new
must_fail 2 "$QASR" score --ref refs.tsv --hyp refs.tsv -o refs.tsv
must_fail 1 "$QASR" score --ref refs.tsv --hyp refs.tsv -o hard.txt
must_fail 1 "$QASR" bench --limits -o vocab.copy
must_fail 1 "$QASR" bench --model m -o recording.txt
rm -r below
find . -type f ! -name before -exec sha256sum {} + | sort | diff before - && echo "nothing has changed"
echo "-- what may be replaced"
"$QASR" transcribe --model m clip.flac --dump-tensors dump.safetensors >wanted
"$QASR" transcribe --model m clip.flac --dump-tensors dump.safetensors | cmp - wanted
printf 'caf\351 \033[1m\n' >old.txt
"$QASR" transcribe --model m clip.flac -o old.txt
cmp old.txt wanted
"$QASR" transcribe --model m clip.flac -o twice.json
"$QASR" transcribe --model m clip.flac -o twice.json
"$QASR" score --ref refs.tsv --hyp refs.tsv -o twice.json --format json
