/* The rules of quantization, tensor by tensor: canonical name, rank and source type in, stored type out.
 *
 *   matrices of attention, mlp and encoder projections    the requested type; in encoders at least 8 bits by default
 *   embedding, untied head                                as in the source (f32 becomes f16), or the type requested
 *                                                         for embeddings
 *   convolutions                                          as in the source (f32 becomes f16); f32 in a complete model
 *   norms, biases, all other vectors                      f32
 *   everything else                                       as in the source
 *
 * If rows do not fit a type's blocks, another type of about the same size is used: q4_k -> iq4_nl, q5_k -> q5_0,
 * q6_k -> q8_0 (no 6-bit type has smaller blocks), and f16 if blocks of 32 do not fit either. Mixes use q8_0 at once,
 * as in transcribe.cpp. Half precision is only chosen for values that fit it: a tensor with |x| > 65504 becomes f32
 * instead. Types given by name take precedence over all of this. */
#include "quantize/plan.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum {
    SCAN_VALUES = 4096,
    RELEASE_VALUES = 1 << 20, /* may stay mapped while scanning */
    RELEASE_MARGIN = 1 << 16  /* bytes; the kernel maps up to this much around a fault */
};

const char *plan_kind_name(plan_kind kind)
{
    static const char *const names[PLAN_KIND_COUNT] = {
        [PLAN_ATTENTION] = "attention",
        [PLAN_MLP] = "mlp",
        [PLAN_PROJECTION] = "projection",
        [PLAN_CONVOLUTION] = "convolution",
        [PLAN_EMBEDDING] = "embedding",
        [PLAN_HEAD] = "head",
        [PLAN_NORM] = "norm",
        [PLAN_BIAS] = "bias",
        [PLAN_FRONTEND] = "frontend",
        [PLAN_OTHER] = "other",
    };
    return names[kind];
}

/* ---- names of types ------------------------------------------------------------------------ */

/* ", q5_k_m, q4_k_m": the mixes, which type_from_name does not list. */
static void list_mixes(char *out, size_t size)
{
    size_t n = 0;
    *out = 0;
    for (size_t i = 0; i < quant_mix_count() && n < size; i++)
        if (quant_mix_at(i)->is_mix)
            n += (size_t)snprintf(out + n, size - n, ", %s", quant_mix_at(i)->name);
}

qasr_status plan_find_mix(quant_mix *mix, const char *name, const char *what, qasr_error *err)
{
    const quant_mix *found = quant_mix_find(name);
    if (found) {
        *mix = *found;
        return QASR_OK;
    }
    char names[64];
    quant_type type;
    list_mixes(names, sizeof names);
    TRY(type_from_name(&type, name, what, names, err)); /* f32 */
    *mix = (quant_mix){ quant_get(type)->name, type, type, type, false };
    return QASR_OK;
}

static bool smaller(quant_type a, quant_type b)
{
    const quant_info *p = quant_get(a), *q = quant_get(b);
    return (uint64_t)p->bytes * q->block < (uint64_t)q->bytes * p->block;
}

quant_mix plan_encoder_mix(const quant_mix *decoder)
{
    quant_mix mix = *decoder;
    if (smaller(mix.matrix, QUANT_Q8_0))
        mix.matrix = mix.attention_out = QUANT_Q8_0;
    return mix;
}

/* ---- kinds ----------------------------------------------------------------------------------- */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && memcmp(s + n - m, end, m) == 0;
}

static plan_kind kind_of_matrix(const char *name)
{
    static const struct {
        const char *part, *end;
        plan_kind kind;
    } rules[] = {
        { ".self_attn.", "_proj.weight", PLAN_ATTENTION },
        { ".mlp.", "_proj.weight", PLAN_MLP },
        { "", ".fc1.weight", PLAN_MLP },
        { "", ".fc2.weight", PLAN_MLP },
        { "", ".conv_out.weight", PLAN_PROJECTION },
        { "", ".proj1.weight", PLAN_PROJECTION },
        { "", ".proj2.weight", PLAN_PROJECTION },
        { "", "embed_tokens.weight", PLAN_EMBEDDING },
        { "", "lm_head.weight", PLAN_HEAD },
    };
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (strstr(name, rules[i].part) && ends_with(name, rules[i].end))
            return rules[i].kind;
    return PLAN_OTHER;
}

