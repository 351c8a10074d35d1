# Standard output that cannot be written is a failure; a reader that goes away is one too, but silent.
"$QASR" help >/dev/full
echo $?
"$QASR" info "$DEMO" --tensors >/dev/full
echo $?
{ sleep 0.3; "$QASR" info "$DEMO" --tensors; echo $? >status; } | true
cat status
"$QASR" transcribe --model "$DEMO" "$DATA/golden/clips/en-000.flac" >/dev/full
echo $?
