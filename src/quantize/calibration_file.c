/* See calibration_file.h. The file's tensors are sorted by the canonical name of their matrix. Mean squares are
 * computed when it is opened, products, which may take gigabytes, on request. */
#include "quantize/calibration_file.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "weights/gguf_format.h"
#include "weights/gguf_read.h"
#include "weights/weights.h"

typedef enum part_kind { PART_SUMS, PART_COUNTS, PART_PRODUCTS, PART_KINDS } part_kind;
static const char *const suffixes[PART_KINDS] = { CALIBRATION_SUMS, CALIBRATION_COUNTS, CALIBRATION_PRODUCTS };

/* One tensor of the file. */
typedef struct part {
    char matrix[NAMES_MAX_BYTES]; /* canonical */
    part_kind kind;
    const wtensor *t;
    double rows;        /* of sums and products: rows that were summed; 0: none, no information */
    const float *means; /* of sums */
} part;

struct calibration {
    weights *w;
    part *parts; /* sorted */
    size_t n_parts;
    float *means; /* of all sums */
};

static const char *path_of(const calibration *c) { return weights_file_path(c->w, 0); }

static int compare_parts(const void *a, const void *b)
{
    const part *x = a, *y = b;
    int order = strcmp(x->matrix, y->matrix);
    return order ? order : (int)x->kind - (int)y->kind;
}

static const part *find(const calibration *c, const char *matrix, part_kind kind)
{
    part key = { .kind = kind };
    if (strlen(matrix) >= sizeof key.matrix)
        return NULL;
    strcpy(key.matrix, matrix);
    return c->n_parts ? bsearch(&key, c->parts, c->n_parts, sizeof *c->parts, compare_parts) : NULL;
}

bool calibration_source(char *out, size_t size, const char *canonical)
{
    static const char *const same[][2] = {
        { ".self_attn.k_proj.weight", ".self_attn.q_proj.weight" },
        { ".self_attn.v_proj.weight", ".self_attn.q_proj.weight" },
        { ".mlp.up_proj.weight", ".mlp.gate_proj.weight" },
    };
    size_t n = strlen(canonical);
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        size_t n_end = strlen(same[i][0]);
        if (n >= n_end && strcmp(canonical + n - n_end, same[i][0]) == 0)
            return (size_t)snprintf(out, size, "%.*s%s", (int)(n - n_end), canonical, same[i][1]) < size;
    }
    return (size_t)snprintf(out, size, "%s", canonical) < size;
}

/* ---- opening -------------------------------------------------------------------------------------- */

/* False if the tensor holds no statistics. */
static bool parse_name(part *p, const wtensor *t)
{
    char stem[NAMES_MAX_BYTES];
    size_t n = strlen(t->name);
    for (int kind = 0; kind < PART_KINDS; kind++) {
        size_t n_end = strlen(suffixes[kind]);
        if (n <= n_end || n - n_end >= sizeof stem || strcmp(t->name + n - n_end, suffixes[kind]) != 0)
            continue;
        memcpy(stem, t->name, n - n_end);
        stem[n - n_end] = 0;
        *p = (part){ .kind = (part_kind)kind, .t = t };
        return names_canonical(p->matrix, sizeof p->matrix, stem, CALIBRATION_LAYOUT); /* unknown names are copied */
    }
    return false;
}

static qasr_status list_parts(calibration *c, qasr_error *err)
{
    TRY(MEM_ALLOC(&c->parts, weights_count(c->w), err));
    for (size_t i = 0; i < weights_count(c->w); i++) {
        const wtensor *t = weights_at(c->w, i);
        if (!parse_name(&c->parts[c->n_parts], t))
            continue;
        if (t->type != QUANT_F32)
            return error_set(err, QASR_E_FORMAT, "tensor '%s' in '%s' is %s, expected f32", t->name, path_of(c),
                             quant_get(t->type)->name);
        c->n_parts++;
    }
    if (c->n_parts == 0)
        return error_set(err, QASR_E_FORMAT, "'%s' holds no statistics: no tensor name ends in '" CALIBRATION_SUMS "'",
                         path_of(c));
    qsort(c->parts, c->n_parts, sizeof *c->parts, compare_parts);
    for (size_t i = 1; i < c->n_parts; i++)
        if (compare_parts(&c->parts[i - 1], &c->parts[i]) == 0)
            return error_set(err, QASR_E_FORMAT, "'%s' has statistics of '%s' twice: '%s' and '%s'", path_of(c),
                             c->parts[i].matrix, c->parts[i - 1].t->name, c->parts[i].t->name);
    return QASR_OK;
}

/* Tensors need not be aligned. */
static float value_at(const wtensor *t, uint64_t index)
{
    float x;
    memcpy(&x, (const unsigned char *)t->data + index * sizeof x, sizeof x);
    return x;
}

static qasr_status read_rows(const calibration *c, part *p, qasr_error *err)
{
    const part *counts = find(c, p->matrix, PART_COUNTS);
    if (!counts)
        return error_set(err, QASR_E_FORMAT, "'%s' has '%s' without '%s" CALIBRATION_COUNTS "'", path_of(c), p->t->name,
                         p->matrix);
    if (counts->t->n_values != 1)
        return error_set(err, QASR_E_FORMAT, "tensor '%s' in '%s' has %" PRIu64 " values, expected 1", counts->t->name,
                         path_of(c), counts->t->n_values);
    p->rows = (double)value_at(counts->t, 0);
    if (p->rows != 0 && (!(p->rows >= 1) || isinf(p->rows))) /* with 1 or more, means of finite sums are finite */
        return error_set(err, QASR_E_FORMAT, "tensor '%s' in '%s' is %g, expected a number of rows", counts->t->name,
                         path_of(c), p->rows);
    return QASR_OK;
}

