# Needs quantize.
# Invalid patterns and types.
q() { must_fail "$1" "$QASR" quantize --input "$DEMO" --output x.gguf "${@:2}"; }
q 1 --tensor-type 'nothing=q8_0'
q 1 --tensor-type 'proj=q8_0' --tensor-type 'lm_head=q4_0'
q 1 --tensor-type 'layers.0=q8_0'
q 1 --scope thinker.audio_tower. --tensor-type 'conv2d1=q8_0'
q 1 --tensor-type 'pro(j=q8_0'
q 1 --tensor-type 'proj=q4_k_m'
q 1 --tensor-type 'proj=q3'
q 2 --tensor-type 'proj='
q 2 --tensor-type '=q8_0'
q 2 --tensor-type proj
q 2 --tensor-type
q 2 --qtype q3_k
q 2 --embedding-qtype q4_k_m
q 2 --encoder-qtype q2_k
ls
