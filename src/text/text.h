/* Text: tokenizer (bpe.c, pretok.c), languages (lang.c), chat template (prompt.c), parsing (answer.c) and scoring
 * (score.c) of answers. */
#ifndef QASR_TEXT_TEXT_H
#define QASR_TEXT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "qasr/qasr_tools.h"

enum { TEXT_MAX_BYTES = 64 << 20 }; /* limit for an answer, and for the whole text of a clip */

/* Versions of the libraries for Unicode (normal.c) and regular expressions (pretok.c). */
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

/* The same from lists of strings in another file (GGUF metadata). Tokens are in the byte alphabet, as in vocab.json;
 * merges are "left right". */
typedef struct token_lists {
    const char *path; /* path of that file, for messages */
    /* Returns the string at *pos of a list and advances; *pos starts at 0. False at the end. */
    bool (*next)(const void *list, uint64_t *pos, const char **s, size_t *len);
    const void *tokens, *merges;
    uint64_t n_tokens, n_merges;
    uint64_t tokens_bytes, merges_bytes; /* upper bounds for the total length of each list's strings */
    const unsigned char
        *types; /* [n_tokens] int32, unaligned: 1 normal, 3 control, 4 user defined, 5 unused; or NULL */
} token_lists;
/* Added tokens have type 3 (special, except <asr_text>) or 4, or are neither a byte nor the result of a merge (special
 * if there are no types and they look like <|...|>). Unused rows (type 5, <|unused_N|>, [PADn]) have no token. Errors:
 * FORMAT (as above, or lists of the wrong length), UNSUPPORTED, NOMEM. */
qasr_status tokenizer_open_lists(tokenizer **out, const token_lists *lists, qasr_error *err);
void tokenizer_free(tokenizer *t);
/* Highest id with a token (base or added), plus 1. */
size_t tokenizer_size(const tokenizer *t);
/* Id of an added token by its exact content ("<asr_text>"), -1 if there is none. */
int32_t tokenizer_added_id(const tokenizer *t, const char *content);
/* Appends the ids of text (NFC, split, BPE). Added tokens are recognised only if trusted: user text must never form
 * them. Malformed UTF-8 is read as U+FFFD. Read-only: any number of threads may share a tokenizer. */
qasr_status tokenizer_encode(const tokenizer *t, const char *text, size_t len, bool trusted, token_ids *out,
                             qasr_error *err);
/* Appends the text of ids. Ids without a token, and special ones with skip_special, give nothing. Malformed UTF-8
 * becomes U+FFFD (one per maximal invalid part, as in Python). */
qasr_status tokenizer_decode(const tokenizer *t, const int32_t *ids, size_t n, bool skip_special, buf *out,
                             qasr_error *err);

/* ---- tokenizer: its contents as text, for export (vocab_text.c) ------------------------------------- */
typedef enum tokenizer_kind {
    TOKENIZER_NO_TOKEN, /* no token has this id */
    TOKENIZER_NORMAL,   /* from vocab.json, or an added token that is not special */
    TOKENIZER_SPECIAL
} tokenizer_kind;
/* Called with each token or merge; the text is valid during the call. An error ends the iteration. */
typedef qasr_status (*tokenizer_text_fn)(void *arg, const char *text, size_t len, qasr_error *err);
tokenizer_kind tokenizer_kind_of(const tokenizer *t, int32_t id); /* any id */
/* The tokens of ids 0 to tokenizer_size - 1: in vocab.json's byte alphabet, added ones literally, "" for NO_TOKEN. */
qasr_status tokenizer_each_token(const tokenizer *t, tokenizer_text_fn fn, void *arg, qasr_error *err);
size_t tokenizer_merge_count(const tokenizer *t);
/* "LEFT RIGHT", in the format and order of merges.txt. Errors of both: those of fn, NOMEM. */
qasr_status tokenizer_each_merge(const tokenizer *t, tokenizer_text_fn fn, void *arg, qasr_error *err);

