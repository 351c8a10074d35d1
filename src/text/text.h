/* Text: tokenizer (bpe.c, pretok.c), languages (lang.c), chat template (prompt.c), what the model's answer means
 * (answer.c), and how good it is (score.c). */
#ifndef QASR_TEXT_TEXT_H
#define QASR_TEXT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "qasr/qasr_tools.h"

enum { TEXT_MAX_BYTES = 64 << 20 }; /* of an answer, and of all the text of a clip */

/* Of the libraries that know Unicode (normal.c) and regular expressions (pretok.c). */
const char *text_utf8proc_version(void);
const char *text_pcre2_version(void);

/* ---- tokenizer: byte-level BPE with the Qwen2 split ---- */
typedef struct tokenizer tokenizer;

typedef struct token_ids { /* growable list of ids */
    int32_t *ids;
    size_t n, cap;
} token_ids;
void token_ids_free(token_ids *t);
qasr_status token_ids_add(token_ids *t, int32_t id, qasr_error *err);

/* Loads vocab.json, merges.txt and tokenizer_config.json (added tokens) from a model directory.
 * Errors: IO, FORMAT (malformed, ids out of range or used twice, merge of unknown tokens), NOMEM. */
qasr_status tokenizer_open_dir(tokenizer **out, const char *dir, qasr_error *err);

/* The same in lists of strings that another file holds (the metadata of a GGUF file). Tokens are in the byte alphabet,
 * like those of vocab.json; merges are "left right". */
typedef struct token_lists {
    const char *path; /* of that file, for messages */
    /* Gives the string at *pos of a list and moves on; *pos starts at 0, false at the end. */
    bool (*next)(const void *list, uint64_t *pos, const char **s, size_t *len);
    const void *tokens, *merges;
    uint64_t n_tokens, n_merges;
    uint64_t tokens_bytes, merges_bytes; /* at least what the strings of a list take together */
    const unsigned char
        *types; /* [n_tokens] int32, 4 bytes each: 1 normal, 3 control, 4 user defined, 5 unused; or NULL */
} token_lists;
/* Added tokens are those of types 3 (special, but for <asr_text>) and 4, and others that are no byte and that no merge
 * makes (special if there are no types and they read <|...|>). Unused rows (type 5, <|unused_N|>, [PADn]) have no
 * token. Errors: FORMAT (as above, and lists of the wrong length), UNSUPPORTED, NOMEM. */
qasr_status tokenizer_open_lists(tokenizer **out, const token_lists *lists, qasr_error *err);
void tokenizer_free(tokenizer *t);
/* Number of ids with a token (base + added); highest id + 1. */
size_t tokenizer_size(const tokenizer *t);
/* Id of an added token by its exact content ("<asr_text>"), -1 if there is none. */
int32_t tokenizer_added_id(const tokenizer *t, const char *content);
/* Appends the ids of text (NFC, split, BPE). Added tokens are recognised only when trusted is set: user
 * text must never be able to form them. Malformed UTF-8 is read as U+FFFD. One call at a time per
 * tokenizer is NOT required: read-only, any number of threads. */
qasr_status tokenizer_encode(const tokenizer *t, const char *text, size_t len, bool trusted, token_ids *out,
                             qasr_error *err);
/* Appends the text of ids; ids flagged special and ids without a token give nothing when skip_special,
 * else their content. Malformed UTF-8 becomes U+FFFD (one per maximal invalid part, as Python does). */
qasr_status tokenizer_decode(const tokenizer *t, const int32_t *ids, size_t n, bool skip_special, buf *out,
                             qasr_error *err);

/* ---- tokenizer: what its files say, for writing it down elsewhere (vocab_text.c) ---- */
typedef enum tokenizer_kind {
    TOKENIZER_NO_TOKEN, /* no token has this id */
    TOKENIZER_NORMAL,   /* of vocab.json, or an added token that is not special */
    TOKENIZER_SPECIAL
} tokenizer_kind;
/* Called with a token or merge in turn; the text lives until it returns. An error ends the walk. */
typedef qasr_status (*tokenizer_text_fn)(void *arg, const char *text, size_t len, qasr_error *err);
tokenizer_kind tokenizer_kind_of(const tokenizer *t, int32_t id); /* any id */
/* The tokens of ids 0 to tokenizer_size - 1: in the characters of vocab.json, added ones as they are, "" for NO_TOKEN.
 */
