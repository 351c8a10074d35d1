# Invalid tables are refused with the line number before a model is opened; so are outputs that would overwrite them.
fails() { must_fail 1 "$QASR" eval --model "$DEMO" --data "$@"; }
table() { printf "$1" >refs.tsv; }
cp "$DEMO/samples/ru.flac" "$DEMO/samples/en.flac" .
fails missing.tsv
fails .
table '';                                            fails refs.tsv
table '\n\n';                                        fails refs.tsv
table 'ru.flac\tRussian\tx\n';                       fails refs.tsv
table 'file\ttext\nru.flac\tx\n';                    fails refs.tsv
table 'file\tlanguage\ttext\n';                      fails refs.tsv
table 'file\tlanguage\ttext\n\nru.flac\tRussian\n';  fails refs.tsv
table 'file\tlanguage\ttext\nru.flac Russian x\n';   fails refs.tsv
table 'file\tlanguage\ttext\nru.flac\ta\tb\tc\n';    fails refs.tsv
table 'file\tlanguage\ttext\n\tRussian\tx\n';        fails refs.tsv
table 'file\tlanguage\ttext\nru.flac\tx\t\xd0\n';    fails refs.tsv
table 'file\tlanguage\ttext\nru.flac\tx\t\000y\n';   fails refs.tsv
table 'file\tlanguage\ttext\nru.flac\tx\ty\nen.flac\tx\ty\nru.flac\tx\ty\n'; fails refs.tsv
table 'file\tlanguage\ttext\nru.flac\tx\ty\nno\033.flac\tx\ty\n'; fails refs.tsv
table 'file\tlanguage\ttext\nru.flac\tx\ty\n'
fails refs.tsv --exclude '*'
fails refs.tsv --output refs.tsv
fails refs.tsv --details refs.tsv --resume
fails refs.tsv --output no/where
fails refs.tsv --details no/where
fails refs.tsv --audio-root no
fails refs.tsv --decoder-gguf no.gguf
fails refs.tsv --baseline no
printf 'not audio' >bad.flac
table 'file\tlanguage\ttext\nru.flac\tRussian\tx\nbad.flac\tRussian\tx\n'
fails refs.tsv
must_fail 2 "$QASR" eval --data x
must_fail 2 "$QASR" eval --model x
must_fail 2 "$QASR" eval --model x --data y --resume
must_fail 2 "$QASR" eval --model x --data y --baseline-precision f32
must_fail 2 "$QASR" eval --model x --data y --decoder-gguf z --decoder-weights safetensors
must_fail 2 "$QASR" eval --model x --data y --limit 0
# a valid table: \r\n, a byte order mark, more columns in another order, no final newline; a clip without language
printf '\xef\xbb\xbfid\ttext\tlanguage\tfile\r\n1\tКаждый вторник, сосед спит в комнате.\tru\tru.flac\r\n\r\n2\tNo.\t\ten.flac' >refs.tsv
"$QASR" eval --model "$DEMO" --data refs.tsv --format json | grep -E '"(clips|exact|language_accuracy|Russian|English)"'
