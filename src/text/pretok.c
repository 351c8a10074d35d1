/* Text in; NFC text (normal.c) and its words out.
 *
 * The split is the Qwen2 regular expression, run by PCRE2. White space is spelled out because PCRE2's \s includes
 * U+180E, which Unicode (and the reference) no longer counts. No alternative nests repetitions, so a match takes a
 * number of steps linear in the text it consumes. The expression never reaches the match limit below; the limit turns
 * excessive backtracking in another PCRE2 version into an error. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pretok.h"

#include <pcre2.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "text/normal.h"
#include "text/text.h"
#include "text/utf8.h"

static bool is_ascii(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] >= 0x80)
            return false;
    return true;
}

qasr_status pretok_normalize(buf *out, const char *text, size_t len, qasr_error *err)
{
    if (is_ascii(text, len)) /* already NFC; the common case */
        return buf_add(out, text, len, err);
    code_points c = { 0 };
    qasr_status status = normal_text(&c, text, len, NORMAL_C, err);
    for (size_t i = 0; i < c.n && status == QASR_OK; i++)
        status = utf8_add(out, (uint32_t)c.cp[i], err);
    code_points_free(&c);
    return status;
}

/* ---- split -------------------------------------------------------------------------------- */

#define WS "\\t-\\r\\x{85}\\p{Z}"
#define WORD_PATTERN                                                                                                   \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)"                                                                                     \
    "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"                                                                                   \
    "|\\p{N}"                                                                                                          \
    "| ?[^" WS "\\p{L}\\p{N}]+[\\r\\n]*"                                                                               \
    "|[" WS "]*[\\r\\n]+"                                                                                              \
    "|[" WS "]+(?![^" WS "])"                                                                                          \
    "|[" WS "]+"

enum { MATCH_STEPS_PER_BYTE = 16, MATCH_STEPS_MIN = 1000 };

struct pretok {
    pcre2_general_context *memory; /* PCRE2 allocates through base/mem.h */
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
    p->code = pcre2_compile((PCRE2_SPTR)WORD_PATTERN, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED,
                            &code, &offset, context);
    pcre2_compile_context_free(context);
    if (!p->code) {
        char text[128] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
        return error_set(err, code == PCRE2_ERROR_HEAP_FAILED ? QASR_E_NOMEM : QASR_E_UNSUPPORTED,
                         "cannot compile the word pattern: %s", text);
    }
    pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE); /* without JIT the interpreter gives the same results, slower */
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

static qasr_status split(const pretok *p, pcre2_match_data *data, pcre2_match_context *context, const char *text,
                         size_t len, pretok_fn fn, void *arg, qasr_error *err)
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

/* Match data and context are per call, so threads can share a pretok. */
qasr_status pretok_split(const pretok *p, const char *text, size_t len, pretok_fn fn, void *arg, qasr_error *err)
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

const char *text_pcre2_version(void)
{
    static char text[64]; /* such as "10.42 2022-12-11"; concurrent calls write the same bytes */
    return pcre2_config(PCRE2_CONFIG_VERSION, NULL) <= (int)sizeof text && pcre2_config(PCRE2_CONFIG_VERSION, text) > 0
               ? text
               : "unknown";
}
