/* See equalize.h. A group is one set of channels: producers make their values, consumers multiply them. Channel c is
 * divided by s[c] in the producers and multiplied by it in the consumers.
 *
 * Rounding a consumer adds to the error of a row's output, per channel, the mean square of the channel times the
 * squared error of the weight; rounding a producer adds the squared error of the channel's row times the square of the
 * weight. Errors count relative to the outputs of their rows, which other groups may scale. Candidates are s = a^t /
 * k^(1 - t), a being the size of the channel's values and k that of its columns: all of them undo factors that were
 * moved from producers to consumers, or back. t = 0 makes the columns equal, so that no weight of a block is lost; t =
 * 1 makes the values equal. Each is tried for all channels, and for outliers alone. The candidate of the least error
 * wins, or 1. */
#include "quantize/equalize.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
    MAX_PRODUCERS = 2,
    MAX_CONSUMERS = 3,
    SAMPLE_ROWS = 32,  /* of each matrix, spread evenly, to measure errors */
    MAX_EXPONENT = 24, /* of a factor */
    STEPS = 4,         /* candidates t = 0, 1 / STEPS, .. 1 */
    OUTLIER = 3        /* exponents of outliers, at least */
};
static const double GAIN_MIN = 0.98; /* a candidate that saves less than 2 % of the error is not worth it */

#define DECODER "thinker.model.layers."
#define ENCODER "thinker.audio_tower.layers."

/* Names of a group's tensors behind its prefix and, in a layer, the layer's number. */
typedef struct group_names {
    const char *prefix;
    bool in_layer;
    const char *producers[MAX_PRODUCERS]; /* the second may be missing in the model */
    const char *consumers[MAX_CONSUMERS];
} group_names;

static const group_names all_names[] = {
    { DECODER,
      true,
      { "input_layernorm.weight" },
      { "self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight" } },
    { DECODER, true, { "self_attn.v_proj.weight", "self_attn.v_proj.bias" }, { "self_attn.o_proj.weight" } },
    { DECODER, true, { "post_attention_layernorm.weight" }, { "mlp.gate_proj.weight", "mlp.up_proj.weight" } },
    { DECODER, true, { "mlp.up_proj.weight" }, { "mlp.down_proj.weight" } },
    { ENCODER,
      true,
      { "self_attn_layer_norm.weight", "self_attn_layer_norm.bias" },
      { "self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight" } },
    { ENCODER, true, { "self_attn.v_proj.weight", "self_attn.v_proj.bias" }, { "self_attn.out_proj.weight" } },
    { ENCODER, true, { "final_layer_norm.weight", "final_layer_norm.bias" }, { "fc1.weight" } },
    { "thinker.audio_tower.", false, { "ln_post.weight", "ln_post.bias" }, { "proj1.weight" } },
    { "thinker.", false, { "model.norm.weight" }, { "lm_head.weight" } },
};

typedef struct group {
    plan_entry *producers[MAX_PRODUCERS], *consumers[MAX_CONSUMERS]; /* of the plan */
    size_t n_producers, n_consumers;
    size_t n;                         /* channels */
    size_t head_dim, heads_per_group; /* columns of the consumer per channel: heads_per_group, in heads of head_dim */
    float *factors, *inverse;         /* [n], [columns]: the factors of the consumers' columns; NULL: all 1 */
    bool changed;
    qasr_error failure;
} group;

struct equalizer {
    group *groups;
    size_t n_groups;
    const equalize_options *opt;
};

/* ---- the groups of a plan ---------------------------------------------------------------------------- */

static plan_entry *find_entry(const plan *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->entries[i].t->canonical, name) == 0)
            return &p->entries[i];
    return NULL;
}

static bool exists(const plan *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->entries[i].source)
            return weights_find(p->entries[i].source, name) != NULL;
    return false;
}

/* Blocks that are copied as they are keep their scales. */
static bool can_be_scaled(const plan_entry *e)
{
    return !e->skipped && (e->way != PLAN_COPY || quant_get(e->type)->block == 1);
}

