# Files, folders, patterns and lists; existing results; a file that fails does not stop the others.
clips=$DATA/golden/clips
t() { "$QASR" transcribe --model "$DEMO" "$@"; echo "status $?"; }
hide_numbers() { sed -E 's/[0-9.]+ s of audio in [0-9.]+ s, [0-9.]+x/A s of audio in B s, Cx/; s/: [0-9.]+ s, [0-9.]+x$/: A s, Bx/'; }
mkdir -p in/below/deep
cp "$clips/en-000.flac" in/b.flac
cp "$clips/ru-000.flac" in/a.flac
cp "$clips/ru-001.flac" in/below/deep/c.flac
touch in/notes.txt in/README in/cover.JPG in/old.txt in/.hidden.wav in/.hidden in/...wav
ln -s gone.wav in/broken.ogg
mkfifo in/pipe.ogg # must not block
ln -s pipe.ogg in/to-pipe.ogg
ln -s ../below in/below/deep/loop # must not be followed endlessly
echo "--- a folder"
t in 2>&1 | hide_numbers
echo "--- and its subfolders"
t in --recursive --quiet
echo "--- a pattern, and a pattern without matches"
t 'in/[ab].flac' 'in/*.wav' 2>&1 | hide_numbers
echo "--- names with control characters"
mkdir strange
cp "$clips/en-000.flac" "$(printf 'strange/a\033[2J\nb.flac')"
cp "$clips/ru-000.flac" strange/c.flac
t strange --timings 2>&1 | hide_numbers | sed 's/: audio .*/: audio/'
echo "--- lists"
printf 'in/b.flac\r\n\nin/below/deep/c.flac\n' >list.txt
t --list list.txt --quiet
echo in/b.flac | t --list - --quiet
t --list missing.txt
echo "--- results in a folder, with subfolders"
t in --recursive --output-dir out/new --format txt,srt 2>&1 | hide_numbers
(cd out/new && find . -type f | LC_ALL=C sort)
echo "--- existing results are skipped"
rm out/new/below/deep/c.srt
echo mine >out/new/a.txt
t in --recursive --output-dir out/new --format txt,srt --skip-existing 2>&1 | hide_numbers
cat out/new/a.txt out/new/below/deep/c.txt
t in --recursive --output-dir out/new --format txt,srt --resume 2>&1 | hide_numbers
echo "--- colliding names, before any work"
mkdir -p x/1 x/2
cp in/a.flac x/1/same.flac
cp in/b.flac x/2/same.flac
t x/1/same.flac x/2/same.flac --output-dir clash
t x/1 x/2 --output-dir clash
t x/1 x/1/same.flac --output-dir clash
t x --recursive --output-dir clash --quiet
(cd clash && find . -type f | LC_ALL=C sort)
cp in/a.flac x/1/same.wav
t x/1 --output-dir new/clash
t x --recursive --output-dir new/clash
(cd x/1 && t same.flac same.wav --output-dir ../../new/clash)
[ ! -e new ] || echo "WRONG: a folder is left"
cp in/a.flac raw.txt
t raw.txt --raw s16le:16000:1 --output-dir .
cmp raw.txt in/a.flac
touch file
t in/a.flac --output-dir file/below
echo "--- exit status: some, all, none"
t missing.wav in/a.flac --output-dir some 2>&1 | hide_numbers
t missing.wav in/none-* in/below 2>&1 | hide_numbers
t empty-name ''
mkdir locked
t locked
