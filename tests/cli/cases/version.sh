"$QASR" --version
"$QASR" -V
