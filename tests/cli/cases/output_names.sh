# Names as long as the system takes them, what a replaced file keeps, and places that cannot be written, noticed before any work.
t() { "$QASR" transcribe --model "$DEMO" "$@"; }
clip=$DEMO/samples/en.flac
t $clip >wanted
long=$(printf 'n%.0s' $(seq 251)).txt
t $clip -o $long
cmp $long wanted
russian=$(printf 'я%.0s' $(seq 125)).txt # 254 bytes
t $clip -o $russian
cmp $russian wanted
t $clip -o ${long%.txt}.nnn
rm ${long%.txt}.nnn
ln $clip "${long%.txt}.ogg"
t "${long%.txt}.ogg" --output-dir out --format txt,srt
cmp out/$long wanted
must_fail 1 "$QASR" transcribe --model "$DEMO" $clip -o n$long | sed "s/$long/LONG/"
t $clip --dump-tensors "${long%.txt}.ten" | cmp - wanted
rm "${long%.txt}.ten"
echo "-- a path as long as possible, to a short name"
deep=$PWD
folder=$(printf 'd%.0s' $(seq 200))
while [ ${#deep} -lt 3800 ]; do deep=$deep/$folder; done
deep=$deep/$(printf 'd%.0s' $(seq $((4095 - 4 - ${#deep}))))
mkdir -p "$deep"
t $clip -o "$deep/ab" # with the zero byte 4096
cmp "$deep/ab" wanted
ls -A "$deep"
echo "-- mode and owner"
mode() { stat -c %a "$1" 2>/dev/null || stat -f %Lp "$1"; }
for mode in 600 640 664 444; do
    [ $mode != 444 ] || [ "$(id -u)" = 0 ] || { echo 444; continue; } # refused, except to root
    echo old >kept.txt
    chmod $mode kept.txt
    t $clip -o kept.txt
    cmp kept.txt wanted
    mode kept.txt
    rm -f kept.txt
done
(umask 027 && t $clip -o new.txt && mode new.txt)
if [ "$(id -u)" = 0 ]; then
    echo old >kept.txt
    chown 12:34 kept.txt
    t $clip -o kept.txt
    "$PYTHON" -c 'import os; s = os.stat("kept.txt"); assert (s.st_uid, s.st_gid) == (12, 34), s'
fi
echo "-- links"
ln -s later.txt dangling.txt
t $clip -o dangling.txt
[ -L dangling.txt ] && cmp later.txt wanted
ln -s loop.txt loop.txt
must_fail 1 "$QASR" transcribe --model "$DEMO" $clip -o loop.txt
echo "-- before any work"
mkdir -p taken/en.txt
must_fail 1 "$QASR" transcribe --model . $clip -o taken/en.txt # before the model is missed
must_fail 1 "$QASR" transcribe --model "$DEMO" $clip --output-dir taken
must_fail 1 "$QASR" transcribe --model "$DEMO" $clip --output-dir /dev/null
must_fail 1 "$QASR" transcribe --model "$DEMO" $clip --dump-tensors missing/x
if [ -d /proc/self ]; then # permissions that do not tell
    must_fail 1 "$QASR" transcribe --model "$DEMO" $clip --output-dir /proc | sed 's/: No.*//'
fi
