/* The rules of quantization, tensor by tensor: canonical name, rank and source type in, stored type out.
 *
 *   matrices of attention, mlp and encoder projections   the wanted type; rows that do not fit its blocks:
 *                                                         q6_k -> q8_0 -> f16
 *   embedding, untied head                                as in the source (f32 becomes f16), or like the
 *                                                         matrices when asked for
 *   convolutions                                          as in the source (f32 becomes f16)
 *   norms, biases, all other vectors                      f32
 *   everything else                                       as in the source
 *
 * Half precision is only chosen for values that fit it: a tensor with |x| > 65504 becomes f32 instead. */
#include "engine/plan.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

enum {
    SCAN_VALUES = 4096,
    RELEASE_VALUES = 1 << 20, /* while scanning: how much may stay mapped */
    RELEASE_MARGIN = 1 << 16  /* bytes; the kernel maps up to this much around a fault */
};

static const float MAX_HALF = 65504.0f;

const char *plan_kind_name(plan_kind kind)
{
    static const char *const names[PLAN_KIND_COUNT] = {
        [PLAN_ATTENTION] = "attention",     [PLAN_MLP] = "mlp",
        [PLAN_PROJECTION] = "projection",   [PLAN_CONVOLUTION] = "convolution",
        [PLAN_EMBEDDING] = "embedding",     [PLAN_HEAD] = "head",
        [PLAN_NORM] = "norm",               [PLAN_BIAS] = "bias",
        [PLAN_OTHER] = "other",
    };
    return names[kind];
}

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

static plan_kind kind_of(const wtensor *t)
{
    if (t->n_dims == 2)
        return kind_of_matrix(t->canonical);
    if (t->n_dims == 4)
        return PLAN_CONVOLUTION;
    if (t->n_dims == 1 && (strstr(t->canonical, "norm") || strstr(t->canonical, "ln_post")))
        return PLAN_NORM;
    if (t->n_dims == 1 && ends_with(t->canonical, ".bias"))
        return PLAN_BIAS;
    return PLAN_OTHER;
}

void plan_read_values(float *out, const wtensor *t, uint64_t begin, size_t n)
{
    const quant_info *q = quant_get(t->type);
    q->dequantize(out, (const unsigned char *)t->data + begin * q->bytes, n);
}

void plan_release_values(const weights *w, const wtensor *t, uint64_t begin, uint64_t n)
{
    const file_map *map = weights_file_map(w, t->file);
    size_t size = quant_get(t->type)->bytes;
    size_t from = (size_t)((const unsigned char *)t->data - map->data) + (size_t)begin * size;
    size_t to = from + (size_t)n * size;
    from = from > RELEASE_MARGIN ? from - RELEASE_MARGIN : 0;
    to = map->size - to > RELEASE_MARGIN ? to + RELEASE_MARGIN : map->size;
    file_map_release(map, from, to - from);
}

/* NaN is let through here: the conversion itself reports it. */
static bool fits_half(const weights *w, const wtensor *t)
{
    float x[SCAN_VALUES];
    float max = 0;
    for (uint64_t i = 0; i < t->n_values && max <= MAX_HALF; i += SCAN_VALUES) {
        size_t n = t->n_values - i < SCAN_VALUES ? (size_t)(t->n_values - i) : SCAN_VALUES;
        plan_read_values(x, t, i, n);
        for (size_t k = 0; k < n; k++)
            max = fabsf(x[k]) > max ? fabsf(x[k]) : max;
        if ((i + SCAN_VALUES) % RELEASE_VALUES == 0)
            plan_release_values(w, t, i + SCAN_VALUES - RELEASE_VALUES, RELEASE_VALUES);
    }
    plan_release_values(w, t, 0, t->n_values);
    return max <= MAX_HALF;
}

static quant_type half_type(const weights *w, const wtensor *t)
{
    return fits_half(w, t) ? QUANT_F16 : QUANT_F32;
}

static bool rows_fit(const wtensor *t, quant_type type)
{
    return t->shape[t->n_dims - 1] % quant_get(type)->block == 0;
}

static void set_quantized(plan_entry *e, const weights *w, quant_type qtype)
{
    e->fallback = !rows_fit(e->t, qtype);
    if (!e->fallback)
        e->type = qtype;
    else
        e->type = rows_fit(e->t, QUANT_Q8_0) ? QUANT_Q8_0 : half_type(w, e->t);
}

static void set_type(plan_entry *e, const weights *w, const plan_rules *rules)
{
    const wtensor *t = e->t;
    quant_type half = t->type;
    e->type = t->type;
    switch (e->kind) {
    case PLAN_ATTENTION:
    case PLAN_MLP:
    case PLAN_PROJECTION:
        set_quantized(e, w, rules->qtype);
        break;
    case PLAN_EMBEDDING:
    case PLAN_HEAD:
        if (rules->quantize_embeddings) {
            set_quantized(e, w, rules->qtype);
            break;
        }
        /* fall through */
    case PLAN_CONVOLUTION:
        if (t->type == QUANT_F32)
            half = half_type(w, t);
        e->type = half;
        break;
    default:
        if (t->n_dims < 2)
            e->type = QUANT_F32;
        break;
    }
}

static bool in_scope(const wtensor *t, const char *scope)
{
    return strncmp(t->canonical, scope, strlen(scope)) == 0;
}

/* The head may only be left out when the embedding that stands for it is written. */
static bool has_embedding(const plan *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->entries[i].kind == PLAN_EMBEDDING)
            return true;
    return false;
}

qasr_status plan_build(plan *p, const weights *w, const plan_rules *rules, qasr_error *err)
{
    *p = (plan){ 0 };
    TRY(MEM_CALLOC(&p->entries, weights_count(w), err));
    for (size_t i = 0; i < weights_count(w); i++) {
        const wtensor *t = weights_at(w, i);
        if (in_scope(t, rules->scope))
            p->entries[p->n++] = (plan_entry){ .t = t, .kind = kind_of(t) };
    }
    if (p->n == 0) {
        plan_free(p);
        return error_set(err, QASR_E_INVALID,
                         "no tensor name starts with '%s' (the first is '%s'): choose another scope", rules->scope,
                         weights_count(w) ? weights_at(w, 0)->canonical : "");
    }
    bool skip_head = rules->tied && has_embedding(p);
    for (size_t i = 0; i < p->n; i++) {
        plan_entry *e = &p->entries[i];
        e->skipped = e->kind == PLAN_HEAD && skip_head;
        if (!e->skipped)
            set_type(e, w, rules);
    }
    return QASR_OK;
}

void plan_free(plan *p)
{
    mem_free(p->entries);
    *p = (plan){ 0 };
}