/* Decodes token by token for streaming output: writes complete characters only and keeps an incomplete tail. */
typedef struct text_stream {
    unsigned char tail[4];
    size_t n_tail;
} text_stream;
qasr_status text_stream_add(text_stream *s, const tokenizer *t, int32_t id, buf *out, qasr_error *err);
/* Ends the text. The tail becomes U+FFFD, unless the sequence was stopped in the middle of a character (cut): then the
 * text ends before it. */
qasr_status text_stream_end(text_stream *s, bool cut, buf *out, qasr_error *err);

/* ---- languages ---- */
typedef struct language {
    const char *name, *code;
} language;
size_t lang_count(void);
const language *lang_at(size_t index);
/* The language that text stands for, whatever its case, accents and surrounding white space: its name in English or in
 * the language itself, a code of ISO 639, a tag of BCP 47, a locale. NULL: none of the model's, or not certain. */
const language *lang_find(const char *text);
/* Both stand for the same language, which need not be one of the model's. */
bool lang_same(const char *a, const char *b);
/* text is a name that lang_find knows, or has the form of a code or tag. */
bool lang_is_named(const char *text);
/* The language with the name closest to text (edit distance at most 2); NULL if none is. */
const language *lang_nearest(const char *text);

/* ---- prompt: chat template -------------------------------------------------------------------------- */
typedef struct prompt {
    token_ids ids;      /* whole prompt, including audio placeholders */
    size_t audio_begin; /* index of the first placeholder */
    size_t n_audio;
} prompt;
void prompt_free(prompt *p);
/* language: canonical name to force, or NULL. context: any text, or NULL. The tokenizer must have <|im_start|>
 * <|im_end|> <|audio_start|> <|audio_end|> <|audio_pad|> (and <asr_text> with a language). */
qasr_status prompt_build(prompt *p, const tokenizer *t, const char *context, const char *language, size_t n_audio,
                         qasr_error *err);

/* ---- answer ---- */
/* The reference's fix_repetitions with threshold 20, on code points. */
qasr_status answer_fix_repetitions(buf *out, const char *text, size_t len, qasr_error *err);
/* The reference's parse_asr_output: raw decoded text (special tokens skipped) -> language ("" if none) and text, both
 * appended to empty bufs. forced: canonical language name, or NULL. */
qasr_status answer_parse(buf *lang, buf *text, const char *raw, const char *forced, qasr_error *err);
/* True if the generated ids are in a loop: there are at least 128, and the last 96 have at most 6 different ids, or are
 * copies of a pattern of up to 16, or the last 6 p are 6 copies of a longer pattern, p = 17..64. */
bool answer_is_loop(const int32_t *ids, size_t n);
/* Appends a segment's text to the joined text, with one space between unless one of the neighbours is a space or
 * full-width punctuation, or both are CJK; or a segment's language to the joined list ("Chinese,English", no
 * consecutive repeats). Quotes, dashes and ellipses that CJK shares with Latin count as the character before them: the
 * decision depends on the last ANSWER_TAIL_BYTES of the joined text and on the first character of the segment. */
enum { ANSWER_TAIL_MARKS = 3, ANSWER_TAIL_BYTES = 4 * (ANSWER_TAIL_MARKS + 1) };
qasr_status answer_join_text(buf *joined, const char *segment, qasr_error *err);
qasr_status answer_join_language(buf *joined, const char *segment, qasr_error *err);

/* ---- words ---- */
/* Finds the next word at or after *end: [*begin, *end) of text [len]; false at the end of the text. *end starts at 0.
 * Words are separated by white space. Each character of Han, Kana and similar scripts is a word, together with
 * closing punctuation after it and opening punctuation before it. */
bool text_next_word(const char *text, size_t len, size_t *begin, size_t *end);
size_t text_count_words(const char *text);
/* Syllables that it takes to say the text, estimated alike for all languages: one for each character of Han, Kana,
 * Hangul, and for each digit, and 0.4 for any other letter. */
double text_estimate_syllables(const char *text);

/* ---- scoring ---------------------------------------------------------------------------------------- */
/* Implements qasr_score_text. out->struct_size is not touched; out changes on success only. */
qasr_status score_text(qasr_score *out, const char *reference, const char *text, qasr_error *err);

#endif
