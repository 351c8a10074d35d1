/* Unicode normalization with three steps of utf8proc: decompose each character, sort combining marks, compose. The sort
 * is ours: utf8proc swaps neighbours, which takes quadratic time on a long run of marks. */
#include "text/normal.h"

#include <stdbool.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "text/text.h"
#include "text/utf8.h"

enum { DECOMPOSE_MAX = 32 }; /* code points from one character: at most 18 in NFKD, fewer in NFD */

void code_points_free(code_points *c)
{
    mem_free(c->cp);
    *c = (code_points){ 0 };
}

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

qasr_status code_points_add(code_points *c, int32_t cp, qasr_error *err)
{
    TRY(code_points_reserve(c, 1, err));
    c->cp[c->n++] = cp;
    return QASR_OK;
}

static qasr_status decompose(code_points *c, uint32_t cp, normal_form form, qasr_error *err)
{
    static const int options[] = {
        [NORMAL_C] = 0, [NORMAL_KC] = UTF8PROC_COMPAT, [NORMAL_KC_FOLDED] = UTF8PROC_COMPAT | UTF8PROC_CASEFOLD
    };
    int last_boundclass = 0;
    TRY(code_points_reserve(c, DECOMPOSE_MAX, err));
    utf8proc_ssize_t n =
        utf8proc_decompose_char((utf8proc_int32_t)cp, c->cp + c->n, DECOMPOSE_MAX,
                                UTF8PROC_DECOMPOSE | UTF8PROC_STABLE | options[form], &last_boundclass);
    if (n < 0 || n > DECOMPOSE_MAX)
        return error_set(err, QASR_E_UNSUPPORTED, "cannot decompose U+%04X: %s", (unsigned)cp,
                         n < 0 ? utf8proc_errmsg(n) : "too long");
    c->n += (size_t)n;
    return QASR_OK;
}

static unsigned combining_class(int32_t cp) { return (unsigned)utf8proc_get_property(cp)->combining_class & 0xFF; }

/* Stable counting sort of a run of combining marks by class; tmp [n] is scratch. */
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

static qasr_status order_marks(int32_t *cp, size_t n, qasr_error *err)
{
    int32_t *tmp = NULL;
    for (size_t begin = 0, end; begin < n; begin = end + 1) {
        bool sorted = true;
        unsigned last = 0, now;
        for (end = begin; end < n && (now = combining_class(cp[end])) != 0; end++) {
            sorted = sorted && last <= now;
            last = now;
        }
        if (sorted)
            continue;
        if (!tmp)
            TRY(MEM_ALLOC(&tmp, n, err));
        sort_marks(cp + begin, tmp, end - begin);
    }
    mem_free(tmp);
    return QASR_OK;
}

/* Composes the decomposed text from `begin` on. */
static qasr_status compose(code_points *c, size_t begin, qasr_error *err)
{
    TRY(order_marks(c->cp + begin, c->n - begin, err));
    utf8proc_ssize_t n =
        utf8proc_normalize_utf32(c->cp + begin, (utf8proc_ssize_t)(c->n - begin), UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    if (n < 0)
        return error_set(err, QASR_E_UNSUPPORTED, "cannot compose text: %s", utf8proc_errmsg(n));
    c->n = begin + (size_t)n;
    return QASR_OK;
}

qasr_status normal_text(code_points *out, const char *text, size_t len, normal_form form, qasr_error *err)
{
    size_t begin = out->n;
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        i += utf8_read_lossy(&cp, (const unsigned char *)text + i, len - i);
        TRY(decompose(out, cp, form, err));
    }
    return out->n > begin ? compose(out, begin, err) : QASR_OK;
}

qasr_status normal_points(code_points *out, const int32_t *cp, size_t n, normal_form form, qasr_error *err)
{
    size_t begin = out->n;
    for (size_t i = 0; i < n; i++)
        TRY(decompose(out, (uint32_t)cp[i], form, err));
    return out->n > begin ? compose(out, begin, err) : QASR_OK;
}

const char *text_utf8proc_version(void) { return utf8proc_version(); }
