# Weights in memory: the same text; locking beyond the limit warns and goes on.
clip=$DATA/golden/clips/en-000.flac
for options in "" --no-mmap "--no-mmap --timings"; do
    "$QASR" transcribe --model "$DEMO" "$clip" $options 2>stderr.tmp
    sed 's/load .*/load .../' stderr.tmp
done
# without the right of root to lock what it likes
limited() {
    python3 -c 'import ctypes, os, resource, sys
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
if os.geteuid() == 0:
    ctypes.CDLL(None).prctl(24, 14, 0, 0, 0)  # PR_CAPBSET_DROP, CAP_IPC_LOCK
os.execvp(sys.argv[2], sys.argv[2:])' "$@"
}
limited 102400 "$QASR" transcribe --model "$DEMO" "$clip" --mlock --no-mmap 2>&1
must_fail 2 "$QASR" bench --limits --mlock
limited 102400 "$QASR" bench --model "$DEMO" --seconds 1 --tokens 2 --repeat 1 --variants fp --mlock --no-mmap --output bench.md 2>&1 | sort -u
grep -c '^| fp |' bench.md
