/* Compares a transcript with a reference and counts the differences (docs/evaluation.md).
 *
 * Both texts are normalized to NFKC and split into units: words, or single characters in scripts without spaces. Units
 * consist of letters, marks and numbers. Spaces end a unit. Everything else is dropped, so "it's" is one word, but
 * punctuation after a unit is kept with it. Units are compared by their case-folded form and aligned with the fewest
 * edits. Punctuation and case are compared for aligned units. */
#include <stdbool.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "text/edit.h"
#include "text/normal.h"
#include "text/text.h"
#include "text/utf8.h"

/* A range in a list of code points. */
typedef struct span {
    size_t begin, end;
} span;

typedef struct unit {
    span letters; /* in units.letters: as written */
    span key;     /* in units.keys: case-folded */
    span marks;   /* in units.marks: punctuation after it */
    bool single;  /* a character of a script without spaces */
} unit;

/* units[0] is the start of the text: it has no letters, only punctuation before the first word. */
typedef struct units {
    code_points letters, keys, marks;
    unit *units;
    size_t n, cap;
} units;

static void units_free(units *u)
{
    code_points_free(&u->letters);
    code_points_free(&u->keys);
    code_points_free(&u->marks);
    mem_free(u->units);
}

/* ---- text to units ----------------------------------------------------------------------------------- */

typedef enum char_class { CLASS_LETTER, CLASS_COMBINING, CLASS_SPACE, CLASS_MARK, CLASS_OTHER } char_class;

static char_class class_of(int32_t cp)
{
    if (utf8_is_space((uint32_t)cp))
        return CLASS_SPACE;
    if (utf8_is_letter_or_number((uint32_t)cp))
        return CLASS_LETTER;
    switch (utf8proc_category(cp)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME: return CLASS_COMBINING;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO: return CLASS_MARK;
    default: return CLASS_OTHER;
    }
}

/* Letters that form single units: Han, Kana, Bopomofo, Thai, Lao, Myanmar, Khmer. */
static bool is_single(int32_t cp)
{
    return utf8_is_cjk((uint32_t)cp) || (cp >= 0x0E00 && cp <= 0x0EFF) || (cp >= 0x1000 && cp <= 0x109F) ||
           (cp >= 0x1780 && cp <= 0x17FF);
}

static qasr_status add_unit(units *u, bool single, qasr_error *err)
{
    if (u->n == u->cap) {
        unit *grown;
        size_t cap = u->cap ? 2 * u->cap : 32;
        TRY(MEM_ALLOC(&grown, cap, err));
        if (u->n)
            memcpy(grown, u->units, u->n * sizeof *grown);
        mem_free(u->units);
        u->units = grown;
        u->cap = cap;
    }
    u->units[u->n++] =
        (unit){ .letters = { u->letters.n, u->letters.n }, .marks = { u->marks.n, u->marks.n }, .single = single };
    return QASR_OK;
}

/* Adds a letter to the last unit if that is open and matches, else to a new unit. */
static qasr_status add_letter(units *u, int32_t cp, bool *open, bool combining, qasr_error *err)
{
    bool single = is_single(cp);
    unit *last = &u->units[u->n - 1];
    if (*open && (combining || (!single && !last->single))) {
        u->marks.n = last->marks.begin; /* marks inside the word */
    } else {
        TRY(add_unit(u, single, err));
        last = &u->units[u->n - 1];
    }
    *open = true;
    last->marks.end = last->marks.begin;
    TRY(code_points_add(&u->letters, cp, err));
    last->letters.end = u->letters.n;
    return QASR_OK;
}

static qasr_status add_keys(units *u, qasr_error *err)
{
    for (size_t i = 0; i < u->n; i++) {
        unit *x = &u->units[i];
        x->key.begin = u->keys.n;
        if (x->letters.end > x->letters.begin)
            TRY(normal_points(&u->keys, u->letters.cp + x->letters.begin, x->letters.end - x->letters.begin,
                              NORMAL_KC_FOLDED, err));
        x->key.end = u->keys.n;
    }
    return QASR_OK;
}

static qasr_status find_units(units *u, const code_points *text, qasr_error *err)
{
    bool open = false; /* the last unit can be extended */
    TRY(add_unit(u, false, err));
    for (size_t i = 0; i < text->n; i++) {
        int32_t cp = text->cp[i];
        char_class class = class_of(cp);
        if (class == CLASS_LETTER || class == CLASS_COMBINING) {
            TRY(add_letter(u, cp, &open, class == CLASS_COMBINING, err));
        } else if (class == CLASS_SPACE) {
            open = false;
        } else if (class == CLASS_MARK) {
            TRY(code_points_add(&u->marks, cp, err));
            u->units[u->n - 1].marks.end = u->marks.n;
        }
    }
    return add_keys(u, err);
}