/* Finds a tensor of a group. False if the group cannot be equalized: it is part of the model, but not written. */
static bool find_member(plan_entry **out, const plan *p, const group_names *names, int layer, const char *end,
                        bool required)
{
    char name[256];
    if (names->in_layer)
        snprintf(name, sizeof name, "%s%d.%s", names->prefix, layer, end);
    else
        snprintf(name, sizeof name, "%s%s", names->prefix, end);
    *out = find_entry(p, name);
    if (*out)
        return can_be_scaled(*out);
    return !required && !exists(p, name);
}

/* Length of a head, which the norm of the keys tells; 0: there is none. */
static size_t find_head_dim(const plan *p, int layer)
{
    char name[256];
    snprintf(name, sizeof name, DECODER "%d.self_attn.k_norm.weight", layer);
    const plan_entry *e = find_entry(p, name);
    return e ? (size_t)e->t->n_values : 0;
}

/* True if the consumers' columns are the producers' channels, some of them for several heads. */
static bool match_channels(group *g, const plan *p, int layer)
{
    const plan_entry *first = g->producers[0];
    const bool is_matrix = first->t->n_dims == 2 && first->n_rows > 1;
    const size_t cols = (size_t)g->consumers[0]->row_values;
    g->n = (size_t)(is_matrix ? first->n_rows : first->t->n_values);
    g->heads_per_group = 1;
    g->head_dim = g->n;
    for (size_t i = 1; i < g->n_producers; i++)
        if (g->producers[i]->t->n_values != g->n)
            return false;
    for (size_t i = 1; i < g->n_consumers; i++)
        if (g->consumers[i]->row_values != cols)
            return false;
    if (cols == g->n)
        return true;
    g->head_dim = find_head_dim(p, layer);
    g->heads_per_group = cols / g->n;
    return g->head_dim > 0 && g->n % g->head_dim == 0 && g->n * g->heads_per_group == cols;
}

static bool find_group(group *g, const plan *p, const group_names *names, int layer)
{
    *g = (group){ 0 };
    for (size_t i = 0; i < MAX_PRODUCERS && names->producers[i]; i++) {
        plan_entry *e;
        if (!find_member(&e, p, names, layer, names->producers[i], i == 0))
            return false;
        if (e)
            g->producers[g->n_producers++] = e;
    }
    for (size_t i = 0; i < MAX_CONSUMERS && names->consumers[i]; i++) {
        if (!find_member(&g->consumers[i], p, names, layer, names->consumers[i], true))
            return false;
        g->n_consumers++;
    }
    return match_channels(g, p, layer);
}

/* Layers of the plan: one more than the highest number behind the prefix. */
static int count_layers(const plan *p, const char *prefix)
{
    const size_t n = strlen(prefix);
    long count = 0;
    for (size_t i = 0; i < p->n; i++)
        if (strncmp(p->entries[i].t->canonical, prefix, n) == 0) {
            long layer = strtol(p->entries[i].t->canonical + n, NULL, 10);
            count = layer >= count && layer < (long)p->n ? layer + 1 : count;
        }
    return (int)count;
}

static qasr_status find_groups(equalizer *q, plan *p, qasr_error *err)
{
    size_t n_max = 0;
    for (size_t i = 0; i < ARRAY_LEN(all_names); i++)
        n_max += all_names[i].in_layer ? (size_t)count_layers(p, all_names[i].prefix) : 1;
    TRY(MEM_CALLOC(&q->groups, n_max, err));
    for (size_t i = 0; i < ARRAY_LEN(all_names); i++) {
        const group_names *names = &all_names[i];
        const int n = names->in_layer ? count_layers(p, names->prefix) : 1;
        const bool is_head = strcmp(names->consumers[0], "lm_head.weight") == 0;
        for (int layer = 0; layer < n && !(is_head && q->opt->tied); layer++)
            q->n_groups += find_group(&q->groups[q->n_groups], p, names, layer);
    }
    return QASR_OK;
}

