# Needs quantize. A model tells the length of segments that suits it, in generation_config.json and in GGUF files made from it.
long=$DEMO/eval/long/en-long-45s.flac
segments() { # MODEL [OPTION...]: starts and ends
    "$QASR" transcribe --quiet --format json --model "$@" "$long" 2>/dev/null | "$PYTHON" -c '
import json, sys
print(*("%.2f-%.2f" % (s["start"], s["end"]) for s in json.load(sys.stdin)["segments"]))'
}
longest_in() { # MIN MAX: reads segments
    tr ' ' '\n' | awk -F- -v min="$1" -v max="$2" '{ if ($2 - $1 > m) m = $2 - $1 } END { print (m >= min && m <= max ? "good" : "longest: " m) }'
}
quantize() { "$QASR" quantize --quiet "$@"; }
demo_links short
own short/generation_config.json
tool sub short/generation_config.json '"qasr.segment_seconds": 30' '"qasr.segment_seconds": 9'
wanted=$(segments short)
echo "$wanted" | longest_in 7 12
segments "$DEMO" | longest_in 20 40
"$QASR" info short | grep '^segment_seconds'
quantize --input short --output whole.gguf --qtype q8_0 --scope all
"$QASR" info whole.gguf | grep segment_seconds
[ "$(segments whole.gguf)" = "$wanted" ] || echo "WRONG: the complete model in one file"
quantize --input whole.gguf --output again.gguf --qtype q4_0 --scope all 2>/dev/null
[ "$(segments again.gguf)" = "$wanted" ] || echo "WRONG: a file made from a file"
# a decoder alone, beside a configuration with and without the key
quantize --input short --output decoder.gguf --qtype q8_0
rm short/generation_config.json
grep -v qasr.segment_seconds "$DEMO/generation_config.json" >short/generation_config.json
segments short | longest_in 20 40
[ "$(segments short --decoder-gguf "$PWD/decoder.gguf")" = "$wanted" ] || echo "WRONG: the length in the decoder's file"
# an option beats the model
segments whole.gguf --segment 30 | longest_in 15 30
tool sub short/generation_config.json '"do_sample"' '"qasr.segment_seconds": 0, "do_sample"'
must_fail 1 "$QASR" transcribe --model short "$long"
must_fail 1 "$QASR" quantize --input short --output bad.gguf --qtype q8_0
"$QASR" info short | grep '^segment_seconds'