static qasr_status read_units(units *u, const char *text, qasr_error *err)
{
    code_points normal = { 0 };
    qasr_status status = normal_text(&normal, text, strlen(text), NORMAL_KC, err);
    if (status == QASR_OK)
        status = find_units(u, &normal, err);
    code_points_free(&normal);
    return status;
}

static size_t length(span s) { return s.end - s.begin; }

static bool same_points(const code_points *a, span x, const code_points *b, span y)
{
    return length(x) == length(y) &&
           (length(x) == 0 || memcmp(a->cp + x.begin, b->cp + y.begin, length(x) * sizeof *a->cp) == 0);
}

/* ---- units to symbols -------------------------------------------------------------------------------- */

/* Maps equal keys to equal numbers, in the order of first appearance. */
typedef struct interner {
    struct {
        const units *u;
        size_t index;
        int32_t id;
    } * slots; /* u NULL: free */
    size_t mask;
    int32_t n;
} interner;

static uint64_t hash_points(const int32_t *cp, size_t n)
{
    uint64_t h = 0xCBF29CE484222325; /* FNV-1a on code points */
    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint32_t)cp[i]) * 0x100000001B3;
    return h ^ h >> 32;
}

static int32_t intern(interner *in, const units *u, size_t index)
{
    span key = u->units[index].key;
    size_t i = (size_t)hash_points(u->keys.cp + key.begin, length(key)) & in->mask;
    while (in->slots[i].u) {
        const units *other = in->slots[i].u;
        if (same_points(&other->keys, other->units[in->slots[i].index].key, &u->keys, key))
            return in->slots[i].id;
        i = (i + 1) & in->mask;
    }
    in->slots[i].u = u;
    in->slots[i].index = index;
    in->slots[i].id = in->n++;
    return in->slots[i].id;
}

/* Skips units[0]. */
static void intern_all(interner *in, int32_t *ids, const units *u)
{
    for (size_t i = 1; i < u->n; i++)
        ids[i - 1] = intern(in, u, i);
}

/* ids [a->n - 1 + b->n - 1]: first those of a, then those of b. */
static qasr_status number_units(int32_t *ids, const units *a, const units *b, qasr_error *err)
{
    interner in = { .mask = 15 };
    while (in.mask / 2 < a->n + b->n)
        in.mask = 2 * in.mask + 1;
    TRY(MEM_CALLOC(&in.slots, in.mask + 1, err));
    intern_all(&in, ids, a);
    intern_all(&in, ids + a->n - 1, b);
    mem_free(in.slots);
    return QASR_OK;
}

/* ---- counting ---------------------------------------------------------------------------------------- */

/* Compares the punctuation after a reference unit and after its aligned unit; either may be NULL. The order of marks
 * does not matter. */
static qasr_status count_marks(qasr_score *s, const units *ref, const unit *x, const units *hyp, const unit *y,
                               qasr_error *err)
{
    size_t n_ref = x ? length(x->marks) : 0, n_hyp = y ? length(y->marks) : 0, n_same = 0;
    bool *taken = NULL;
    if (n_ref && n_hyp) {
        TRY(MEM_CALLOC(&taken, n_hyp, err));
        for (size_t i = 0; i < n_ref; i++) {
            size_t k = 0;
            while (k < n_hyp && (taken[k] || hyp->marks.cp[y->marks.begin + k] != ref->marks.cp[x->marks.begin + i]))
                k++;
            if (k < n_hyp) {
                taken[k] = true;
                n_same++;
            }
        }
        mem_free(taken);
    }
    s->marks_right += n_same;
    s->marks_missing += n_ref - n_same;
    s->marks_extra += n_hyp - n_same;
    return QASR_OK;
}

static bool is_cased(const code_points *letters, span s)
{
    for (size_t i = s.begin; i < s.end; i++) {
        utf8proc_category_t c = utf8proc_category(letters->cp[i]);
        if (c == UTF8PROC_CATEGORY_LU || c == UTF8PROC_CATEGORY_LL || c == UTF8PROC_CATEGORY_LT)
            return true;
    }
    return false;
}