/* [n], also when it is stored as [n, 1, 1] or [1, n]. */
static bool is_vector(const wtensor *t)
{
    unsigned n_long = 0;
    for (unsigned d = 0; d < t->n_dims; d++)
        n_long += t->shape[d] != 1;
    return n_long <= 1;
}

static plan_kind kind_of(const wtensor *t)
{
    if (is_vector(t) && (strstr(t->canonical, "norm") || strstr(t->canonical, "ln_post")))
        return PLAN_NORM;
    if (is_vector(t) && ends_with(t->canonical, ".bias"))
        return PLAN_BIAS;
    if (t->n_dims == 2)
        return kind_of_matrix(t->canonical);
    return t->n_dims == 4 ? PLAN_CONVOLUTION : PLAN_OTHER;
}

static bool starts_with(const char *s, const char *start) { return strncmp(s, start, strlen(start)) == 0; }

const char *plan_part(const plan_entry *e)
{
    const char *name = e->t->canonical;
    return starts_with(name, "thinker.audio_tower.")                                      ? "encoder"
           : starts_with(name, "thinker.model.") || starts_with(name, "thinker.lm_head.") ? "decoder"
                                                                                          : "other";
}

const char *plan_name(const plan_entry *e) { return e->layout_name[0] ? e->layout_name : e->t->canonical; }

/* ---- values ---------------------------------------------------------------------------------- */

void plan_read_values(float *out, const wtensor *t, uint64_t begin, size_t n)
{
    const quant_info *q = quant_get(t->type);
    q->dequantize(out, (const unsigned char *)t->data + begin / q->block * q->bytes, n);
}

void plan_read_scaled(float *out, const plan_entry *e, uint64_t begin, size_t n)
{
    plan_read_values(out, e->t, begin, n);
    for (size_t i = 0; (e->row_scale || e->column_scale) && i < n;) {
        const uint64_t row = (begin + i) / e->row_values, first = (begin + i) % e->row_values;
        const size_t m = n - i < e->row_values - first ? n - i : (size_t)(e->row_values - first);
        const float scale = e->row_scale ? e->row_scale[row] : 1;
        for (size_t k = 0; k < m; k++)
            out[i + k] *= e->column_scale ? scale * e->column_scale[first + k] : scale;
        i += m;
    }
}

qasr_status plan_refuse_not_finite(const plan_entry *e, uint64_t row, float x, qasr_error *err)
{
    return error_set(err, QASR_E_FORMAT, "tensor '%s' row %llu holds %s, expected finite weights", e->t->name,
                     (unsigned long long)row, isnan(x) ? "NaN" : "an infinite value");
}

void plan_scale_squares(float *out, const plan_entry *e, const float *squares)
{
    for (size_t i = 0; i < e->row_values; i++)
        out[i] = e->column_scale ? squares[i] / (e->column_scale[i] * e->column_scale[i]) : squares[i];
}

void plan_release_values(const plan_entry *e, uint64_t begin, uint64_t n)
{
    const wtensor *t = e->t;
    if (!e->source)
        return;
    const file_map *map = weights_file_map(e->source, t->file);
    const quant_info *q = quant_get(t->type);
    size_t from = (size_t)((const unsigned char *)t->data - map->data) + (size_t)(begin / q->block) * q->bytes;
    size_t to = from + (size_t)(n / q->block) * q->bytes;
    from = from > RELEASE_MARGIN ? from - RELEASE_MARGIN : 0;
    to = map->size - to > RELEASE_MARGIN ? to + RELEASE_MARGIN : map->size;
    file_map_release(map, from, to - from);
}

