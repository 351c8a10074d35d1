# Needs quantize.
# A model in one file transcribes from an otherwise empty directory.
mkdir alone
"$QASR" quantize --input "$DEMO" --output alone/demo.gguf --scope all --qtype Q4_K_M --quiet
cp "$DEMO"/samples/*.flac alone
(cd alone && "$QASR" transcribe --quiet --model demo.gguf en.flac ru.flac && "$QASR" transcribe --model . en.flac | cmp - <("$QASR" transcribe --model demo.gguf en.flac) && ls)
"$QASR" info alone/demo.gguf | grep -E '^(layout|tensors|type|tokenizer|model|languages|meta.(general|stt.variant|qasr.(scope|qtype)))'
echo "named twice: $("$QASR" info alone/demo.gguf | cut -d' ' -f1 | sort | uniq -d | wc -l)"
# A separate type for the encoder.
"$QASR" quantize --input alone/demo.gguf --dry-run --scope thinker. --qtype q4_0 --encoder-qtype q5_k_m --embedding-qtype q8_0 | sed -n '/^kind/,$p'
# An untied output matrix is kept.
demo_links m
own m/model-00002-of-00002.safetensors
own m/model-00001-of-00002.safetensors
own m/config.json
tool sub m/config.json '"tie_word_embeddings": true' '"tie_word_embeddings": false'
"$QASR" quantize --input m --output same.gguf --scope all --quiet
echo '{"chat_template": "{{ a template }}"}' >m/chat_template.json
for shard in m/*.safetensors; do tool set $shard thinker.lm_head.weight 0 0.125 2>/dev/null && echo changed; done
"$QASR" quantize --input m --output untied.gguf --scope all --quiet
for file in same untied; do
    "$QASR" info $file.gguf --tensors | grep -E '^(tensors|decoder.tied|meta.stt.qwen3_asr.decoder.tie|meta.tokenizer.chat|thinker)'
    "$QASR" transcribe --model $file.gguf alone/en.flac
done
"$QASR" quantize --input untied.gguf --output again.gguf --scope all --qtype f16 --quiet
"$QASR" info again.gguf --tensors | grep -E '^(meta.tokenizer.chat|thinker)'
must_fail 1 "$QASR" quantize --input m/config.json --output x.gguf --scope all
(ulimit -f 1000; must_fail 1 "$QASR" quantize --input m --output x.gguf --scope all)
rm m/vocab.json
must_fail 1 "$QASR" quantize --input m --output x.gguf --scope all
ls
