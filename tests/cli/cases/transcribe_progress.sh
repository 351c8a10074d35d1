# On a terminal: one line with files, seconds, speed and remaining time, erased before anything else is printed.
ln -s "$DATA"/golden/clips/*.flac "$DEMO"/eval/long/*.flac .
cat >terminal.py <<'PY'
import os, pty, re, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
seen = bytearray()
while True:
    try:
        data = os.read(fd, 65536)
    except OSError: # on Linux: the other side is closed
        break
    if not data:
        break
    seen += data
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
text = seen.decode()
bars = re.findall(r"\r\[[#.]{28}\] +(\d+)%  ([^\x1b]*)\x1b\[K", text)
for _, bar in bars:
    assert re.fullmatch(r"file [1-4]/4  \d+/50 s  \d+\.\dx(  ETA \d+:\d\d ?)?", bar), bar
percents = [int(percent) for percent, _ in bars]
assert len(bars) >= 3 and percents == sorted(percents), bars
# the final contents of the terminal: each line without erased text
for line in text.replace("\r\n", "\n").split("\n"):
    shown = line.split("\x1b[K")[-1].split("\r")[-1]
    if shown:
        print(re.sub(r"\d+\.\d s of audio in [\d.]+ s, [\d.]+x", "A s of audio in B s, Cx", shown))
print("status", status)
PY
python3 terminal.py "$QASR" transcribe --model "$DEMO" --segment 14 --batch 2 en-000.flac ru-000.flac missing.wav en-long-45s.flac 2>&1 | cut -c 1-100
python3 terminal.py "$QASR" transcribe --model "$DEMO" --quiet en-000.flac ru-000.flac 2>&1 | grep AssertionError
