# Needs pull.
# Usage errors, and destinations that are in use.
p() { must_fail "$1" "$QASR" pull "${@:2}"; }
p 2
p 2 0.6b 1.7b
p 2 0.6c
p 2 frobnicate
p 2 ../x
p 2 a/b/c
p 2 Org/..
p 2 Org/.hidden
p 2 "Org/a b"
p 2 Org/Name@
p 2 Org/Name@../x
p 2 Org/Name --layout hf
p 2 0.6b --layout gguf
p 2 0.6b --quantize q3
p 2 0.6b --connections 0
p 2 0.6b --connections 33
p 2 0.6b --sha256 model.safetensors
p 2 0.6b --sha256 model.safetensors=123
p 2 0.6b --dir ''
p 1 0.6b --endpoint ftp://example.org
p 1 0.6b --endpoint http://
p 1 0.6b --endpoint 'http://user@example.org'
HF_ENDPOINT=nowhere p 1 0.6b
HF_TOKEN='a b' p 1 0.6b
p 1 0.6b --endpoint http://127.0.0.1:1 | sed 's/main.: .*/main: why/'
HF_TOKEN=secret p 1 0.6b --endpoint http://hub.invalid | sed 's/main.: .*/main: why/'
must_fail 1 env -u XDG_CACHE_HOME -u HOME "$QASR" pull 0.6b
echo "-- destinations"
hub
mkdir taken empty
touch taken/precious file
pull 0.6b --dir taken
pull 0.6b --dir file
pull 0.6b --dir file/below
pull 0.6b --dir missing/
same_as_demo missing
(cd empty && "$QASR" pull 0.6b --dir . --quiet)
same_as_demo empty
pull 1.7b --dir empty
pull 0.6b@other --dir empty
pull 0.6b@0123456789abcdef0123456789abcdef01234567 --dir empty --quiet
echo "-- not on the hub"
pull 1.7b
pull 0.6b@none
ls cache 2>/dev/null