/* Ignores NaN, which the conversion reports. */
static bool fits_half(const plan_entry *e)
{
    float x[SCAN_VALUES];
    float max = 0, largest = quant_get(QUANT_F16)->largest;
    uint64_t n_values = e->t->n_values;
    for (uint64_t i = 0; i < n_values && max <= largest; i += SCAN_VALUES) {
        size_t n = n_values - i < SCAN_VALUES ? (size_t)(n_values - i) : SCAN_VALUES;
        plan_read_values(x, e->t, i, n);
        for (size_t k = 0; k < n; k++)
            max = fabsf(x[k]) > max ? fabsf(x[k]) : max;
        if ((i + SCAN_VALUES) % RELEASE_VALUES == 0)
            plan_release_values(e, i + SCAN_VALUES - RELEASE_VALUES, RELEASE_VALUES);
    }
    plan_release_values(e, 0, n_values);
    return max <= largest;
}

/* ---- types ----------------------------------------------------------------------------------- */

static bool rows_fit(const plan_entry *e, quant_type type) { return e->row_values % quant_get(type)->block == 0; }

static quant_type next_type(quant_type type, bool is_mix)
{
    switch (type) {
    case QUANT_Q4_K: return is_mix ? QUANT_Q8_0 : QUANT_IQ4_NL;
    case QUANT_Q5_K: return is_mix ? QUANT_Q8_0 : QUANT_Q5_0;
    case QUANT_Q6_K: return QUANT_Q8_0;
    default: return QUANT_F16;
    }
}

/* A tensor without data, in an outline, is taken to fit. */
static void set_half(plan_entry *e)
{
    e->type = e->t->type == QUANT_F16 || !e->t->data || fits_half(e) ? QUANT_F16 : QUANT_F32;
}

/* Sets the type, or its substitute where rows do not fit the blocks or values are too large. */
static void set_fitting(plan_entry *e, quant_type type, bool is_mix)
{
    while (!rows_fit(e, type)) {
        type = next_type(type, is_mix);
        e->fallback = true;
    }
    e->type = type;
    if (type == QUANT_F16)
        set_half(e);
}

static void set_by_kind(plan_entry *e, const plan_rules *rules)
{
    const quant_mix *mix = strcmp(plan_part(e), "encoder") == 0 ? &rules->encoder : &rules->decoder;
    e->type = e->t->type;
    switch (e->kind) {
    case PLAN_ATTENTION:
        if (ends_with(e->t->canonical, ".o_proj.weight") || ends_with(e->t->canonical, ".out_proj.weight")) {
            set_fitting(e, mix->attention_out, mix->is_mix);
            break;
        }
        /* fall through */
    case PLAN_MLP:
    case PLAN_PROJECTION: set_fitting(e, mix->matrix, mix->is_mix); break;
    case PLAN_EMBEDDING:
    case PLAN_HEAD:
        if (rules->quantize_embeddings)
            set_fitting(e, rules->decoder.embedding, rules->decoder.is_mix);
        else if (e->t->type == QUANT_F32)
            set_half(e);
        break;
    case PLAN_CONVOLUTION:
        if (rules->exact_convolutions)
            e->type = QUANT_F32;
        else if (e->t->type == QUANT_F32)
            set_half(e);
        break;
    default:
        if (is_vector(e->t))
            e->type = QUANT_F32;
        break;
    }
}

/* *done: a pattern of the user matched. */
static qasr_status set_by_name(plan_entry *e, const plan_rules *rules, bool *done, qasr_error *err)
{
    const char *pattern;
    quant_type type = QUANT_F32;
    TRY(type_rules_find(rules->types, e->t->canonical, &pattern, &type, err));
    *done = pattern != NULL;
    if (!pattern)
        return QASR_OK;
    if (quant_get(type)->block > 1 && (e->t->n_dims != 2 || is_vector(e->t)))
        return error_set(err, QASR_E_INVALID,
                         "pattern '%s' gives type %s to tensor '%s' (%s): only matrices can be stored in blocks; "
                         "use a pattern that does not match it, or f32, f16 or bf16",
                         pattern, quant_get(type)->name, e->t->canonical, plan_kind_name(e->kind));
    set_fitting(e, type, false);
    return QASR_OK;
}

