clip=$DATA/golden/clips/en-000.flac
t() { must_fail 1 "$QASR" transcribe --model m $clip; }
fresh() { rm -rf m; demo_links m; }
one=m/model-00001-of-00002.safetensors two=m/model-00002-of-00002.safetensors index=m/model.safetensors.index.json
fresh; rm m/config.json; t
fresh; own m/config.json; truncate -s 500 m/config.json; t
fresh; own m/config.json; tool sub m/config.json '"encoder_ffn_dim": 1024' '"encoder_ffn_dim": 1000'; t
fresh; own m/config.json; tool sub m/config.json '"d_model": 256' '"d_model": 0'; t
fresh; own m/config.json; tool sub m/config.json '"vocab_size": 1024' '"vocab_size": 2048'; t
fresh; own m/config.json; tool sub m/config.json '"hidden_size": 256,' ''; t
fresh; rm $two; t
fresh; own $index; tool sub $index model-00002-of-00002.safetensors ../x.safetensors; t
fresh; own $index; echo '{}' >$index; t
fresh; own $one; truncate -s -1000 $one; t
fresh; own $one; truncate -s 6 $one; t
fresh; own $two; tool header $two thinker.model.norm.weight shape '[128]'; t
fresh; own $two; tool header $two thinker.model.norm.weight shape '[2,128]'; t
fresh; own $two; tool header $two thinker.model.norm.weight dtype '"I16"'; t
fresh; rm m/vocab.json; t
fresh; own m/vocab.json; truncate -s 1000 m/vocab.json; t
fresh; own m/merges.txt; echo 'nosuch token' >>m/merges.txt; t
# pointers of git-lfs instead of files
pointer() { rm $1; printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 5\n' 1 >$1; }
for file in config.json generation_config.json tokenizer_config.json vocab.json merges.txt model.safetensors.index.json; do
    fresh; pointer m/$file; t
done
fresh; pointer $one; t
fresh; touch m/model-q8_0.gguf; pointer m/model-q8_0.gguf; t
mkdir one; touch one/a.gguf; pointer one/a.gguf
must_fail 1 "$QASR" transcribe --model one $clip
must_fail 1 "$QASR" transcribe --model one/a.gguf $clip
must_fail 1 "$QASR" info one/a.gguf
must_fail 1 "$QASR" transcribe --model $clip $clip
must_fail 3 "$QASR" transcribe --model "$DEMO" $clip --max-new-tokens 1000000
