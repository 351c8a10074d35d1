"$QASR" --help
"$QASR" help transcribe
"$QASR" quantize --help
"$QASR" info -h
"$QASR" help bench
"$QASR" help calibrate
"$QASR" help eval
"$QASR" help score
"$QASR" help devices
