# A model file is truncated while in use: the program has opened it and waits for the rest of audio that is longer than the pipe
# buffer.
cp "$LAYOUTS/stt-bf16.gguf" good.gguf
tool wav clip.wav 60000
mkfifo sound
cut_during() {
    cp good.gguf m.gguf
    "$QASR" transcribe --max-new-tokens 2 --model m.gguf "$@" - <sound >text 2>error &
    exec 3>sound
    head -c 100000 clip.wav >&3
    truncate -s 4096 m.gguf
    tail -c +100001 clip.wav >&3
    exec 3>&-
    wait $!
    echo "status $?, $(wc -l <text) lines of text"
    sed '/^qasr: warning: /d' error
}
cut_during
cut_during --no-mmap
