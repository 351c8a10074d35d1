# Needs quantize.
# --force replaces only what the command itself writes, whatever the names: no recordings, no other part of a checkpoint.
mkdir m
cp -L "$DEMO"/*.json "$DEMO"/*.txt "$DEMO"/*.safetensors m
chmod u+w m/*
shard=m/model-00002-of-00002.safetensors
clip=$DATA/golden/clips/silence-1s.flac
cp "$clip" rec.avi
cp "$clip" rec.gguf
cp "$LAYOUTS/llama/mmproj-Demo-F16.gguf" mmproj.gguf
head -c 5000 "$LAYOUTS/stt-bf16.gguf" >cut.gguf
ln -s "$shard" link.gguf
ln "$shard" hard.gguf
ln -s "$PWD/rec.avi" recording.gguf
"$QASR" calibrate --model m --output statistics.gguf --quiet "$clip" 2>/dev/null
"$QASR" quantize --input m --output model.gguf --quiet
find . -type f ! -name before | sort | xargs md5sum >before
for output in rec.avi rec.gguf recording.gguf mmproj.gguf cut.gguf link.gguf hard.gguf statistics.gguf m/config.json m/vocab.json \
    m/model-00001-of-00002.safetensors; do
    must_fail 1 "$QASR" quantize --input "$shard" --output "$output" --force
done
must_fail 1 "$QASR" quantize --input model.gguf --qtype q4_0 --output model.gguf --force
must_fail 1 "$QASR" quantize --input m --calibration statistics.gguf --output statistics.gguf --force
for output in rec.avi rec.gguf recording.gguf mmproj.gguf model.gguf link.gguf m/config.json; do
    must_fail 1 "$QASR" calibrate --model m --output "$output" --force "$clip"
done
find . -type f ! -name before | sort | xargs md5sum | cmp - before && echo "nothing has changed"
# what is replaced: its own files, also behind a link, and empty ones
: >empty.gguf
ln -s model.gguf again.gguf
for output in model.gguf again.gguf empty.gguf; do
    "$QASR" quantize --input m --output "$output" --qtype q4_0 --force --quiet
done
cmp model.gguf empty.gguf && [ -L again.gguf ] && echo "models are replaced"
cp statistics.gguf old
"$QASR" calibrate --model m --output statistics.gguf --force --quiet "$clip" 2>/dev/null
cmp old statistics.gguf && echo "statistics are replaced"