/* ---- entries --------------------------------------------------------------------------------- */

static plan_entry new_entry(const wtensor *t, const weights *source, names_layout layout)
{
    plan_entry e = { .t = t, .source = source, .kind = kind_of(t) };
    e.row_values = t->n_dims ? t->shape[t->n_dims - 1] : 1;
    e.n_rows = e.row_values ? t->n_values / e.row_values : 0;
    if (layout != NAMES_ORIGINAL && !names_in_layout(e.layout_name, sizeof e.layout_name, t->canonical, layout))
        e.layout_name[0] = 0; /* an untied head has no name there */
    return e;
}

static qasr_status set_type(plan_entry *e, const plan_rules *rules, qasr_error *err)
{
    TRY(set_by_name(e, rules, &e->by_name, err));
    if (!e->by_name)
        set_by_kind(e, rules);
    return QASR_OK;
}

static void set_output(plan_entry *e)
{
    const quant_info *q = quant_get(e->type);
    const bool is_scaled = e->row_scale || e->column_scale;
    e->way = e->type == e->t->type && !is_scaled ? PLAN_COPY : PLAN_CONVERT;
    e->bytes = e->t->n_values / q->block * q->bytes;
}

void plan_set_type(plan_entry *e, quant_type type)
{
    plan_way way = e->way;
    e->type = type;
    e->fallback = false;
    set_output(e);
    if (e->way == PLAN_CONVERT)
        e->way = way;
}

static void add_extra(plan *p, const plan_rules *rules)
{
    for (size_t i = 0; i < rules->n_extra; i++) {
        plan_entry *e = &p->entries[p->n++];
        *e = new_entry(&rules->extra[i], NULL, NAMES_ORIGINAL);
        e->kind = PLAN_FRONTEND;
        e->type = e->t->type;
        set_output(e);
    }
}

/* The head may only be skipped if the embedding that replaces it is written. */
static bool has_embedding(const plan *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->entries[i].kind == PLAN_EMBEDDING)
            return true;
    return false;
}

static qasr_status set_types(plan *p, const plan_rules *rules, qasr_error *err)
{
    bool skip_head = rules->tied && has_embedding(p);
    for (size_t i = rules->n_extra; i < p->n; i++) {
        plan_entry *e = &p->entries[i];
        e->skipped = e->kind == PLAN_HEAD && skip_head;
        if (e->skipped)
            continue;
        TRY(set_type(e, rules, err));
        set_output(e);
    }
    return type_rules_check_used(rules->types, err);
}

static void add_sources(plan *p, const weights *const *sources, size_t n_sources, const plan_rules *rules)
{
    for (size_t s = 0; s < n_sources; s++)
        for (size_t i = 0; i < weights_count(sources[s]); i++) {
            const wtensor *t = weights_at(sources[s], i);
            if (starts_with(t->canonical, rules->scope))
                p->entries[p->n++] = new_entry(t, sources[s], rules->layout);
        }
}

qasr_status plan_build(plan *p, const weights *const *sources, size_t n_sources, const plan_rules *rules,
                       qasr_error *err)
{
    size_t n_max = rules->n_extra;
    for (size_t i = 0; i < n_sources; i++)
        n_max += weights_count(sources[i]);
    *p = (plan){ 0 };
    TRY(MEM_CALLOC(&p->entries, n_max, err));
    add_extra(p, rules);
    add_sources(p, sources, n_sources, rules);
    qasr_status status = QASR_OK;
    if (p->n == rules->n_extra)
        status =
            error_set(err, QASR_E_INVALID, "no tensor name starts with '%s' (the first is '%s'): choose another scope",
                      rules->scope, weights_count(sources[0]) ? weights_at(sources[0], 0)->canonical : "");
    else
        status = set_types(p, rules, err);
    if (status != QASR_OK)
        plan_free(p);
    return status;
}

void plan_free(plan *p)
{
    mem_free(p->entries);
    *p = (plan){ 0 };
}
