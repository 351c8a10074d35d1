/* See edit.h. Common prefix and suffix stay out of the table: an optimal alignment pairs them. */
#include "text/edit.h"

#include "base/mem.h"

enum { TABLE_MAX = 1 << 30 };

/* Lengths of the common prefix, and of the common suffix of the rest. */
static void find_common(size_t *begin, size_t *end, const int32_t *a, size_t n_a, const int32_t *b, size_t n_b)
{
    size_t n = n_a < n_b ? n_a : n_b, i = 0, k = 0;
    while (i < n && a[i] == b[i])
        i++;
    while (k < n - i && a[n_a - 1 - k] == b[n_b - 1 - k])
        k++;
    *begin = i;
    *end = k;
}

/* The sequence after the prefix. An empty one may be NULL, and adding even 0 to NULL is undefined. */
static const int32_t *after(const int32_t *sequence, size_t begin) { return begin ? sequence + begin : sequence; }

/* Last step of the best path to a cell of the table. */
enum { STEP_BOTH, STEP_A, STEP_B };

/* Fills the table row by row. row [n_b + 1]: distances of the first i symbols of a to each prefix of b. steps:
 * [n_a][n_b] or NULL. Returns the distance. */
static size_t walk(size_t *row, unsigned char *steps, const int32_t *a, size_t n_a, const int32_t *b, size_t n_b)
{
    for (size_t j = 0; j <= n_b; j++)
        row[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            unsigned char step = STEP_BOTH;
            if (row[j] + 1 < best) {
                best = row[j] + 1;
                step = STEP_A;
            }
            if (row[j - 1] + 1 < best) {
                best = row[j - 1] + 1;
                step = STEP_B;
            }
            diagonal = row[j];
            row[j] = best;
            if (steps)
                steps[(i - 1) * n_b + j - 1] = step;
        }
    }
    return row[n_b];
}

qasr_status edit_distance(size_t *distance, const int32_t *a, size_t n_a, const int32_t *b, size_t n_b, qasr_error *err)
{
    size_t begin, end, *row;
    find_common(&begin, &end, a, n_a, b, n_b);
    n_a -= begin + end;
    n_b -= begin + end;
    TRY(MEM_ALLOC(&row, n_b + 1, err));
    *distance = walk(row, NULL, after(a, begin), n_a, after(b, begin), n_b);
    mem_free(row);
    return QASR_OK;
}

/* Traces the path back from the last cell: pairs in reverse order, with indices from `first` on. */
static size_t trace(edit_pair *pairs, const unsigned char *steps, size_t n_a, size_t n_b, size_t first)
{
    size_t n = 0, i = n_a, j = n_b;
    while (i > 0 || j > 0) {
        int step = i == 0 ? STEP_B : j == 0 ? STEP_A : steps[(i - 1) * n_b + j - 1];
        i -= step != STEP_B;
        j -= step != STEP_A;
        pairs[n++] = (edit_pair){ step == STEP_B ? EDIT_NONE : first + i, step == STEP_A ? EDIT_NONE : first + j };
    }
    return n;
}

qasr_status edit_align(edit_pair *pairs, size_t *n_pairs, const int32_t *a, size_t n_a, const int32_t *b, size_t n_b,
                       qasr_error *err)
{
    size_t begin, end, size, *row = NULL;
    unsigned char *steps = NULL;
    find_common(&begin, &end, a, n_a, b, n_b);
    size_t mid_a = n_a - begin - end, mid_b = n_b - begin - end;
    if (!size_mul(mid_a, mid_b, &size) || size > TABLE_MAX)
        return error_set(err, QASR_E_INVALID,
                         "texts of %zu and %zu words are too long and too different to compare: use "
                         "shorter clips",
                         n_a, n_b);
    qasr_status status;
    TRY_GOTO(MEM_ALLOC(&row, mid_b + 1, err));
    TRY_GOTO(MEM_ALLOC(&steps, size, err));
    walk(row, steps, after(a, begin), mid_a, after(b, begin), mid_b);
    size_t n = 0;
    for (; n < begin; n++)
        pairs[n] = (edit_pair){ n, n };
    size_t n_mid = trace(pairs + n, steps, mid_a, mid_b, begin);
    for (size_t i = 0; i < n_mid / 2; i++) {
        edit_pair other = pairs[n + i];
        pairs[n + i] = pairs[n + n_mid - 1 - i];
        pairs[n + n_mid - 1 - i] = other;
    }
    n += n_mid;
    for (size_t i = end; i > 0; i--)
        pairs[n++] = (edit_pair){ n_a - i, n_b - i };
    *n_pairs = n;
done:
    mem_free(row);
    mem_free(steps);
    return status;
}
