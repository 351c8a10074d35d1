# Needs quantize.
# Interrupted during its runs: one line, status 1, no files or processes left.
mkdir tmp
TMPDIR=$PWD/tmp "$QASR" bench --model "$DEMO" --seconds 1 --tokens 10 --repeat 1000 --variants q8_0,q4_0+emb >out 2>err &
pid=$!
for _ in $(seq 300); do
    ls tmp/qasr-bench-*/model-q4_0+emb.gguf >/dev/null 2>&1 && break
    sleep 0.1
done
sleep 1
ls -A tmp | wc -l
kill -TERM $pid
wait $pid
echo "status $?"
cat out err
ls -A tmp
