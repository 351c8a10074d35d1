# Files that libsndfile cannot read go to a program on PATH, without a shell. Here it is a replacement that takes ffmpeg's
# arguments; the last lines use a real ffmpeg if there is one.
t() { "$QASR" transcribe --quiet --model "$DEMO" "$@"; }
mkdir bin
cat >bin/ffmpeg <<'SH'
#!/bin/sh
echo "$*" >>"$LOG"
[ "$(head -c 4)" = TEST ] || { echo 'no TEST' >&2; exit 1; }
exec cat
SH
chmod +x bin/ffmpeg
"$CONVERT" "$DATA/golden/clips/en-000.flac" float.au
name='$(touch gone) `touch gone`; -x.m4a'
{ printf TEST; cat float.au; } >"$name"
export LOG=$PWD/log
old_path=$PATH
PATH=$PWD/bin:$PATH
t "./$name"
t -- -x.m4a "$name"
t - <"$name"
t "$name" --ffmpeg "$PWD/bin/ffmpeg" --start 1 --duration 1 >/dev/null
sort -u log
[ ! -e gone ] || echo "WRONG: a shell ran"
echo "not a sound" >bad.mp4
must_fail 3 t bad.mp4
must_fail 3 t bad.mp4 --ffmpeg none
cat >bin/mute <<'SH'
#!/bin/sh
echo "[fmt @ 0x1] Stream map '0:a:0' matches no streams." >&2
echo "To ignore this, add a trailing '?' to the map." >&2
exit 1
SH
chmod +x bin/mute
must_fail 3 t bad.mp4 --ffmpeg "$PWD/bin/mute"
must_fail 3 t bad.mp4 --ffmpeg no-such-program
must_fail 3 env PATH="$PWD" "$QASR" transcribe --quiet --model "$DEMO" bad.mp4
PATH=$old_path
if command -v ffmpeg >/dev/null; then
    ffmpeg -v error -i "$DATA/golden/clips/en-000.flac" -c:a alac lossless.m4a
    t lossless.m4a
    ffmpeg -v error -i "$DATA/golden/clips/en-000.flac" -b:a 96k lossy.m4a
    t lossy.m4a
else
    t "$DATA/golden/clips/en-000.flac" "$DATA/golden/clips/en-000.flac" | sed 's/.*: //'
fi
