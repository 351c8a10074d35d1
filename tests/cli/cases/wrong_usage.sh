must_fail 2 "$QASR" transcrib
must_fail 2 "$QASR" frobnicate
must_fail 2 "$QASR" trans
must_fail 2 "$QASR" ''
must_fail 2 "$QASR" --frobnicate
must_fail 2 "$QASR" --vesion
must_fail 2 "$QASR" --he
must_fail 2 "$QASR" help frobnicate
must_fail 2 "$QASR" transcribe --modle x
must_fail 2 "$QASR" transcribe --ou x a.wav
must_fail 2 "$QASR" transcribe --max-line=7 a.wav
must_fail 2 "$QASR" transcribe --output-dri x a.wav
must_fail 2 "$QASR" transcribe -z
must_fail 2 "$QASR" transcribe --model
must_fail 2 "$QASR" transcribe --timings=yes
must_fail 2 "$QASR" transcribe a.wav
must_fail 2 "$QASR" transcribe --model "$DEMO"
must_fail 2 "$QASR" transcribe --model m a.wav --format xml
must_fail 2 "$QASR" transcribe --model m a.wav --threads 0
must_fail 2 "$QASR" transcribe --model m a.wav --threads 1.5
must_fail 2 "$QASR" transcribe --model m a.wav --segment nan
must_fail 2 "$QASR" transcribe --model m a.wav --max-new-tokens many
must_fail 2 "$QASR" transcribe --model m a.wav --ignore-eos
must_fail 2 "$QASR" transcribe --model m - -
must_fail 2 "$QASR" transcribe --model m a.wav --decoder-weights safetensors --decoder-gguf x.gguf
must_fail 2 "$QASR" transcribe --model m a.wav b.wav --dump-tensors x
must_fail 2 "$QASR" transcribe --model m a.wav --language Englsh
must_fail 2 "$QASR" transcribe --model m a.wav --language klingon
must_fail 2 "$QASR" transcribe --model m a.wav --format txt,xml
must_fail 2 "$QASR" transcribe --model m a.wav --format txt,
must_fail 2 "$QASR" transcribe --model m a.wav --format txt,srt
must_fail 2 "$QASR" transcribe --model m a.wav b.wav --format srt
must_fail 2 "$QASR" transcribe --model m a.wav --output x --output-dir y
must_fail 2 "$QASR" transcribe --model m a.wav --output-dir ""
must_fail 2 "$QASR" transcribe --model m a.wav --skip-existing
must_fail 2 "$QASR" transcribe --model m a.wav --resume
must_fail 2 "$QASR" transcribe --model m a.wav --resume --output x.txt
must_fail 2 "$QASR" transcribe --model m a.wav --resume --format jsonl
must_fail 2 "$QASR" transcribe --model m a.wav --max-line-width 7
must_fail 2 "$QASR" transcribe --model m a.wav --max-lines 0
must_fail 2 "$QASR" transcribe --model m a.wav --max-line-seconds 0
must_fail 2 "$QASR" transcribe --model m a.wav --start -1
must_fail 2 "$QASR" transcribe --model m a.wav --duration 0
for time in '' : 1: :30 1:75 1:60:00 1:2:3:4 1:030 -1:00 +1:00 1:-5 1:3e1 1:30,5 1.5:00 ' 1:30' 1:30s 300000:00:00 0x10 inf nan; do
    must_fail 2 "$QASR" transcribe --model m a.wav --start "$time"
done
must_fail 2 "$QASR" transcribe --model m a.wav --segment 20:01
must_fail 2 "$QASR" transcribe --model m a.wav --language zh-Hans-HK
must_fail 2 "$QASR" transcribe --model m a.wav --language nb
must_fail 2 "$QASR" transcribe --model m a.wav --track 0
must_fail 2 "$QASR" transcribe --model m a.wav --track klingon
must_fail 2 "$QASR" transcribe --model m a.wav --channel 0
must_fail 2 "$QASR" transcribe --model m a.wav --channel left
must_fail 2 "$QASR" transcribe --model m - --channel split
must_fail 2 "$QASR" transcribe --model m a.wav --raw s16le
must_fail 2 "$QASR" transcribe --model m a.wav --raw s16:16000:1
must_fail 2 "$QASR" transcribe --model m a.wav --context x --context-file y
must_fail 2 "$QASR" transcribe --model m a.wav --context "$(printf 'x%.0s' $(seq 32769))"
must_fail 2 "$QASR" transcribe --model m a.wav --translate-warning
must_fail 2 "$QASR" transcribe --model m a.wav --translate-warning --language auto
must_fail 2 "$QASR" transcribe --model m - --translate-warning --language en
must_fail 2 "$QASR" transcribe --model m - --list - </dev/null
must_fail 2 "$QASR" transcribe --model m --list /dev/null
must_fail 2 "$QASR" transcribe --model m --list a --list b
must_fail 2 "$QASR" quantize --output x.gguf
must_fail 2 "$QASR" quantize --input x
must_fail 2 "$QASR" quantize --input x --output y z
must_fail 2 "$QASR" quantize --input x --output y --qtype q3_k
must_fail 2 "$QASR" info
must_fail 2 "$QASR" info a b
