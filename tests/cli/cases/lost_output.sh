# Failing to write standard output is an error; a closed pipe too, but without a message.
"$QASR" help >/dev/full
echo $?
"$QASR" info "$DEMO" --tensors >/dev/full
echo $?
{ sleep 0.3; "$QASR" info "$DEMO" --tensors; echo $? >status; } | true
cat status
# text larger than a buffer is written immediately, so the final flush has nothing left that could fail
"$CONVERT" "$DEMO/eval/long/ru-long-31s.flac" long.au
for _ in $(seq 8); do tail -c +25 long.au; done >long.raw
t() { "$QASR" transcribe --quiet --model "$DEMO" long.raw --raw s16be:16000:1; }
[ "$(t | wc -c)" -gt 4096 ] || echo "WRONG: the text is short"
{ t; echo $? >status; } | true
cat status
"$QASR" transcribe --model "$DEMO" "$DATA/golden/clips/en-000.flac" >/dev/full
echo $?
