# Warnings as failures: the text is written all the same.
cd "$DATA/golden/clips"
t() { "$QASR" transcribe --quiet --model "$DEMO" "$@"; echo "status $?"; }
tool wav "$OLDPWD/zero.wav" 0
t en-000.flac --max-new-tokens 6
t en-000.flac --max-new-tokens 6 --strict
t en-000.flac ru-000.flac --max-new-tokens 22 --strict --output "$OLDPWD/out.txt"
cat "$OLDPWD/out.txt"
t en-000.flac --strict
cd "$OLDPWD"
t zero.wav
t zero.wav --strict --output out.txt
cat out.txt
