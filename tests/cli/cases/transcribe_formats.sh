# Snapshots of every format, for one file and for several. Only the timings in json depend on the machine.
ln -s "$DATA"/golden/clips/*.flac "$DEMO"/eval/long/*.flac .
t() { "$QASR" transcribe --quiet --model "$DEMO" "$@"; }
long="--segment 14 en-long-45s.flac"
for format in srt vtt lrc tsv csv txt jsonl; do
    echo "--- $format"
    t $long --format $format
done
echo "--- subtitle limits"
t $long --format srt --max-line-width 24 --max-lines 1 --max-line-seconds 2 | head -n 12
for format in tsv csv txt jsonl; do
    echo "--- two files, one fails: $format"
    t ru-000.flac missing.wav en-000.flac --format $format 2>&1
done
echo "--- several files, names with characters special to a format"
mkdir -p 'in/a "b", c'
cp "$DATA/golden/clips/en-000.flac" 'in/a "b", c/x	y.flac'
t in --recursive --format csv,tsv,srt,vtt,lrc,json,jsonl,txt --output-dir out
(cd out && find . -type f | LC_ALL=C sort)
cat out/*/*.csv out/*/*.tsv out/*/*.txt
echo "--- a short sentence in noise is shown for a second"
t "$DEMO/eval/hard/en-hard-002.flac" --format srt |
    "$PYTHON" -c 'import re, sys; begin, end = re.findall(r"\d\d,\d{3}", sys.stdin.read())[:2]; print(int(end.replace(",", "")) - int(begin.replace(",", "")))'
echo "--- format from the extension"
t "$DATA/golden/clips/en-000.flac" --output a.SRT
head -n 2 a.SRT
# the same bytes for any threads and batch
for options in "--threads 1 --batch 1" "--threads 2 --batch 3" "--threads 3"; do
    t $long --format srt,vtt,lrc,tsv,csv,txt,jsonl $options --output-dir many
    [ -e first ] || cp -r many first
    diff -r many first
    rm -r many
done
ls first | wc -l
