/* See confidence.h. Words are taken from the text as the tokens wrote it. Each byte records the tokens it came from, so
 * a word's confidence is the product of their probabilities. A character written by several tokens belongs to all of
 * them. */
#include "engine/confidence.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

/* Tokens [first, last] that wrote a byte. */
typedef struct token_range {
    uint32_t first, last;
} token_range;

typedef struct written {
    buf text;         /* written by the tokens after the tag */
    buf token_ranges; /* one for each byte */
} written;

static qasr_status add_token_ranges(written *w, size_t from, token_range o, qasr_error *err)
{
    for (size_t i = from; i < w->text.len; i++)
        TRY(buf_add(&w->token_ranges, &o, sizeof o, err));
    return QASR_OK;
}

static qasr_status write_tokens(written *w, const job_options *o, const qasr_segment *p, qasr_error *err)
{
    text_stream s = { 0 };
    bool in_text = o->language != NULL;
    uint32_t first = 0; /* first token of an incomplete character */
    for (size_t i = 0; i < p->n_tokens; i++) {
        if (!in_text) {
            in_text = p->tokens[i] == o->asr_text_id;
            continue;
        }
        size_t from = w->text.len;
        first = s.n_tail == 0 ? (uint32_t)i : first;
        TRY(text_stream_add(&s, o->session->model->tokenizer, p->tokens[i], &w->text, err));
        TRY(add_token_ranges(w, from, (token_range){ first, (uint32_t)i }, err));
        first = w->text.len > from ? (uint32_t)i : first;
    }
    size_t from = w->text.len;
    TRY(text_stream_end(&s, p->stop != QASR_STOP_EOS, &w->text, err));
    return add_token_ranges(w, from, (token_range){ first, (uint32_t)(p->n_tokens - 1) }, err);
}

static float confidence(const qasr_segment *p, const written *w, size_t begin, size_t end)
{
    const token_range *o = (const token_range *)(const void *)w->token_ranges.data;
    double sum = 0;
    for (size_t i = o[begin].first; i <= o[end - 1].last; i++)
        sum += (double)p->detail->token_scores[i].log_probability;
    return (float)exp(sum);
}

/* True if the written words are those of the text; they differ if repetitions were removed. */
static bool is_same_text(const written *w, const char *text)
{
    size_t a_begin, a_end = 0, b_begin, b_end = 0, len = strlen(text);
    for (;;) {
        bool a = text_next_word(buf_str(&w->text), w->text.len, &a_begin, &a_end),
             b = text_next_word(text, len, &b_begin, &b_end);
        if (!a || !b)
            return a == b;
        if (a_end - a_begin != b_end - b_begin ||
            memcmp(buf_str(&w->text) + a_begin, text + b_begin, b_end - b_begin) != 0)
            return false;
    }
}

static qasr_status take_words(const written *w, qasr_segment *p, struct qasr_segment_detail *detail, qasr_error *err)
{
    const char *text = buf_str(&w->text);
    size_t begin, end = 0, n = text_count_words(text);
    if (n == 0 || !is_same_text(w, p->text))
        return QASR_OK;
    TRY(MEM_CALLOC(&detail->words, n, err));
    while (p->n_words < n && text_next_word(text, w->text.len, &begin, &end)) {
        char *copy;
        TRY(MEM_ALLOC(&copy, end - begin + 1, err));
        memcpy(copy, text + begin, end - begin);
        copy[end - begin] = 0;
        detail->words[p->n_words++] =
            (qasr_word){ .text = copy, .start_s = NAN, .end_s = NAN, .confidence = confidence(p, w, begin, end) };
    }
    return QASR_OK;
}

static double mean_log_probability(const qasr_segment *p)
{
    double sum = 0;
    for (size_t i = 0; i < p->n_tokens; i++)
        sum += (double)p->detail->token_scores[i].log_probability;
    return p->n_tokens ? sum / (double)p->n_tokens : NAN;
}

qasr_status confidence_fill(const job_options *o, qasr_segment *p, qasr_token_score *scores, qasr_error *err)
{
    written w;
    struct qasr_segment_detail *detail;
    qasr_status status = MEM_CALLOC(&detail, 1, err);
    if (status != QASR_OK) {
        mem_free(scores);
        return status;
    }
    detail->token_scores = scores;
    p->detail = detail;
    p->has_token_scores = 1;
    p->avg_log_probability = mean_log_probability(p);
    buf_init(&w.text, TEXT_MAX_BYTES);
    buf_init(&w.token_ranges, TEXT_MAX_BYTES * sizeof(token_range));
    TRY_GOTO(write_tokens(&w, o, p, err));
    TRY_GOTO(take_words(&w, p, detail, err));
done:
    buf_free(&w.text);
    buf_free(&w.token_ranges);
    return status;
}

void confidence_free(qasr_segment *p)
{
    if (!p->detail)
        return;
    for (size_t i = 0; i < p->n_words; i++)
        mem_free((void *)(uintptr_t)p->detail->words[i].text);
    mem_free(p->detail->words);
    mem_free(p->detail->token_scores);
    mem_free((void *)(uintptr_t)p->detail);
    p->detail = NULL;
    p->n_words = 0;
    p->has_token_scores = 0;
}
