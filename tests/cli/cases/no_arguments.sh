"$QASR"
