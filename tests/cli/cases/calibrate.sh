# Needs quantize.
# Statistics of three clips: contents of the file, equal for files, a list and a table; no other file is left.
clips=("$DATA/golden/clips/ru-002.flac" "$DATA/golden/clips/en-001.flac" "$DATA/golden/clips/silence-1s.flac")
"$QASR" calibrate --model "$DEMO" --output a.gguf "${clips[@]}" | sed 's/ in [0-9.]* s$//'
"$QASR" info a.gguf --tensors | grep -E '^(layout|tensors|meta.(general|imatrix)|.*(conv_out|blk.5.attn|blk.5.ffn_gate|token_embd|blk.5.ffn_down|mm.a.mlp))'
printf '%s\n' "${clips[@]}" >list.txt
"$QASR" calibrate --model "$DEMO" --output b.gguf --threads 1 --covariance --quiet list.txt
"$QASR" info b.gguf --tensors | grep -E 'blk.5.*in_cov'
mkdir sub
cp "${clips[@]}" sub
printf 'file\tlanguage\ttext\nru-002.flac\tRussian\tx\nen-001.flac\tEnglish\ty\n' >sub/refs.tsv
"$QASR" calibrate -m "$DEMO" -o c.gguf -c --max-memory 12 sub/refs.tsv | sed 's/ in [0-9.]* s$//'
"$QASR" calibrate -m "$DEMO" -o d.gguf -c -n 2 list.txt | sed 's/ in [0-9.]* s$//'
[ "$(tail -c 1000000 c.gguf | md5sum)" = "$(tail -c 1000000 d.gguf | md5sum)" ] && echo same
ls
# Little speech: the warning counts the rows that each part saw, here those of one second.
"$QASR" calibrate -m "$DEMO" -o few.gguf -q "${clips[2]}" 2>&1 | sed -E 's/decoder [0-9]+ rows/decoder N rows/; s/head [0-9]+ rows/head N rows/'
"$QASR" quantize -i "$DEMO" -o few-model.gguf -q --qtype q4_0 --calibration-audio "${clips[2]}" 2>&1 | sed -E 's/decoder [0-9]+ rows/decoder N rows/'
