/* Text in; NFC text and its words out.
 *
 * NFC is done by utf8proc in three of its steps: decompose each character, put combining marks in
 * canonical order, compose. The ordering is ours: utf8proc's exchanges neighbours, which takes quadratic
 * time on a long run of marks.
 *
 * The split is the Qwen2 regular expression, run by PCRE2. White space is written out because \s of PCRE2
 * includes U+180E, which Unicode (and the reference) no longer counts. No alternative nests repetitions,
 * so each match takes a number of steps linear in the text, and what it has looked at it also takes: the
 * match limit below is never reached by that expression and is there so that an engine of another version
 * fails with an error instead of running on. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pretok.h"

#include <pcre2.h>
#include <stdint.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "text/utf8.h"

/* ---- NFC ---------------------------------------------------------------------------------- */

enum { DECOMPOSE_MAX = 32 }; /* code points that one character can become: 18 in NFKD, fewer in NFD */

typedef struct code_points {
    int32_t *cp;
    size_t n, cap;
} code_points;

static qasr_status code_points_reserve(code_points *c, size_t more, qasr_error *err)
{
    if (more <= c->cap - c->n)
        return QASR_OK;
    int32_t *grown;
    TRY(MEM_ALLOC(&grown, c->cap * 2 + more + 64, err));
    if (c->n)
        memcpy(grown, c->cp, c->n * sizeof *grown);
    mem_free(c->cp);
    c->cp = grown;
    c->cap = c->cap * 2 + more + 64;
    return QASR_OK;
}

static qasr_status decompose(code_points *c, const unsigned char *text, size_t len, qasr_error *err)
{
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        i += utf8_read_lossy(&cp, text + i, len - i);
        TRY(code_points_reserve(c, DECOMPOSE_MAX, err));
        int last_boundclass = 0;
        utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)cp, c->cp + c->n, DECOMPOSE_MAX,
                                                     UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &last_boundclass);
        if (n < 0 || n > DECOMPOSE_MAX)
            return error_set(err, QASR_E_UNSUPPORTED, "cannot decompose U+%04X: %s", (unsigned)cp,
                             n < 0 ? utf8proc_errmsg(n) : "too long");
        c->n += (size_t)n;
    }
    return QASR_OK;
}

static unsigned combining_class(int32_t cp)
{
    return (unsigned)utf8proc_get_property(cp)->combining_class & 0xFF;
}

/* Stable counting sort of a run of combining marks by class; tmp holds n. */
static void sort_marks(int32_t *mark, int32_t *tmp, size_t n)
{
    size_t place[257] = { 0 };
    for (size_t i = 0; i < n; i++)
        place[combining_class(mark[i]) + 1]++;
    for (size_t c = 0; c < 256; c++)
        place[c + 1] += place[c];
    memcpy(tmp, mark, n * sizeof *mark);
    for (size_t i = 0; i < n; i++)
        mark[place[combining_class(tmp[i])]++] = tmp[i];
}

static qasr_status order_marks(code_points *c, qasr_error *err)
{
    int32_t *tmp = NULL;
    for (size_t begin = 0, end; begin < c->n; begin = end + 1) {
        bool sorted = true;
        unsigned last = 0, now;
        for (end = begin; end < c->n && (now = combining_class(c->cp[end])) != 0; end++) {
            sorted = sorted && last <= now;
            last = now;
        }
        if (sorted)
            continue;
        if (!tmp)
            TRY(MEM_ALLOC(&tmp, c->n, err));
        sort_marks(c->cp + begin, tmp, end - begin);
    }
    mem_free(tmp);
    return QASR_OK;
}

static qasr_status normalize(buf *out, code_points *c, const char *text, size_t len, qasr_error *err)
{
    TRY(decompose(c, (const unsigned char *)text, len, err));
    TRY(order_marks(c, err));
    utf8proc_ssize_t n =
        utf8proc_normalize_utf32(c->cp, (utf8proc_ssize_t)c->n, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    if (n < 0)
        return error_set(err, QASR_E_UNSUPPORTED, "cannot compose text: %s", utf8proc_errmsg(n));
    for (utf8proc_ssize_t i = 0; i < n; i++)
        TRY(utf8_add(out, (uint32_t)c->cp[i], err));
    return QASR_OK;
}

static bool is_ascii(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] >= 0x80)
            return false;
    return true;
}

qasr_status pretok_normalize(buf *out, const char *text, size_t len, qasr_error *err)
{
    if (is_ascii(text, len)) /* already NFC, and the usual case */
        return buf_add(out, text, len, err);
    code_points c = { 0 };
    qasr_status status = normalize(out, &c, text, len, err);
    mem_free(c.cp);
    return status;
}