qasr_status tokenizer_each_token(const tokenizer *t, tokenizer_text_fn fn, void *arg, qasr_error *err);
size_t tokenizer_merge_count(const tokenizer *t);
/* "LEFT RIGHT", as in merges.txt and in its order. Errors of both: those of fn, NOMEM. */
qasr_status tokenizer_each_merge(const tokenizer *t, tokenizer_text_fn fn, void *arg, qasr_error *err);

/* Token by token, for printing while decoding: gives only complete characters, keeps an incomplete tail. */
typedef struct text_stream {
    unsigned char tail[4];
    size_t n_tail;
} text_stream;
qasr_status text_stream_add(text_stream *s, const tokenizer *t, int32_t id, buf *out, qasr_error *err);
qasr_status text_stream_end(text_stream *s, buf *out, qasr_error *err); /* flushes the tail as U+FFFD */

/* ---- languages ---- */
typedef struct language {
    const char *name, *code;
} language;
size_t lang_count(void);
const language *lang_at(size_t index);
/* By English name or code, ASCII case ignored, surrounding white space ignored; NULL if unknown. */
const language *lang_find(const char *name_or_code);
/* The listed name nearest to a misspelt one (edit distance at most 2), NULL if none is near. */
const language *lang_nearest(const char *text);

/* ---- prompt (spec: chat template) ---- */
typedef struct prompt {
    token_ids ids;      /* whole prompt, audio placeholders included */
    size_t audio_begin; /* index of the first placeholder */
    size_t n_audio;
} prompt;
void prompt_free(prompt *p);
/* language: canonical name to force, or NULL. context: NULL or free text. The tokenizer must have
 * <|im_start|> <|im_end|> <|audio_start|> <|audio_end|> <|audio_pad|> (and <asr_text> with a language). */
qasr_status prompt_build(prompt *p, const tokenizer *t, const char *context, const char *language, size_t n_audio,
                         qasr_error *err);

/* ---- answer ---- */
/* fix_repetitions of the reference, threshold 20, on code points. */
qasr_status answer_fix_repetitions(buf *out, const char *text, size_t len, qasr_error *err);
/* parse_asr_output of the reference: raw decoded text (special tokens skipped) -> language ("" if none) and
 * text, both appended to empty bufs. forced: canonical language name, or NULL. */
qasr_status answer_parse(buf *lang, buf *text, const char *raw, const char *forced, qasr_error *err);
/* True when the ids generated so far run in a loop: at least 128 of them, and the last 96 have at most 6
 * different ids, or the last 6 p are 6 copies of a pattern of length p = 1..16. */
bool answer_is_loop(const int32_t *ids, size_t n);
/* Appends a segment's text to the joined text, with one space between when both neighbours are non-space and
 * not both CJK; and a segment's language to the joined list ("Chinese,English", no consecutive repeats). */
qasr_status answer_join_text(buf *joined, const char *segment, qasr_error *err);
qasr_status answer_join_language(buf *joined, const char *segment, qasr_error *err);

/* ---- words ---- */
/* The word that begins at or after *end: [*begin, *end) of text [len]; false at the end of the text. *end starts at 0.
 * A word is what stands between white space; Han, Kana and the like are words of one character, with punctuation behind
 * it. */
bool text_next_word(const char *text, size_t len, size_t *begin, size_t *end);
size_t text_count_words(const char *text);

/* ---- quality ---- */
/* How far text is from a reference: qasr_score_text. out->struct_size is left as it is; out changes on success only. */
qasr_status score_text(qasr_score *out, const char *reference, const char *text, qasr_error *err);

#endif
