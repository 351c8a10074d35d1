"$QASR" --version
"$QASR" -V
"$QASR" --version --verbose | sed 's/ .*//'
"$QASR" --version --verbose | grep -c '[a-z0-9]  *[^ ]'
"$QASR" -V -v | cmp - <("$QASR" --version --verbose)
"$QASR" --verbose --version | cmp - <("$QASR" --version --verbose)
must_fail 2 "$QASR" --version --vebose
must_fail 2 "$QASR" --verbose
must_fail 2 "$QASR" -v transcribe
