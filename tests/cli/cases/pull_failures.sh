# Needs pull.
# Transient failures are retried; others give one line, and everything received is kept.
weights=model-00001-of-00002.safetensors
seconds() { # COMMAND...: print whether it takes at least $least seconds
    local start=$SECONDS
    "$@"
    echo "waited: $((SECONDS - start >= least))"
}
fresh() { rm -rf cache; hub "$@"; }
fresh --rule main status=429,retry-after=2 1 --rule config.json status=503,retry-after=date 1
least=3
seconds pull 0.6b
same_as_demo cache/qasr/models/0.6b
echo "-- truncated bodies, connections without a response"
fresh --cdn --rule "$weights" truncate=300000 6 --rule vocab.json truncate=10 2 --rule merges.txt drop 1
pull 0.6b --connections 2
same_as_demo cache/qasr/models/0.6b
echo "fetched twice: $(log "sum(e['sent'] for e in L if e['path'].split('?')[0].endswith('$weights')) - $(stat -L -c %s "$DEMO/$weights")") bytes"
echo "-- permanent failures"
fresh --rule config.json status=500 100
pull 0.6b --retries 2 | grep -v 'next attempt' # one line per failure; other files continue meanwhile
fresh --rule main status=503,retry-after=100000 1
pull 0.6b
fresh --rule config.json status=403 1
pull 0.6b
fresh --rule config.json loop 100
pull 0.6b
echo "-- corrupt data"
fresh --rule "$weights" corrupt 4
pull 0.6b --connections 1
ls -A cache/qasr/models cache/qasr/models/.0.6b.partial
grep -c '^drop' cache/qasr/models/.0.6b.partial/.qasr-pull-state
pull 0.6b
same_as_demo cache/qasr/models/0.6b
fresh --rule vocab.json corrupt 1
pull 0.6b
fresh --rule vocab.json grow 1
pull 0.6b
fresh --rule "$weights" grow 1
pull 0.6b
fresh --rule main corrupt 1
pull 0.6b
echo "-- a server without range requests"
fresh --no-ranges
pull 0.6b
same_as_demo cache/qasr/models/0.6b
echo "-- a listing without sizes and hashes"
fresh --cdn --plain-listing
pull 0.6b
same_as_demo cache/qasr/models/0.6b
grep -o '"hash": "[0-9a-f]*' cache/qasr/models/0.6b/qasr-pull.json | awk '{ print length($2) - 1 }' | sort | uniq -c
fresh --cdn --plain-listing --rule "$weights" corrupt 100
pull 0.6b
echo "-- given hashes"
hash=$(sha256sum <"$DEMO/config.json")
fresh
pull 0.6b --sha256 config.json=${hash%% *} --quiet
pull 0.6b --sha256 config.json=${hash%% *} --verify
pull 0.6b --sha256 other.json=${hash%% *}
pull 0.6b --sha256 $weights=${hash%% *}
rm -r cache
pull 0.6b --sha256 vocab.json=${hash%% *}
