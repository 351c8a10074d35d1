# Read in before every case. QASR is the program, DEMO the demo model, LAYOUTS the folder with the demo model in the layouts of
# other programs, DATA the test data, TOOL tool.py, CONVERT convert_audio.

# must_fail STATUS COMMAND...: the command must end with that status (or one of a pattern, as [13]), print nothing on standard output and, but for
# warnings, one line that starts with "qasr: " on standard error. Prints its standard error.
must_fail() {
    local wanted=$1 status=0
    shift
    "$@" >stdout.tmp 2>stderr.tmp || status=$?
    # shellcheck disable=SC2254
    case $status in $wanted) ;; *) echo "WRONG: status $status, expected $wanted, of: $*" ;; esac
    [ ! -s stdout.tmp ] || { echo "WRONG: standard output of: $*"; cat stdout.tmp; }
    [ "$(grep -vc '^qasr: warning: ' stderr.tmp)" = 1 ] && tail -n 1 stderr.tmp | grep -q '^qasr: ' || echo "WRONG: not one line of error of: $*"
    cat stderr.tmp
    rm -f stdout.tmp stderr.tmp
}

# The demo model as links, so that a case can replace single files.
demo_links() {
    mkdir "$1"
    ln -s "$DEMO"/*.json "$DEMO"/*.txt "$DEMO"/*.safetensors "$1"
}

# own FILE: turn a link into a file of its own.
own() {
    cp -L "$1" own.tmp
    rm "$1"
    mv own.tmp "$1"
    chmod u+w "$1"
}

tool() { python3 "$TOOL" "$@"; }

# layout FILE EDIT...: a changed copy of a file of LAYOUTS, m.gguf; the half that goes with it beside it.
layout() {
    local from=$LAYOUTS/$1
    shift
    rm -f m.gguf mmproj-*.gguf
    cp "$from" m.gguf
    case $from in */llama/Demo*) ln -s "$LAYOUTS/llama/mmproj-Demo-F16.gguf" mmproj-m.gguf ;; esac
    [ $# = 0 ] || tool gguf m.gguf "$@"
}