static qasr_status read_means(const calibration *c, part *p, float *means, qasr_error *err)
{
    for (uint64_t i = 0; i < p->t->n_values; i++) {
        float sum = value_at(p->t, i);
        if (!(sum >= 0) || isinf(sum))
            return error_set(err, QASR_E_FORMAT,
                             "value %" PRIu64 " of tensor '%s' in '%s' is %g, which is not a sum of squares", i,
                             p->t->name, path_of(c), (double)sum);
        means[i] = p->rows > 0 ? (float)((double)sum / p->rows) : 0;
    }
    p->means = means;
    return QASR_OK;
}

static qasr_status read_parts(calibration *c, qasr_error *err)
{
    uint64_t n = 0; /* at most a quarter of the file's size */
    for (size_t i = 0; i < c->n_parts; i++)
        n += c->parts[i].kind == PART_SUMS ? c->parts[i].t->n_values : 0;
    TRY(MEM_ALLOC(&c->means, (size_t)n, err));
    n = 0;
    for (size_t i = 0; i < c->n_parts; i++) {
        part *p = &c->parts[i];
        if (p->kind != PART_COUNTS)
            TRY(read_rows(c, p, err));
        if (p->kind != PART_SUMS)
            continue;
        TRY(read_means(c, p, c->means + n, err));
        n += p->t->n_values;
    }
    return QASR_OK;
}

static qasr_status open_parts(calibration *c, const char *path, qasr_error *err)
{
    TRY(weights_open_gguf(&c->w, path, err));
    const wmeta *type = weights_meta_find(c->w, "general.type");
    if (!type || type->type != WMETA_STRING || strcmp(type->str, GGUF_TYPE_IMATRIX) != 0)
        return error_set(err, QASR_E_FORMAT,
                         "'%s' is not a statistics file: its general.type is not '" GGUF_TYPE_IMATRIX
                         "'; make one with: qasr calibrate",
                         path);
    TRY(list_parts(c, err));
    return read_parts(c, err);
}

qasr_status calibration_open(calibration **out, const char *path, qasr_error *err)
{
    calibration *c;
    TRY(MEM_CALLOC(&c, 1, err));
    qasr_status status = open_parts(c, path, err);
    if (status != QASR_OK) {
        calibration_close(c);
        return status;
    }
    *out = c;
    return QASR_OK;
}

void calibration_close(calibration *c)
{
    if (!c)
        return;
    weights_close(c->w);
    mem_free(c->parts);
    mem_free(c->means);
    mem_free(c);
}

/* ---- queries -------------------------------------------------------------------------------------- */

/* The part for a matrix, its own or that of its source; NULL if there is none, or if it has no rows. */
static const part *find_serving(const calibration *c, const char *canonical, part_kind kind)
{
    char source[NAMES_MAX_BYTES];
    const part *p = find(c, canonical, kind);
    if (!p && calibration_source(source, sizeof source, canonical))
        p = find(c, source, kind);
    return p && p->rows > 0 ? p : NULL;
}

static qasr_status check_values(const calibration *c, const part *p, const char *canonical, size_t cols,
                                uint64_t expected, qasr_error *err)
{
    if (p->t->n_values == expected)
        return QASR_OK;
    return error_set(err, QASR_E_FORMAT,
                     "tensor '%s' in '%s' has %" PRIu64 " values, expected %" PRIu64
                     " for the %zu columns of '%s': are the statistics for another model?",
                     p->t->name, path_of(c), p->t->n_values, expected, cols, canonical);
}

qasr_status calibration_importance(const calibration *c, const char *canonical, size_t cols, const float **out,
                                   double *rows, qasr_error *err)
{
    const part *p = find_serving(c, canonical, PART_SUMS);
    *out = NULL;
    if (!p)
        return QASR_OK;
    TRY(check_values(c, p, canonical, cols, cols, err));
    *out = p->means;
    if (rows)
        *rows = p->rows;
    return QASR_OK;
}

qasr_status calibration_covariance(const calibration *c, const char *canonical, size_t cols, float *out, bool *found,
                                   qasr_error *err)
{
    const part *p = find_serving(c, canonical, PART_PRODUCTS);
    *found = p != NULL;
    if (!p)
        return QASR_OK;
    TRY(check_values(c, p, canonical, cols, (uint64_t)cols * ((uint64_t)cols + 1) / 2, err));
    uint64_t at = 0;
    for (size_t i = 0; i < cols; i++)
        for (size_t k = 0; k <= i; k++, at++) {
            float sum = value_at(p->t, at);
            if (!isfinite(sum) || (i == k && sum < 0))
                return error_set(err, QASR_E_FORMAT,
                                 "value %" PRIu64 " of tensor '%s' in '%s' is %g, which is not a sum of %s", at,
                                 p->t->name, path_of(c), (double)sum, i == k ? "squares" : "products");
            out[i * cols + k] = out[k * cols + i] = (float)((double)sum / p->rows);
        }
    return QASR_OK;
}

qasr_status calibration_hessian(const calibration *c, const char *canonical, size_t cols, const float *scale,
                                hessian *out, pool *p, qasr_error *err)
{
    float *moments;
    bool found = false;
    *out = (hessian){ 0 };
    TRY(mem_alloc((void **)&moments, cols, cols * sizeof *moments, err));
    qasr_status status = calibration_covariance(c, canonical, cols, moments, &found, err);
    if (status != QASR_OK || !found) {
        mem_free(moments);
        return status;
    }
    if (scale)
        hessian_scale_products(moments, cols, scale);
    return hessian_create(out, p, moments, cols, CALIBRATION_DAMPING, canonical, err);
}
