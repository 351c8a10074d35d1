# Other programs' GGUF files as the model: which files are found, and which are refused.
clip=$DATA/golden/clips/en-000.flac
text=$LAYOUTS/llama/Demo-F16.gguf mmproj=$LAYOUTS/llama/mmproj-Demo-F16.gguf
t() { "$QASR" transcribe $clip --format json "$@" >r.json &&
      python3 -c 'import json; r = json.load(open("r.json")); print(r["decoder"]["file"], r["decoder"]["type"], r["text"])'; }
f() { must_fail 1 "$QASR" transcribe $clip "$@"; }
t --model "$LAYOUTS/stt-bf16.gguf"
t --model "$LAYOUTS/stt-q8_0.gguf" --no-mmap
t --model "$LAYOUTS/crisp-f16.gguf"
t --model "$LAYOUTS/llama"
t --model "$text"
t --model "$mmproj"
t --model "$DEMO" --decoder-gguf "$LAYOUTS/rust-q8_0.gguf"
t --model "$DEMO" --decoder-gguf "$LAYOUTS/stt-q8_0.gguf"
t --model "$DEMO" --decoder-gguf "$text"
layout stt-q8_0.gguf -stt.qwen3_asr.encoder.downsample_hidden -stt.qwen3_asr.encoder.n_window -stt.qwen3_asr.encoder.n_window_infer \
    -stt.qwen3_asr.decoder.head_dim -stt.qwen3_asr.decoder.vocab_size -stt.qwen3_asr.audio_token_id -tokenizer.ggml.eos_token_id \
    -tokenizer.ggml.token_type -stt.qwen3_asr.decoder.tie_word_embeddings # known from shapes, tokens and published values
t --model m.gguf
layout llama/Demo-F16.gguf -qwen3vl.attention.key_length %output.weight
t --model m.gguf
echo "one whole model in a directory and in the working directory"
mkdir one
ln -s "$LAYOUTS/crisp-f16.gguf" one/any-name.gguf
echo damaged >one/other.gguf
t --model one
(cd one && t --model any-name.gguf)
ln -s "$LAYOUTS/stt-bf16.gguf" one/second.gguf
f --model one
echo "pairs of decoder and mmproj"
mkdir pair
ln -s "$text" pair/Qwen3-ASR-0.6B-Q8_0.gguf
f --model pair
f --model pair/Qwen3-ASR-0.6B-Q8_0.gguf
t --model pair/Qwen3-ASR-0.6B-Q8_0.gguf --mmproj "$mmproj"
t --model pair --mmproj "$mmproj"
ln -s "$mmproj" pair/mmproj-other.gguf
t --model pair
cp "$mmproj" pair/mmproj-Qwen3-ASR-0.6B-f16.gguf
chmod u+w pair/mmproj-Qwen3-ASR-0.6B-f16.gguf
tool gguf pair/mmproj-Qwen3-ASR-0.6B-f16.gguf clip.audio.projection_dim=u32:1024
f --model pair # the file with the most similar name is chosen, but does not fit
ln -s "$mmproj" pair/mmproj-Qwen3-ASR-0.6B-bf16.gguf
f --model pair
t --model pair --mmproj pair/mmproj-other.gguf
mkdir encoder
ln -s "$mmproj" encoder/mmproj-x.gguf
f --model encoder
f --model encoder/mmproj-x.gguf
ln -s "$text" encoder/a.gguf
ln -s "$text" encoder/b.gguf
f --model encoder/mmproj-x.gguf
f --model encoder
echo "conflicting options"
f --model "$text" --mmproj "$text"
f --model "$text" --mmproj missing.gguf
f --model "$mmproj" --mmproj "$mmproj"
f --model "$LAYOUTS/crisp-f16.gguf" --mmproj "$mmproj"
f --model "$DEMO" --mmproj "$mmproj"
f --model "$text" --decoder-weights safetensors
f --model "$LAYOUTS/crisp-f16.gguf" --decoder-gguf x.gguf
f --model "$LAYOUTS/rust-q8_0.gguf"
f --model missing.gguf
echo "more files than fit in a message"
mkdir many
for i in 1 2 3; do ln -s "$text" many/$i-$(printf 'x%.0s' $(seq 100)).gguf; done
ln -s "$text" many/4.gguf
f --model many
