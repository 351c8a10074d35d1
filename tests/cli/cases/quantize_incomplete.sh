# Needs quantize.
# Part of a model is refused: a tensor that the network needs is missing, or has a type that cannot be read.
q() { must_fail 1 "$QASR" quantize --output x.gguf "$@"; }
demo_links m
own m/model-00002-of-00002.safetensors
name=thinker.model.layers.3.mlp.gate_proj.weight
tool header m/model-00002-of-00002.safetensors $name dtype '"F8_E4M3"'
q --input m
q --input m --scope all
q --input m/model-00002-of-00002.safetensors
q --input m --scope ''
tool header m/model-00002-of-00002.safetensors $name dtype '"BF16"'
tool header m/model-00002-of-00002.safetensors $name shape '[256, 768]'
q --input m
# other layers are not affected
"$QASR" quantize --input m --output x.gguf --scope thinker.model.layers.1. --quiet && rm x.gguf
# one file of several beside its configuration
mkdir half
cp -L "$DEMO/config.json" "$DEMO/model-00001-of-00002.safetensors" half
q --input half/model-00001-of-00002.safetensors --scope ''
# GGUF
"$QASR" quantize --input "$DEMO" --output ours.gguf --quiet
tool gguf ours.gguf "%thinker.model.layers.5.self_attn.k_norm.weight"
q --input ours.gguf --qtype q4_0
layout stt-bf16.gguf %dec.blocks.2.ffn.down.weight
q --input m.gguf
layout llama/Demo-F16.gguf %blk.5.attn_q.weight
q --input m.gguf
layout stt-bf16.gguf %enc.blocks.2.attn.q.bias
q --input m.gguf --scope thinker.audio_tower.
"$QASR" quantize --input m.gguf --output x.gguf --quiet && rm x.gguf
ls
