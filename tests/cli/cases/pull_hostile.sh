# Needs pull.
# Everything in a server's listing is checked before use.
list() { # SIBLINGS [COMMIT]: JSON
    printf '{"sha": "%s", "siblings": [%s]}' "${2-0123456789abcdef0123456789abcdef01234567}" "$1" >list.json
    must_fail 1 "$QASR" pull 0.6b
}
good='{"rfilename": "config.json", "size": '$(wc -c <"$DEMO/config.json")'}, {"rfilename": "model.safetensors", "size": 100, "lfs": {"sha256": "'$(printf %064d 1)'", "size": 100}}'
hub --listing list.json
for name in ../x ../../x /etc/passwd a/../../x a//b ./x .. a/ 'a\\b' 'a\u0001b' ''; do
    list "$good, {\"rfilename\": \"$name\", \"size\": 1}"
done
list "$good, {\"size\": 1}"
list "$good, 7"
for size in -1 1.5 '"100"' null 281474976710656 9223372036854775807; do
    list "{\"rfilename\": \"config.json\", \"size\": $size}, {\"rfilename\": \"model.safetensors\", \"size\": 1}"
done
list "${good//\"size\": 100/\"size\": 281474976710655}" | sed -E 's/[0-9.]+ MB left/N MB left/'
list "${good//0001/00xy}"
list "${good//0001/001}"
list "$good, {\"rfilename\": \"config.json\", \"size\": $(wc -c <"$DEMO/config.json")}"
list "$good" main
list ""
list '{"rfilename": "config.json", "size": 1}'
list '{"rfilename": "model.safetensors", "size": 1}'
list '{"rfilename": "config.json", "size": 1}, {"rfilename": "model-00001-of- 0002.safetensors", "size": 1}, {"rfilename": "pytorch_model.bin", "size": 1}'
t() { printf "$1" >list.json; must_fail 1 "$QASR" pull 0.6b; }
t ''
t '[]'
t '{"siblings": {}}'
t '{"siblings": ['
t 'x\0y'
head -c 17000000 /dev/zero | tr '\0' ' ' >list.json
must_fail 1 "$QASR" pull 0.6b
find . -name '*passwd*' -o -name x
ls -A cache/qasr/models 2>/dev/null
