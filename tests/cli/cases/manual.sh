# Pages have every option, and groff, if installed, prints no warnings.
"$QASR" help --man info | sed 's/^\(highest CPU level.*:\) .*/\1 .../' # the levels are those of the architecture
for command in '' transcribe quantize calibrate advise info devices bench eval score pull models help; do
    "$QASR" help --man $command >page
    if command -v groff >/dev/null; then groff -man -ww -z -Tutf8 page 2>&1; fi
    [ -z "$command" ] && continue
    for option in $("$QASR" help $command | grep -o '^ *\(-[a-zA-Z],\)\? *--[a-z0-9-]*' | grep -o '\--[a-z0-9-]*'); do
        grep -qF -- "$(sed 's/-/\\-/g' <<<"$option")\\fR" page || echo "$command: $option is missing"
    done
done
"$QASR" help --man trancsribe
"$QASR" help info quantize
