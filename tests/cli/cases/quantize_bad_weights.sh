# Needs quantize.
demo_links m
own m/model-00002-of-00002.safetensors
q() { must_fail 1 "$QASR" quantize --input m --output x.gguf; }
name=thinker.model.layers.3.mlp.gate_proj.weight
tool set m/model-00002-of-00002.safetensors $name 515 nan
q
tool set m/model-00002-of-00002.safetensors $name 515 inf
q
tool set m/model-00002-of-00002.safetensors $name 515 1e30
q
# Refused before the audio is transcribed: there is none.
tool set m/model-00002-of-00002.safetensors $name 515 1e7
must_fail 1 "$QASR" quantize --input m --output x.gguf --qtype q4_0 --calibration-audio missing
tool set m/model-00002-of-00002.safetensors $name 515 0
echo '{"thinker_config": ' >config.tmp && rm m/config.json && mv config.tmp m/config.json
q
ls
