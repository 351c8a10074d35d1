# Times in seconds and with colons mean the same, in all options that take one.
t() { "$QASR" transcribe --quiet --model "$DEMO" "$@"; }
clip=$DATA/golden/clips/en-000.flac
part() { t --format tsv --start "$1" --duration "$2" "$clip" >"$3"; }
part 1 2.5 seconds
for times in '0:01 0:02.5' '00:00:01 00:00:02.50' '0:1 0:02.500' '0:0:1.0 0:0:2.5'; do
    # shellcheck disable=SC2086 # two words
    part $times colons
    cmp seconds colons
done
# Minutes may be 60 and more where no hours precede them.
for start in 90:00 1:30:00 5400; do
    t --start "$start" "$clip" 2>&1 | grep -o 'no samples after --start'
done
t --segment 0:20 "$clip" >a
t --segment 20 "$clip" | cmp a
