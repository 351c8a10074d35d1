/* The three files of a tokenizer and a text, separated by zero bytes. */
#include "text_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "vocab.json", "merges.txt", "tokenizer_config.json" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const uint8_t *rest;
        size_t n_rest;
        fuzz_split(data, &size, &rest, &n_rest);
        fuzz_file(names[i], data, size);
        data = rest;
        size = n_rest;
    }
    tokenizer *t;
    qasr_error err;
    if (tokenizer_open_dir(&t, fuzz_folder(), &err) != QASR_OK)
        return 0;
    check_round_trip(t, (const char *)data, size, false);
    check_round_trip(t, (const char *)data, size, true);
    check_decoding(t, data, size);
    tokenizer_free(t);
    return 0;
}
