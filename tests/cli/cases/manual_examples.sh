# Needs quantize.
# Every example of the manual works, except those of pull, which needs a network.
mkdir bin talks
demo_links model
ln -s "$QASR" bin/qasr
cp "$DEMO/samples/en.flac" talk.flac
"$CONVERT" talk.flac talk.wav
"$CONVERT" "$DATA/golden/clips/ru-000.flac" talks/a.wav
cp talk.wav talks/b.wav
printf 'file\tlanguage\ttext\na.wav\tRussian\tслова\nb.wav\tEnglish\twords\n' >talks/refs.tsv
export PATH=$PWD/bin:$PATH QASR_MODEL=$PWD/model
for command in calibrate transcribe quantize advise info devices bench eval score models help; do
    qasr help --man $command | sed -n '/^\.SH EXAMPLES/,/^\.SH SEE/s/^\\fB\(.*\)\\fR$/\1/p' | sed 's/\\-/-/g; s/\\e/\\/g' >jobs
    while IFS= read -r job; do
        echo "\$ $job"
        bash -c "set -o pipefail; $job" >out 2>err </dev/null || { echo "WRONG: status $?"; cat err; }
    done <jobs
done
ls . model texts