/* ---- measurements ------------------------------------------------------------------------------------ */

/* What the search knows about the channels of a group; all [n]. */
typedef struct channels {
    double *values;      /* mean squares of the channel's values */
    double *columns;     /* sums of squares of its columns, relative to the outputs of their rows */
    double *rows;        /* sum of squares of the producers' weights */
    float *least, *most; /* magnitudes of the weights in columns, other than 0, and the inverse in rows */
} channels;

/* Buffers of one group. */
typedef struct search {
    group *g;
    channels of;
    int *exponents, *best;  /* [n] */
    float *x, *y, *weights; /* [longest row] */
    unsigned char *blocks;  /* of one row */
    double *sorted;         /* [n] */
} search;

static size_t channel_of(const group *g, size_t column)
{
    return column / (g->head_dim * g->heads_per_group) * g->head_dim + column % g->head_dim;
}

static bool is_vector_entry(const plan_entry *e) { return e->n_rows == 1; }

/* Reads a row; an error names it if it is not finite. */
static qasr_status read_row(float *x, const plan_entry *e, uint64_t row, qasr_error *err)
{
    const size_t n = (size_t)e->row_values;
    plan_read_values(x, e->t, row * n, n);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return plan_refuse_not_finite(e, row, x[i], err);
    return QASR_OK;
}

/* Widens the range of magnitudes that channel c is multiplied with. */
static void widen(channels *of, size_t c, float x, bool is_row)
{
    float size = fabsf(x);
    if (size == 0)
        return;
    size = is_row ? 1 / size : size;
    of->least[c] = size < of->least[c] ? size : of->least[c];
    of->most[c] = size > of->most[c] ? size : of->most[c];
}

/* Mean square of the output of row s->x of a consumer. */
static double output_of(const search *s, const plan_entry *e)
{
    double sum = 0;
    for (size_t i = 0; i < e->row_values; i++)
        sum += s->of.values[channel_of(s->g, i)] * (double)s->x[i] * (double)s->x[i];
    return sum;
}

static qasr_status measure_consumer(search *s, const plan_entry *e, qasr_error *err)
{
    for (uint64_t r = 0; r < e->n_rows; r++) {
        TRY(read_row(s->x, e, r, err));
        const double output = output_of(s, e);
        for (size_t i = 0; i < e->row_values; i++) {
            size_t c = channel_of(s->g, i);
            s->of.columns[c] += output > 0 ? (double)s->x[i] * (double)s->x[i] / output : 0;
            widen(&s->of, c, s->x[i], false);
        }
    }
    plan_release_values(e, 0, e->t->n_values);
    return QASR_OK;
}

static qasr_status measure_producer(search *s, const plan_entry *e, qasr_error *err)
{
    for (uint64_t r = 0; r < e->n_rows; r++) {
        TRY(read_row(s->x, e, r, err));
        for (size_t i = 0; i < e->row_values; i++) {
            size_t c = is_vector_entry(e) ? i : (size_t)r;
            s->of.rows[c] += (double)s->x[i] * (double)s->x[i];
            widen(&s->of, c, s->x[i], true);
        }
    }
    plan_release_values(e, 0, e->t->n_values);
    return QASR_OK;
}

/* Mean squares of the channels: from the calibration, else as if the producers' inputs were independent. */
static qasr_status measure_values(search *s, const calibration *c, qasr_error *err)
{
    const plan_entry *e = s->g->consumers[0];
    const float *squares = NULL;
    if (c)
        TRY(calibration_importance(c, e->t->canonical, (size_t)e->row_values, &squares, NULL, err));
    for (size_t i = 0; squares && i < e->row_values; i++)
        s->of.values[channel_of(s->g, i)] += (double)squares[i] / (double)s->g->heads_per_group;
    if (!squares)
        memcpy(s->of.values, s->of.rows, s->g->n * sizeof *s->of.values);
    return QASR_OK;
}

