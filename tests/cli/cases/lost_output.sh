# Standard output that cannot be written is a failure; a reader that goes away is one too, but silent.
"$QASR" help >/dev/full
echo $?
"$QASR" info "$DEMO" --tensors >/dev/full
echo $?
{ sleep 0.3; "$QASR" info "$DEMO" --tensors; echo $? >status; } | true
cat status
# a text of more than a buffer, which is written at once: nothing is left for the last flush to fail with
"$CONVERT" "$DATA/golden/clips/en-long-61s.flac" minute.au
for _ in 1 2 3 4 5 6; do tail -c +25 minute.au; done >long.raw
t() { "$QASR" transcribe --quiet --model "$DEMO" long.raw --raw s16be:16000:1; }
[ "$(t | wc -c)" -gt 4096 ] || echo "WRONG: the text is short"
{ t; echo $? >status; } | true
cat status
"$QASR" transcribe --model "$DEMO" "$DATA/golden/clips/en-000.flac" >/dev/full
echo $?
