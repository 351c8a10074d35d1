must_fail 1 "$QASR" info missing
must_fail 1 "$QASR" info .
must_fail 1 "$QASR" info "$DEMO/vocab.json"
: >empty.gguf
must_fail 1 "$QASR" info empty.gguf
