# The text does not depend on where the weights are. Whether they can be locked depends on the machine.
clip=$DATA/golden/clips/en-000.flac
for options in "" --no-mmap --mlock "--no-mmap --mlock --timings"; do
    "$QASR" transcribe --model "$DEMO" "$clip" $options 2>stderr.tmp
    sed '/^qasr: warning: the weights are not locked in memory: /d; s/load .*/load .../' stderr.tmp
done
must_fail 2 "$QASR" bench --limits --mlock
must_fail 2 "$QASR" bench --limits --no-mmap
"$QASR" bench --model "$DEMO" --seconds 1 --tokens 2 --repeat 1 --variants fp --mlock --no-mmap 2>stderr.tmp | grep -c '^| fp |'
