# Bash: runs the script as the shell does and prints what it offers. Other shells: checks the syntax.
eval "$("$QASR" help --completion bash)"
offers() { # WORDS of the line, the last one unfinished
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    COMPREPLY=()
    _qasr
    echo "$*: ${COMPREPLY[*]}"
}
offers qasr tr
offers qasr transcribe --enc
offers qasr transcribe --precision ''
offers qasr transcribe -l e
offers qasr transcribe --context ''
offers qasr quantize --encoder-qtype q4
offers qasr help ca
offers qasr pull al
offers qasr pull --quantize q
offers qasr transcribe spee
for shell in zsh fish; do
    "$QASR" help --completion $shell >script
    if command -v $shell >/dev/null; then $shell -n script; fi && grep -c transcribe script | sed 's/^[1-9][0-9]*$/some/'
done
"$QASR" help --completion tcsh
"$QASR" help --completion bash info
