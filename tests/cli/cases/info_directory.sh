"$QASR" info "$DEMO"
