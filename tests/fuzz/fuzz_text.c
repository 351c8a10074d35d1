/* Text: a user's context and language, a model's answer, a transcript and its reference; with the demo model's
 * tokenizer. */
#include <stdio.h>
#include <stdlib.h>

#include "qasr/qasr_tools.h"
#include "text_checks.h"

static tokenizer *demo;

static void close_demo(void) { tokenizer_free(demo); }

static void open_demo(void)
{
    qasr_error err;
    if (tokenizer_open_dir(&demo, MODEL_DIR, &err) != QASR_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    atexit(close_demo);
}

/* The context must not form special tokens, so all placeholders belong to the audio. */
static void check_prompt(const char *context)
{
    enum { N_AUDIO = 3 };
    qasr_error err;
    prompt p = { 0 };
    const int32_t pad = tokenizer_added_id(demo, "<|audio_pad|>");
    size_t n_pads = 0;
    FUZZ_CHECK(prompt_build(&p, demo, context, "English", N_AUDIO, &err) == QASR_OK);
    for (size_t i = 0; i < p.ids.n; i++)
        n_pads += p.ids.ids[i] == pad;
    FUZZ_CHECK(n_pads == N_AUDIO && p.n_audio == N_AUDIO);
    prompt_free(&p);
}

static void check_answer(const char *text, size_t n)
{
    static const char *const forced[] = { NULL, "English" };
    qasr_error err;
    buf fixed;
    buf_init(&fixed, MAX_TEXT);
    FUZZ_CHECK(answer_fix_repetitions(&fixed, text, n, &err) == QASR_OK && fixed.len <= 3 * n);
    buf_free(&fixed);
    for (size_t i = 0; i < ARRAY_LEN(forced); i++) {
        buf lang, said;
        buf_init(&lang, MAX_TEXT);
        buf_init(&said, MAX_TEXT);
        FUZZ_CHECK(answer_parse(&lang, &said, text, forced[i], &err) == QASR_OK);
        buf_free(&lang);
        buf_free(&said);
    }
}

static void check_score(const char *reference, const char *text)
{
    qasr_error err;
    qasr_score s = QASR_SCORE_INIT;
    if (qasr_score_text(&s, reference, text, &err) != QASR_OK)
        return;
    FUZZ_CHECK(s.deletions + s.substitutions <= s.words && s.cased_right <= s.cased_words);
    FUZZ_CHECK(!s.exact || s.substitutions + s.insertions + s.deletions + s.character_errors == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!demo)
        open_demo();
    check_round_trip(demo, (const char *)data, size, false);
    check_round_trip(demo, (const char *)data, size, true);
    check_decoding(demo, data, size);
    char *text = malloc(size + 1); /* a string up to its first zero byte, another after it */
    if (!text)
        exit(1);
    memcpy(text, data, size);
    text[size] = 0;
    const char *second = text + strlen(text) + (strlen(text) < size);
    check_prompt(text);
    check_answer(text, strlen(text));
    check_score(text, second);
    lang_find(text);
    lang_nearest(text);
    free(text);
    return 0;
}
