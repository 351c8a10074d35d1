"$QASR" --help
"$QASR" help transcribe | sed 's/^\(QASR_CPU=LEVEL.*:\) .*/\1 .../' # the levels are those of the architecture
"$QASR" quantize --help
"$QASR" info -h
"$QASR" help bench
"$QASR" help calibrate
"$QASR" help eval
"$QASR" help score
"$QASR" help devices
"$QASR" help advise
