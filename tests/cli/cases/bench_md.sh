# Needs quantize.
# The tables; the temporary quantized file is removed.
mkdir tmp
export TMPDIR=$PWD/tmp
"$QASR" bench --model "$DEMO" --seconds 2 --tokens 10 --repeat 1 --variants fp,q8_0+emb --batch 1,3 --warm-up 1
ls -A tmp