static qasr_status measure(search *s, const calibration *c, qasr_error *err)
{
    for (size_t i = 0; i < s->g->n; i++) {
        s->of.least[i] = INFINITY;
        s->of.most[i] = 0;
    }
    for (size_t i = 0; i < s->g->n_producers; i++)
        TRY(measure_producer(s, s->g->producers[i], err));
    TRY(measure_values(s, c, err));
    for (size_t i = 0; i < s->g->n_consumers; i++)
        TRY(measure_consumer(s, s->g->consumers[i], err));
    return QASR_OK;
}

/* ---- errors ---------------------------------------------------------------------------------------------- */

/* The type to measure with: the entry's own; four bits if it is not stored in blocks. NULL: nothing is rounded. */
static const quant_info *measured_type(const plan_entry *e)
{
    const quant_info *own = quant_get(e->type), *other = quant_get(QUANT_Q4_0);
    const quant_info *q = own->block > 1 ? own : other;
    return !is_vector_entry(e) && e->row_values % q->block == 0 ? q : NULL;
}

/* Rounds s->x [n]: stored values to s->y. importance NULL: as without a calibration. */
static void round_row(search *s, const quant_info *q, const float *importance, size_t n)
{
    if (importance)
        q->quantize_weighted(s->blocks, s->x, importance, n);
    else
        q->quantize(s->blocks, s->x, n);
    q->dequantize(s->y, s->blocks, n);
}

static uint64_t sampled_rows(const plan_entry *e) { return e->n_rows < SAMPLE_ROWS ? e->n_rows : SAMPLE_ROWS; }

/* Row k of the sample. */
static uint64_t sampled_row(const plan_entry *e, uint64_t k) { return k * e->n_rows / sampled_rows(e); }

/* Error of the outputs when a consumer with scaled columns is rounded. */
static double consumer_error(search *s, const plan_entry *e, const int *exponents)
{
    const quant_info *q = measured_type(e);
    const size_t cols = (size_t)e->row_values;
    double sum = 0;
    if (!q)
        return 0;
    for (size_t i = 0; i < cols; i++)
        s->weights[i] = (float)ldexp(s->of.values[channel_of(s->g, i)], -2 * exponents[channel_of(s->g, i)]);
    for (uint64_t k = 0; k < sampled_rows(e); k++) {
        plan_read_values(s->x, e->t, sampled_row(e, k) * cols, cols);
        const double output = output_of(s, e);
        double error = 0;
        for (size_t i = 0; i < cols; i++)
            s->x[i] = ldexpf(s->x[i], exponents[channel_of(s->g, i)]);
        round_row(s, q, e->way == PLAN_CALIBRATED ? s->weights : NULL, cols);
        for (size_t i = 0; i < cols; i++) {
            double d = (double)s->y[i] - (double)s->x[i];
            error += (double)s->weights[i] * d * d;
        }
        sum += output > 0 ? error / output : 0;
    }
    return sum * (double)e->n_rows / (double)sampled_rows(e);
}

/* The same for a producer, whose rows are divided. Only very small scales make a difference. */
static double producer_error(search *s, const plan_entry *e, const int *exponents)
{
    const quant_info *q = measured_type(e);
    const size_t cols = (size_t)e->row_values;
    double sum = 0, values = 0, rows = 0;
    if (!q)
        return 0;
    for (size_t c = 0; c < s->g->n; c++) {
        values += s->of.values[c];
        rows += s->of.rows[c];
    }
    for (uint64_t k = 0; k < sampled_rows(e); k++) {
        const size_t c = (size_t)sampled_row(e, k);
        double error = 0;
        plan_read_values(s->x, e->t, c * cols, cols);
        for (size_t i = 0; i < cols; i++)
            s->x[i] = ldexpf(s->x[i], -exponents[c]);
        round_row(s, q, NULL, cols);
        for (size_t i = 0; i < cols; i++) {
            double d = (double)s->y[i] - (double)s->x[i];
            error += d * d;
        }
        sum += ldexp(error, 2 * exponents[c]) * s->of.columns[c];
    }
    return rows > 0 ? sum * (double)e->n_rows / (double)sampled_rows(e) * values / rows : 0;
}

