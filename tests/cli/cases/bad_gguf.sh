# Needs quantize.
clip=$DATA/golden/clips/en-000.flac
demo_links m
g=m/model-q8_0.gguf
"$QASR" quantize -q --input m --output good.gguf
t() { must_fail 1 "$QASR" transcribe --model m $clip; }
cp good.gguf $g; truncate -s 100 $g; t
cp good.gguf $g; truncate -s -1000 $g; t
: >$g; t
echo "not a model" >$g; t
rm $g
"$QASR" quantize -q --force --input m --output $g --scope thinker.model.layers.; t
"$QASR" quantize -q --force --input m --output $g --scope thinker.audio_tower.; t