/* ---- split -------------------------------------------------------------------------------- */

#define WS "\\t-\\r\\x{85}\\p{Z}"
#define WORD_PATTERN                                                                                         \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)"                                                                           \
    "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"                                                                         \
    "|\\p{N}"                                                                                                \
    "| ?[^" WS "\\p{L}\\p{N}]+[\\r\\n]*"                                                                     \
    "|[" WS "]*[\\r\\n]+"                                                                                    \
    "|[" WS "]+(?![^" WS "])"                                                                                \
    "|[" WS "]+"

enum { MATCH_STEPS_PER_BYTE = 16, MATCH_STEPS_MIN = 1000 };

struct pretok {
    pcre2_general_context *memory; /* makes PCRE2 allocate through base/mem.h */
    pcre2_code *code;
};

static void *pcre_alloc(PCRE2_SIZE size, void *user)
{
    void *p = NULL;
    return mem_alloc(&p, size, 1, NULL) == QASR_OK ? p : NULL;
}

static void pcre_free(void *p, void *user) { mem_free(p); }

void pretok_free(pretok *p)
{
    if (!p)
        return;
    pcre2_code_free(p->code);
    pcre2_general_context_free(p->memory);
    mem_free(p);
}

static qasr_status compile(pretok *p, qasr_error *err)
{
    p->memory = pcre2_general_context_create(pcre_alloc, pcre_free, NULL);
    pcre2_compile_context *context = p->memory ? pcre2_compile_context_create(p->memory) : NULL;
    if (!context)
        return error_set(err, QASR_E_NOMEM, "cannot compile the word pattern: out of memory");
    int code = 0;
    PCRE2_SIZE offset = 0;
    p->code = pcre2_compile((PCRE2_SPTR)WORD_PATTERN, PCRE2_ZERO_TERMINATED,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &code, &offset, context);
    pcre2_compile_context_free(context);
    if (!p->code) {
        char text[128] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
        return error_set(err, code == PCRE2_ERROR_HEAP_FAILED ? QASR_E_NOMEM : QASR_E_UNSUPPORTED,
                         "cannot compile the word pattern: %s", text);
    }
    pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE); /* without JIT the interpreter does the same, slower */
    return QASR_OK;
}

qasr_status pretok_create(pretok **out, qasr_error *err)
{
    pretok *p;
    TRY(MEM_CALLOC(&p, 1, err));
    qasr_status status = compile(p, err);
    if (status != QASR_OK) {
        pretok_free(p);
        return status;
    }
    *out = p;
    return QASR_OK;
}

static qasr_status match_error(int code, size_t offset, qasr_error *err)
{
    char text[128] = "";
    pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
    return error_set(err, code == PCRE2_ERROR_NOMEMORY ? QASR_E_NOMEM : QASR_E_UNSUPPORTED,
                     "cannot split text into words at byte %zu: %s", offset, text);
}

static qasr_status split(const pretok *p, pcre2_match_data *data, pcre2_match_context *context,
                         const char *text, size_t len, pretok_fn fn, void *arg, qasr_error *err)
{
    for (size_t begin = 0; begin < len;) {
        int n = pcre2_match(p->code, (PCRE2_SPTR)text, len, begin, PCRE2_NO_UTF_CHECK, data, context);
        if (n < 0)
            return match_error(n, begin, err);
        size_t end = pcre2_get_ovector_pointer(data)[1];
        TRY(fn(arg, text + begin, end - begin, err));
        begin = end;
    }
    return QASR_OK;
}

/* Match data and context per call, so that one pretok serves any number of threads. */
qasr_status pretok_split(const pretok *p, const char *text, size_t len, pretok_fn fn, void *arg,
                         qasr_error *err)
{
    pcre2_match_data *data = pcre2_match_data_create(1, p->memory);
    pcre2_match_context *context = pcre2_match_context_create(p->memory);
    qasr_status status;
    if (data && context) {
        size_t steps = len > UINT32_MAX / MATCH_STEPS_PER_BYTE - MATCH_STEPS_MIN
                           ? UINT32_MAX
                           : len * MATCH_STEPS_PER_BYTE + MATCH_STEPS_MIN;
        pcre2_set_match_limit(context, (uint32_t)steps);
        status = split(p, data, context, text, len, fn, arg, err);
    } else {
        status = error_set(err, QASR_E_NOMEM, "cannot split text into words: out of memory");
    }
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
    return status;
}