static double group_error(search *s, const int *exponents)
{
    double sum = 0;
    for (size_t i = 0; i < s->g->n_consumers; i++)
        sum += consumer_error(s, s->g->consumers[i], exponents);
    for (size_t i = 0; i < s->g->n_producers; i++)
        sum += producer_error(s, s->g->producers[i], exponents);
    return sum;
}

/* ---- candidates --------------------------------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* An exponent that keeps all products normal numbers, and so exact. */
static int clamp_exponent(const channels *of, size_t c, int e)
{
    e = e > MAX_EXPONENT ? MAX_EXPONENT : e < -MAX_EXPONENT ? -MAX_EXPONENT : e;
    bool exact = of->most[c] == 0 || (ldexpf(of->most[c], e) <= FLT_MAX / 2 && ldexpf(of->least[c], e) >= 2 * FLT_MIN);
    return exact ? e : 0;
}

static bool is_used(const channels *of, size_t c) { return of->values[c] > 0 && of->columns[c] > 0; }

/* Binary logarithm of a^t / k^(1 - t). */
static double log_factor(const channels *of, size_t c, double t)
{
    return (t * log2(of->values[c]) - (1 - t) * log2(of->columns[c])) / 2;
}

/* s = a^t / k^(1 - t), relative to the median: channels of ordinary size keep theirs. Unused channels too. Exponents
 * smaller than `least` become 0. */
static void make_candidate(search *s, double t, int least)
{
    const size_t n = s->g->n;
    size_t n_used = 0;
    for (size_t c = 0; c < n; c++)
        if (is_used(&s->of, c))
            s->sorted[n_used++] = log_factor(&s->of, c, t);
    qsort(s->sorted, n_used, sizeof *s->sorted, compare_doubles);
    const double median = n_used ? s->sorted[n_used / 2] : 0;
    for (size_t c = 0; c < n; c++) {
        s->exponents[c] = 0;
        if (is_used(&s->of, c)) {
            double x = log_factor(&s->of, c, t) - median;
            int e = clamp_exponent(&s->of, c, (int)lround(fmax(-1000, fmin(1000, x))));
            s->exponents[c] = abs(e) >= least ? e : 0;
        }
    }
}

static void find_best(search *s)
{
    const size_t n = s->g->n;
    double least = group_error(s, s->best) * GAIN_MIN; /* best is zero */
    for (int i = 0; i < 2 * (STEPS + 1); i++) {
        make_candidate(s, (double)(i / 2) / STEPS, i % 2 ? 1 : OUTLIER);
        double error = group_error(s, s->exponents);
        if (error >= least)
            continue;
        least = error;
        memcpy(s->best, s->exponents, n * sizeof *s->best);
        s->g->changed = true;
    }
}

/* ---- the search of a group -------------------------------------------------------------------------- */

static qasr_status alloc_search(search *s, qasr_error *err)
{
    const group *g = s->g;
    size_t n = g->n, longest = 0;
    for (size_t i = 0; i < g->n_producers; i++)
        longest = g->producers[i]->row_values > longest ? (size_t)g->producers[i]->row_values : longest;
    for (size_t i = 0; i < g->n_consumers; i++)
        longest = g->consumers[i]->row_values > longest ? (size_t)g->consumers[i]->row_values : longest;
    TRY(MEM_CALLOC(&s->of.values, n, err));
    TRY(MEM_CALLOC(&s->of.columns, n, err));
    TRY(MEM_CALLOC(&s->of.rows, n, err));
    TRY(MEM_ALLOC(&s->of.least, n, err));
    TRY(MEM_ALLOC(&s->of.most, n, err));
    TRY(MEM_CALLOC(&s->exponents, n, err));
    TRY(MEM_CALLOC(&s->best, n, err));
    TRY(MEM_ALLOC(&s->sorted, n, err));
    TRY(MEM_ALLOC(&s->x, longest, err));
    TRY(MEM_ALLOC(&s->y, longest, err));
    TRY(MEM_ALLOC(&s->weights, longest, err));
    return MEM_ALLOC(&s->blocks, longest * sizeof(float), err); /* no type takes more */
}

