# Needs quantize.
# With closed standard descriptors, no message ends up in a file. The warning is printed while the output is open.
"$QASR" quantize --quiet --input "$DEMO" --output q8_0.gguf
"$QASR" quantize --quiet --input q8_0.gguf --output good.gguf --qtype q4_0 2>warning
cut -c 1-15 warning
for closed in '>&-' '2>&-' '<&- >&- 2>&-'; do
    eval "\"\$QASR\" quantize --force --input q8_0.gguf --output again.gguf --qtype q4_0  >/dev/null 2>error $closed"
    echo "status $?, $(tail -n 1 error)"
    cmp good.gguf again.gguf
done
"$QASR" transcribe --model "$DEMO" --output text "$DEMO/samples/ru.flac" <&- >&- 2>&-
echo "status $?"
cat text
must_fail 3 "$QASR" transcribe --model "$DEMO" - <&-
