# The tables.
"$QASR" eval --model "$DEMO" --data "$DEMO/eval/clean" --limit 2 --baseline "$DEMO"
