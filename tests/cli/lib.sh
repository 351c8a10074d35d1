# Sourced before every case. QASR: the program. DEMO: the demo model. CASES: the folder of the cases. LAYOUTS: a folder with the demo model in other programs'
# layouts. RECORDINGS: those of tests/tools/recordings.py. DATA: the test data. PYTHON: Python 3. TOOL: tool.py. CONVERT: convert_audio. HUB_SERVER: the server for qasr pull.
# MAKE_OUTLIERS: make_outliers.py.
# Pulled models go to cache/.

# must_fail STATUS COMMAND...: the command must exit with STATUS (may be a pattern such as [13]), print nothing on standard output
# and, apart from warnings, one line starting with "qasr: " on standard error. Prints its standard error.
must_fail() {
    local wanted=$1 status=0
    shift
    "$@" >stdout.tmp 2>stderr.tmp || status=$?
    # shellcheck disable=SC2254
    case $status in $wanted) ;; *) echo "WRONG: status $status, expected $wanted, from: $*" ;; esac
    [ ! -s stdout.tmp ] || { echo "WRONG: standard output from: $*"; cat stdout.tmp; }
    [ "$(grep -vc '^qasr: warning: ' stderr.tmp)" = 1 ] && tail -n 1 stderr.tmp | grep -q '^qasr: ' || echo "WRONG: expected one error line from: $*"
    cat stderr.tmp
    rm -f stdout.tmp stderr.tmp
}

# Makes a copy of the demo model from links, so that a case can replace single files.
demo_links() {
    mkdir "$1"
    ln -s "$DEMO"/*.json "$DEMO"/*.txt "$DEMO"/*.safetensors "$1"
}

# own FILE: replace a link by a copy of its target.
own() {
    cp -L "$1" own.tmp
    rm "$1"
    mv own.tmp "$1"
    chmod u+w "$1"
}

tool() { "$PYTHON" "$TOOL" "$@"; }

# layout FILE EDIT...: make m.gguf, an edited copy of a file of LAYOUTS, with the other file of its pair beside it.
layout() {
    local from=$LAYOUTS/$1
    shift
    rm -f m.gguf mmproj-*.gguf
    cp "$from" m.gguf
    case $from in */llama/Demo*) ln -s "$LAYOUTS/llama/mmproj-Demo-F16.gguf" mmproj-m.gguf ;; esac
    [ $# = 0 ] || tool gguf m.gguf "$@"
}

# hub OPTION...: start a server for qasr pull (tests/tools/hub_server.py) with the demo model as Qwen/Qwen3-ASR-0.6B; hub/log lists
# the requests. It runs until the case ends, or hub_end.
HUB_PID=
hub() {
    hub_end
    rm -rf hub
    mkdir hub
    "$PYTHON" "$HUB_SERVER" --repo "Qwen/Qwen3-ASR-0.6B=$DEMO" --out hub "$@" 2>hub/errors &
    HUB_PID=$!
    trap hub_end EXIT
    for _ in $(seq 300); do
        [ ! -e hub/port ] || break
        sleep 0.1
    done
    export HF_ENDPOINT=http://127.0.0.1:$(cat hub/port)
}

hub_end() {
    [ -n "$HUB_PID" ] || return 0
    kill "$HUB_PID"
    wait "$HUB_PID" 2>/dev/null
    HUB_PID=
    cat hub/errors
}

# pull ARGUMENT...: run qasr pull; print its messages, with the server's ports replaced, and its status.
pull() {
    "$QASR" pull "$@" 2>&1 | sed -E 's/127\.0\.0\.1(:|%3A)[0-9]+/127.0.0.1:PORT/g; s/[0-9.]+ MB left/N MB left/; s/next attempt in [0-9]+ s/next attempt in N s/; /^ *[0-9]+%/d'
    echo "status ${PIPESTATUS[0]}"
}

# same_as_demo DIR: check that the model files in DIR are those of the demo model.
same_as_demo() {
    local f
    for f in "$1"/*; do
        [ "${f##*/}" = qasr-pull.json ] || cmp "$f" "$DEMO/${f##*/}"
    done
    echo "$(ls "$1" | wc -l) files, unfinished pulls: $(ls -A "$(dirname "$1")" | grep -c '^[.].*partial')"
}

# log EXPRESSION: evaluate a Python expression over L, the list of the server's responses (dicts).
log() { "$PYTHON" -c 'import json, sys; L = [json.loads(l) for l in open("hub/log")]; print(eval(sys.argv[1]))' "$1"; }
