t() { must_fail 3 "$QASR" transcribe --model "$DEMO" --ffmpeg none "$1"; }
t missing.wav
mkdir folder; t folder
: >empty.wav; t empty.wav
echo hello >text.wav; t text.wav
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n' >pointer.wav; t pointer.wav
tool wav good.wav 16000
head -c 30 good.wav >cut.wav; t cut.wav
t "$DEMO/config.json"
# Short audio is not an error: no samples, 10 ms, a truncated data chunk.
tool wav zero.wav 0; "$QASR" transcribe --model "$DEMO" zero.wav
tool wav short.wav 160; "$QASR" transcribe --model "$DEMO" short.wav >/dev/null; echo $?
head -c 16000 good.wav >half.wav; "$QASR" transcribe --model "$DEMO" half.wav >/dev/null; echo $?
