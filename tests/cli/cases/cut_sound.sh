# Truncated audio of every format, from a pipe and from a file, gives a text or one line with the error. Only other outcomes are
# printed.
tool wav clip.wav 4000
cp "$DATA/golden/clips/short-200ms.flac" clip.flac
for kind in mp3 ogg opus; do cp "$DATA/../fuzz/corpus/audio/$kind" clip.$kind; done
t() {
    local status=0
    "$@" >text 2>error || status=$?
    sed -i '/^qasr: warning: /d' error
    [ $clip != clip.mp3 ] || sed -i '/^qasr: /!d' error # libmpg123 prints messages of its own
    case "$status $(wc -l <text) $(wc -l <error) $(cut -c 1-6 error)" in
    '0 1 0 ' | '3 0 1 qasr: ') ;;
    *) echo "$cut bytes of $clip: status $status"; cat text error ;;
    esac
}
for clip in clip.*; do
    size=$(wc -c <$clip)
    for cut in 0 1 3 11 40 $((size / 4)) $((size / 2)) $((size - 1)) "$size"; do
        head -c "$cut" $clip | t "$QASR" transcribe --quiet --ffmpeg none --max-new-tokens 2 --model "$DEMO" -
        head -c "$cut" $clip >cut.${clip#*.}
        t "$QASR" transcribe --quiet --ffmpeg none --max-new-tokens 2 --model "$DEMO" cut.${clip#*.}
    done
    echo $clip
done
# Reads that fail.
must_fail 3 "$QASR" transcribe --model "$DEMO" - <.
if [ -e /proc/self/mem ]; then # every read of it fails with EIO
    demo_links m
    rm m/config.json m/tokenizer_config.json
    ln -s /proc/self/mem m/config.json
    must_fail 1 "$QASR" transcribe --model m clip.wav | grep -v "^qasr: cannot read 'm/config.json': Input/output error$"
    ln -sf "$DEMO/config.json" m/config.json
    ln -s /proc/self/mem m/tokenizer_config.json
    must_fail 1 "$QASR" transcribe --model m clip.wav | grep -v "^qasr: cannot read 'm/tokenizer_config.json': Input/output error$"
    must_fail 1 "$QASR" score --ref /proc/self/mem --hyp x | grep -v "^qasr: cannot read '/proc/self/mem': Input/output error$"
fi
true