/* Compares case; the units must have the same key. */
static void count_case(qasr_score *s, const units *ref, const unit *x, const units *hyp, const unit *y)
{
    if (!is_cased(&ref->letters, x->letters))
        return;
    s->cased_words++;
    s->cased_right += same_points(&ref->letters, x->letters, &hyp->letters, y->letters);
}

static qasr_status count_pair(qasr_score *s, const units *ref, const units *hyp, const int32_t *ids, edit_pair p,
                              qasr_error *err)
{
    const unit *x = p.a == EDIT_NONE ? NULL : &ref->units[p.a + 1], *y = p.b == EDIT_NONE ? NULL : &hyp->units[p.b + 1];
    bool same = x && y && ids[p.a] == ids[ref->n - 1 + p.b];
    s->deletions += !y;
    s->insertions += !x;
    s->substitutions += x && y && !same;
    if (same)
        count_case(s, ref, x, hyp, y);
    return count_marks(s, ref, x, hyp, y, err);
}

static qasr_status count_units(qasr_score *s, const units *ref, const units *hyp, qasr_error *err)
{
    size_t n_ref = ref->n - 1, n_hyp = hyp->n - 1, n_pairs = 0;
    int32_t *ids = NULL;
    edit_pair *pairs = NULL;
    qasr_status status;
    TRY_GOTO(MEM_ALLOC(&ids, n_ref + n_hyp, err));
    TRY_GOTO(MEM_ALLOC(&pairs, n_ref + n_hyp, err));
    TRY_GOTO(number_units(ids, ref, hyp, err));
    TRY_GOTO(edit_align(pairs, &n_pairs, ids, n_ref, ids + n_ref, n_hyp, err));
    s->words = n_ref;
    TRY_GOTO(count_marks(s, ref, &ref->units[0], hyp, &hyp->units[0], err));
    for (size_t i = 0; i < n_pairs; i++)
        TRY_GOTO(count_pair(s, ref, hyp, ids, pairs[i], err));
done:
    mem_free(ids);
    mem_free(pairs);
    return status;
}

/* Joins the keys, with a space between two words but not next to single characters. */
static qasr_status join_keys(code_points *out, const units *u, qasr_error *err)
{
    for (size_t i = 1; i < u->n; i++) {
        const unit *x = &u->units[i];
        if (i > 1 && !x->single && !x[-1].single)
            TRY(code_points_add(out, ' ', err));
        for (size_t k = x->key.begin; k < x->key.end; k++)
            TRY(code_points_add(out, u->keys.cp[k], err));
    }
    return QASR_OK;
}

static qasr_status read_points(code_points *out, const char *text, qasr_error *err)
{
    for (size_t i = 0, n = strlen(text); i < n;) {
        uint32_t cp;
        i += utf8_read_lossy(&cp, (const unsigned char *)text + i, n - i);
        TRY(code_points_add(out, (int32_t)cp, err));
    }
    return QASR_OK;
}

/* Counts errors in raw and normalized characters; a and b are empty scratch lists. */
static qasr_status count_characters(qasr_score *s, const char *reference, const units *ref, const char *text,
                                    const units *hyp, code_points *a, code_points *b, qasr_error *err)
{
    size_t distance;
    TRY(read_points(a, reference, err));
    TRY(read_points(b, text, err));
    TRY(edit_distance(&distance, a->cp, a->n, b->cp, b->n, err));
    s->characters = a->n;
    s->character_errors = distance;
    a->n = b->n = 0;
    TRY(join_keys(a, ref, err));
    TRY(join_keys(b, hyp, err));
    TRY(edit_distance(&distance, a->cp, a->n, b->cp, b->n, err));
    s->normalized_characters = a->n;
    s->normalized_errors = distance;
    return QASR_OK;
}

qasr_status score_text(qasr_score *out, const char *reference, const char *text, qasr_error *err)
{
    units ref = { 0 }, hyp = { 0 };
    code_points a = { 0 }, b = { 0 };
    qasr_score s = { .struct_size = out->struct_size, .exact = strcmp(reference, text) == 0 };
    qasr_status status;
    TRY_GOTO(read_units(&ref, reference, err));
    TRY_GOTO(read_units(&hyp, text, err));
    TRY_GOTO(count_units(&s, &ref, &hyp, err));
    TRY_GOTO(count_characters(&s, reference, &ref, text, &hyp, &a, &b, err));
    *out = s;
done:
    units_free(&ref);
    units_free(&hyp);
    code_points_free(&a);
    code_points_free(&b);
    return status;
}
