clip=$DATA/golden/clips/en-000.flac
"$QASR" transcribe --model "$DEMO" $clip >wanted
"$QASR" transcribe --model "$DEMO" $clip --output -  | cmp - wanted
echo old >out.txt
ln -s out.txt link.txt
"$QASR" transcribe --model "$DEMO" $clip --output link.txt
cmp out.txt wanted
[ -L link.txt ] || echo "the link was replaced"
must_fail 1 "$QASR" transcribe --model "$DEMO" $clip --output missing/out.txt
must_fail 1 "$QASR" transcribe --model "$DEMO" $clip --output .
must_fail 1 "$QASR" transcribe --model "$DEMO" $clip --output /dev/full
must_fail 3 "$QASR" transcribe --model "$DEMO" missing.wav --output none.txt
must_fail 1 "$QASR" transcribe --model missing $clip --output none.txt
cp $clip sound.flac
ln -s sound.flac alias.txt
must_fail 2 "$QASR" transcribe --model "$DEMO" sound.flac --output alias.txt
# a file with the name of a recording may be one, even if it is not an input
echo recording >other.wav
must_fail 2 "$QASR" transcribe --model "$DEMO" sound.flac --output other.wav
must_fail 2 "$QASR" transcribe --model "$DEMO" sound.flac -o other.wav --format json
must_fail 2 "$QASR" transcribe --model "$DEMO" sound.flac --output not.there/new.MP4
cat other.wav
mkfifo pipe.wav
cat pipe.wav | cmp - wanted &
"$QASR" transcribe --model "$DEMO" sound.flac --output pipe.wav
wait
"$QASR" transcribe --model "$DEMO" sound.flac --output .wav
cmp .wav wanted
"$QASR" transcribe --model "$DEMO" sound.flac --output notes.v2
cmp notes.v2 wanted
must_fail 2 "$QASR" transcribe --model "$DEMO" sound.flac --dump-tensors ./sound.flac
cmp sound.flac $clip
mkfifo pipe
must_fail 3 "$QASR" transcribe --model "$DEMO" sound.flac --dump-tensors pipe
[ -p pipe ] || echo "the pipe was replaced"
ls