static void free_search(search *s)
{
    mem_free(s->of.values);
    mem_free(s->of.columns);
    mem_free(s->of.rows);
    mem_free(s->of.least);
    mem_free(s->of.most);
    mem_free(s->exponents);
    mem_free(s->best);
    mem_free(s->sorted);
    mem_free(s->x);
    mem_free(s->y);
    mem_free(s->weights);
    mem_free(s->blocks);
}

static qasr_status keep_factors(search *s, qasr_error *err)
{
    group *g = s->g;
    const size_t cols = (size_t)g->consumers[0]->row_values;
    TRY(MEM_ALLOC(&g->inverse, g->n, err));
    TRY(MEM_ALLOC(&g->factors, cols, err));
    for (size_t c = 0; c < g->n; c++)
        g->inverse[c] = ldexpf(1, -s->best[c]);
    for (size_t i = 0; i < cols; i++)
        g->factors[i] = ldexpf(1, s->best[channel_of(g, i)]);
    return QASR_OK;
}

static void search_task(void *arg, size_t task, unsigned thread)
{
    equalizer *q = arg;
    search s = { .g = &q->groups[task] };
    qasr_error *err = &s.g->failure;
    (void)thread;
    qasr_status status = alloc_search(&s, err);
    if (status == QASR_OK)
        status = measure(&s, q->opt->calibration, err);
    if (status == QASR_OK)
        find_best(&s);
    if (status == QASR_OK && s.g->changed)
        keep_factors(&s, err);
    free_search(&s);
}

/* Hands the factors to the entries. v_proj and up_proj are consumers of one group and producers of another. */
static void set_scales(group *g)
{
    if (!g->factors)
        return;
    for (size_t i = 0; i < g->n_producers; i++) {
        plan_entry *e = g->producers[i];
        if (is_vector_entry(e))
            e->column_scale = g->inverse;
        else
            e->row_scale = g->inverse;
        e->way = e->way == PLAN_COPY ? PLAN_CONVERT : e->way;
    }
    for (size_t i = 0; i < g->n_consumers; i++) {
        g->consumers[i]->column_scale = g->factors;
        g->consumers[i]->way = g->consumers[i]->way == PLAN_COPY ? PLAN_CONVERT : g->consumers[i]->way;
    }
}

qasr_status equalizer_create(equalizer **out, plan *p, const equalize_options *opt, pool *threads, qasr_error *err)
{
    equalizer *q;
    TRY(MEM_CALLOC(&q, 1, err));
    q->opt = opt;
    qasr_status status = find_groups(q, p, err);
    if (status == QASR_OK)
        pool_run(threads, search_task, q, q->n_groups);
    for (size_t i = 0; i < q->n_groups && status == QASR_OK; i++) {
        const qasr_error *failure = &q->groups[i].failure;
        if (failure->status != QASR_OK)
            status = error_set(err, failure->status, "%s", failure->message);
        else
            set_scales(&q->groups[i]);
    }
    q->opt = NULL;
    if (status == QASR_OK)
        *out = q;
    else
        equalizer_free(q);
    return status;
}

void equalizer_free(equalizer *q)
{
    if (!q)
        return;
    for (size_t i = 0; i < q->n_groups; i++) {
        mem_free(q->groups[i].factors);
        mem_free(q->groups[i].inverse);
    }
    mem_free(q->groups);
    mem_free(q);
}

size_t equalizer_groups(const equalizer *q) { return q->n_groups; }

size_t equalizer_changed(const equalizer *q)
{
    size_t n = 0;
    for (size_t i = 0; i < q->n_groups; i++)
        n += q->groups[i].changed;
    return n;
}
