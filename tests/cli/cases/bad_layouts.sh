# Damaged, foreign and contradictory GGUF files as the model.
clip=$DATA/golden/clips/en-000.flac
t() { layout "$@"; must_fail "[13]" "$QASR" transcribe --model m.gguf $clip; }
stt=stt-q8_0.gguf crisp=crisp-f16.gguf text=llama/Demo-F16.gguf mmproj=llama/mmproj-Demo-F16.gguf
e=stt.qwen3_asr.encoder d=stt.qwen3_asr.decoder
echo "truncated files"
for size in 3 30 5000 40000 1000000; do layout $stt; truncate -s $size m.gguf; must_fail 1 "$QASR" transcribe --model m.gguf $clip; done
echo "missing keys"
for key in num_mel_bins d_model n_layers n_heads ffn_dim output_dim; do t $stt -$e.$key; done
for key in hidden_size n_layers n_heads n_kv_heads intermediate_size max_position_embeddings rms_norm_eps rope_theta; do t $stt -$d.$key; done
for key in n_mels audio.d_model audio.n_heads audio.proj_dim llm.n_layers llm.ff_dim llm.max_pos llm.rope_theta; do t $crisp -qwen3asr.$key; done
for key in embedding_length block_count feed_forward_length attention.head_count attention.head_count_kv context_length rope.freq_base \
           attention.layer_norm_rms_epsilon; do t $text -qwen3vl.$key; done
t $text -tokenizer.ggml.tokens
t $crisp -tokenizer.ggml.merges
echo "invalid values"
t $stt $e.n_layers=u32:1000000000
t $stt $d.n_layers=u64:18446744073709551615
t $stt $d.n_layers=i32:-1
t $stt $d.n_layers=u32:0
t $stt $d.n_layers=u32:7
t $stt $e.n_layers=str:'"6"'
t $stt $e.d_model=f32:256
t $stt $e.n_heads=u32:5
t $stt $e.n_window_infer=u32:850
t $stt $d.n_kv_heads=u32:3
t $stt $d.vocab_size=u32:2000
t $stt $d.vocab_size=u32:1000
t $stt $d.rope_theta=u32:1000000
t $stt $d.rms_norm_eps=f32:NaN
t $stt $d.tie_word_embeddings=bool:false
t $stt $e.output_dim=u32:512
t $stt stt.qwen3_asr.audio_token_id=u32:1020
t $stt stt.qwen3_asr.audio_token_id=u32:5000
t $stt tokenizer.ggml.eos_token_id=u32:1024
t $crisp qwen3asr.audio.ff_dim=u32:1000
t $text qwen3vl.attention.head_count_kv=arr/u32:'[1,1,1,1,1,1]'
echo "unsupported features"
t $stt $e.activation=str:'"relu"'
t $stt stt.frontend.hop_length=u32:100
t $stt tokenizer.ggml.model=str:'"llama"'
t $crisp qwen3asr.sample_rate=u32:8000
t $crisp qwen3asr.llm.classify_num=u32:5000
t $stt stt.variant=str:'"qwen3-forced-aligner-0.6b"'
t $text qwen3vl.n_deepstack_layers=u32:3
t $text general.architecture=str:'"llama"'
t $mmproj clip.audio.projector_type=str:'"whisper"'
t $stt general.architecture=str:'"qasr"'
t $stt -general.architecture
echo "tokens"
t $stt 'tokenizer.ggml.tokens[300]=""'
t $stt 'tokenizer.ggml.tokens[300]="a"'
t $stt 'tokenizer.ggml.tokens[300]="a b"'
t $stt 'tokenizer.ggml.tokens[0]="<|unused_0|>"'
t $stt 'tokenizer.ggml.tokens[1017]="<|im_begin|>"'
t $stt 'tokenizer.ggml.tokens[1021]="<|audio|>"'
t $text 'tokenizer.ggml.tokens[1021]="<|audio|>"'
t $stt 'tokenizer.ggml.merges[9]="a"'
t $stt tokenizer.ggml.tokens=arr/str:'["a","b"]'
t $crisp tokenizer.ggml.tokens=arr/str:'["a","b"]'
t $crisp tokenizer.ggml.tokens=arr/u32:'[1,2]'
t $crisp tokenizer.ggml.merges=str:'"a b"'
t $stt tokenizer.ggml.token_type=arr/u8:'[1]'
t $stt tokenizer.ggml.token_type=arr/i32:'[1]'
echo "tensors"
t $stt %enc.conv.1.bias
t $stt %dec.blocks.5.ffn.gate.weight
t $crisp %audio.blk.0.attn_q.bias
t $crisp %audio.conv.1.weight
t $text %token_embd.weight
t $text %blk.0.attn_q_norm.weight
t $crisp audio.conv_out.weight:256x1536
t $crisp blk.3.attn_k.weight:128x256
t $crisp audio.conv.1.weight:3x3x96x1
t $text output.weight:512x512
echo "an mmproj file of another model"
m() { layout $text; rm -f mmproj-m.gguf; cp "$LAYOUTS/$mmproj" mmproj-m.gguf; tool gguf mmproj-m.gguf "$@"; must_fail 1 "$QASR" transcribe --model m.gguf $clip; }
m clip.audio.projection_dim=u32:1024
m clip.audio.embedding_length=u32:512
m clip.audio.block_count=u32:18
m clip.audio.attention.layer_norm_epsilon=f32:0.1
m -clip.audio.num_mel_bins
m %a.conv2d.1.weight
m a.conv2d.1.weight:864
