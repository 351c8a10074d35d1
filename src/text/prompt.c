/* Builds the ids of the chat template from context, language and the number of audio vectors:
 *
 *   <|im_start|>system\n{context}<|im_end|>\n
 *   <|im_start|>user\n<|audio_start|>{n_audio x <|audio_pad|>}<|audio_end|><|im_end|>\n
 *   <|im_start|>assistant\n[language {Name}<asr_text>]
 *
 * (without the line breaks after the first two lines). Words are encoded, not stored as ids, so any vocabulary works.
 * "system\n" and the context are encoded as one string, as in the reference: a newline at the start of the context
 * merges with the template's. Text in the context never becomes an added token. */
#include <string.h>

#include "text/text.h"

/* Far beyond any model's positions; bounds the list of ids. */
enum { PROMPT_AUDIO_MAX = 1 << 24 };

void prompt_free(prompt *p)
{
    token_ids_free(&p->ids);
    *p = (prompt){ 0 };
}

/* One element of the template: text to encode, or an added token. */
typedef struct part {
    const char *text, *added;
} part;

static qasr_status add_parts(token_ids *ids, const tokenizer *t, const part *parts, size_t n, qasr_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (parts[i].text) {
            TRY(tokenizer_encode(t, parts[i].text, strlen(parts[i].text), false, ids, err));
            continue;
        }
        int32_t id = tokenizer_added_id(t, parts[i].added);
        if (id < 0)
            return error_set(err, QASR_E_FORMAT,
                             "tokenizer has no added token '%s', which the prompt needs; use the tokenizer "
                             "files of the model",
                             parts[i].added);
        TRY(token_ids_add(ids, id, err));
    }
    return QASR_OK;
}

/* Repeats the placeholder that add_parts has checked and added, n times in all. */
static qasr_status repeat_last(token_ids *ids, size_t n, qasr_error *err)
{
    int32_t id = ids->ids[--ids->n];
    for (size_t i = 0; i < n; i++)
        TRY(token_ids_add(ids, id, err));
    return QASR_OK;
}

static qasr_status add_forced_language(token_ids *ids, const tokenizer *t, const char *forced, qasr_error *err)
{
    buf text;
    buf_init(&text, 256);
    qasr_status status = buf_printf(&text, err, "language %s", forced);
    const part parts[] = { { .text = buf_str(&text) }, { .added = "<asr_text>" } };
    if (status == QASR_OK)
        status = add_parts(ids, t, parts, ARRAY_LEN(parts), err);
    buf_free(&text);
    return status;
}

static qasr_status build(prompt *p, const tokenizer *t, const char *system, const char *forced, size_t n_audio,
                         qasr_error *err)
{
    const part before[] = { { .added = "<|im_start|>" },    { .text = system },
                            { .added = "<|im_end|>" },      { .text = "\n" },
                            { .added = "<|im_start|>" },    { .text = "user\n" },
                            { .added = "<|audio_start|>" }, { .added = "<|audio_pad|>" } };
    const part after[] = { { .added = "<|audio_end|>" },
                           { .added = "<|im_end|>" },
                           { .text = "\n" },
                           { .added = "<|im_start|>" },
                           { .text = "assistant\n" } };
    TRY(add_parts(&p->ids, t, before, ARRAY_LEN(before), err));
    p->audio_begin = p->ids.n - 1;
    p->n_audio = n_audio;
    TRY(repeat_last(&p->ids, n_audio, err));
    TRY(add_parts(&p->ids, t, after, ARRAY_LEN(after), err));
    return forced ? add_forced_language(&p->ids, t, forced, err) : QASR_OK;
}

qasr_status prompt_build(prompt *p, const tokenizer *t, const char *context, const char *forced, size_t n_audio,
                         qasr_error *err)
{
    *p = (prompt){ 0 };
    if (n_audio > PROMPT_AUDIO_MAX)
        return error_set(err, QASR_E_INVALID, "audio is too long: %zu tokens, expected at most %d", n_audio,
                         PROMPT_AUDIO_MAX);
    buf system;
    buf_init(&system, SIZE_MAX / 2);
    qasr_status status = buf_add_str(&system, "system\n", err);
    if (status == QASR_OK && context)
        status = buf_add_str(&system, context, err);
    if (status == QASR_OK)
        status = build(p, t, buf_str(&system), forced, n_audio, err);
    buf_free(&system);
    if (status != QASR_OK)
        prompt_free(p);
    return status;
}
