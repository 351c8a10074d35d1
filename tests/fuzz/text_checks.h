/* Invariants of any tokenizer that opened, for any text. */
#ifndef TESTS_FUZZ_TEXT_CHECKS_H
#define TESTS_FUZZ_TEXT_CHECKS_H

#include <string.h>

#include "fuzz.h"
#include "text/pretok.h"
#include "text/text.h"

enum { MAX_TEXT = 1 << 26 };

/* Ids are in range, and decoding them returns the text in NFC. */
static inline void check_round_trip(const tokenizer *t, const char *text, size_t n, bool trusted)
{
    qasr_error err;
    token_ids ids = { 0 };
    buf back, normal;
    buf_init(&back, MAX_TEXT);
    buf_init(&normal, MAX_TEXT);
    FUZZ_CHECK(tokenizer_encode(t, text, n, trusted, &ids, &err) == QASR_OK);
    for (size_t i = 0; i < ids.n; i++)
        FUZZ_CHECK(ids.ids[i] >= 0 && (size_t)ids.ids[i] < tokenizer_size(t) &&
                   tokenizer_kind_of(t, ids.ids[i]) != TOKENIZER_NO_TOKEN);
    FUZZ_CHECK(tokenizer_decode(t, ids.ids, ids.n, false, &back, &err) == QASR_OK);
    FUZZ_CHECK(pretok_normalize(&normal, text, n, &err) == QASR_OK);
    if (!trusted) /* text inside and across added tokens is not normalized */
        FUZZ_CHECK(back.len == normal.len && memcmp(buf_str(&back), buf_str(&normal), back.len) == 0);
    buf_free(&back);
    buf_free(&normal);
    token_ids_free(&ids);
}

/* Any ids decode to text, the same one by one as all at once. */
static inline void check_decoding(const tokenizer *t, const uint8_t *data, size_t size)
{
    qasr_error err;
    text_stream stream = { 0 };
    token_ids ids = { 0 };
    buf whole, streamed;
    buf_init(&whole, MAX_TEXT);
    buf_init(&streamed, MAX_TEXT);
    for (size_t i = 0; i + 2 <= size; i += 2) {
        int16_t id; /* reaches unused ids and the ends of tokenizers of this size */
        memcpy(&id, data + i, sizeof id);
        FUZZ_CHECK(token_ids_add(&ids, id, &err) == QASR_OK);
        FUZZ_CHECK(text_stream_add(&stream, t, id, &streamed, &err) == QASR_OK);
    }
    FUZZ_CHECK(text_stream_end(&stream, false, &streamed, &err) == QASR_OK);
    FUZZ_CHECK(tokenizer_decode(t, ids.ids, ids.n, true, &whole, &err) == QASR_OK);
    FUZZ_CHECK(whole.len == streamed.len && memcmp(buf_str(&whole), buf_str(&streamed), whole.len) == 0);
    buf_free(&whole);
    buf_free(&streamed);
    token_ids_free(&ids);
}

#endif
