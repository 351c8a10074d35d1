# Needs quantize.
# Runs that end badly leave no temporary file behind, and never replace a file that appeared in the meantime.
demo_links m
own m/model-00002-of-00002.safetensors
cp m/model-00002-of-00002.safetensors good
slow() { "$QASR" quantize -i m -o x.gguf --calibration-audio "$DEMO/eval/calibration/refs.tsv" >stdout.tmp 2>error & }
began() {
    for _ in $(seq 2000); do
        ls x.gguf.*.tmp >/dev/null 2>&1 && return
        sleep 0.01
    done
    echo "WRONG: no temporary file"
}
ended() {
    local status=0
    wait $! || status=$?
    echo "status $status"
    # a truncated file is noticed while it is read or, on a slow machine, when the calibration opens it
    sed -E "s/^qasr: (a model file can no longer be read: it was truncated while in use, .*|'model-00002-of-00002.safetensors' is cut short: .*)/qasr: (truncated)/" error
    cat stdout.tmp
    rm error stdout.tmp
    ls
}
echo "truncated input"
slow
began
truncate -s 4096 m/model-00002-of-00002.safetensors
ended
cat good >m/model-00002-of-00002.safetensors
echo "SIGTERM"
slow
began
kill -TERM $!
ended
echo "two runs"
slow
began
"$QASR" quantize -i m -o x.gguf -q
cp x.gguf first.gguf
ended
cmp x.gguf first.gguf
