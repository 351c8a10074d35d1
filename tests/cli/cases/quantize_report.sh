# Needs quantize.
"$QASR" quantize --input "$DEMO" --output x.gguf --qtype q8_0 --scope thinker.
