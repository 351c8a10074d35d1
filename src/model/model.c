/* Opens a model: a directory with config.json, safetensors, and optionally a GGUF file for the decoder, or GGUF files
 * that hold everything. Every weight of the network is found by its canonical name and checked against the shape that
 * the configuration implies before anything is computed. */
#include "model/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/files.h"
#include "weights/gguf_read.h"
#include "weights/open.h"
#include "weights/outline.h"
#include "weights/safetensors.h"

#define ENCODER_PREFIX "thinker.audio_tower."
#define DECODER_PREFIX "thinker.model."
#define ENCODER_LAYERS ENCODER_PREFIX "layers."
#define DECODER_LAYERS DECODER_PREFIX "layers."

/* Dimensions of weights. */
typedef enum dim {
    DIM_VECTOR, /* as rows: a vector of cols elements */
    DIM_CHANNELS,
    DIM_CONV1_IN,
    DIM_CONV_IN,
    DIM_FLAT,
    DIM_ENC,
    DIM_ENC_FFN,
    DIM_DEC,
    DIM_DEC_FFN,
    DIM_Q,
    DIM_KV,
    DIM_HEAD,
    DIM_VOCAB
} dim;

static size_t dim_size(const model_config *c, dim d)
{
    switch (d) {
    case DIM_VECTOR: return 1;
    case DIM_CHANNELS: return c->enc.conv_channels;
    case DIM_CONV1_IN: return 9;
    case DIM_CONV_IN: return 9 * c->enc.conv_channels;
    case DIM_FLAT: return c->enc.conv_channels * (c->enc.n_mels / 8);
    case DIM_ENC: return c->enc.d_model;
    case DIM_ENC_FFN: return c->enc.d_ffn;
    case DIM_DEC: return c->dec.d_model;
    case DIM_DEC_FFN: return c->dec.d_ffn;
    case DIM_Q: return c->dec.n_heads * c->dec.head_dim;
    case DIM_KV: return c->dec.n_kv_heads * c->dec.head_dim;
    case DIM_HEAD: return c->dec.head_dim;
    case DIM_VOCAB: return c->dec.n_vocab;
    }
    return 0;
}

typedef struct weight_spec {
    const char *name;
    dim rows, cols;
} weight_spec;

static const weight_spec enc_spec[ENC_WEIGHTS] = {
    [ENC_LN1_W] = { "self_attn_layer_norm.weight", DIM_VECTOR, DIM_ENC },
    [ENC_LN1_B] = { "self_attn_layer_norm.bias", DIM_VECTOR, DIM_ENC },
    [ENC_Q_W] = { "self_attn.q_proj.weight", DIM_ENC, DIM_ENC },
    [ENC_Q_B] = { "self_attn.q_proj.bias", DIM_VECTOR, DIM_ENC },
    [ENC_K_W] = { "self_attn.k_proj.weight", DIM_ENC, DIM_ENC },
    [ENC_K_B] = { "self_attn.k_proj.bias", DIM_VECTOR, DIM_ENC },
    [ENC_V_W] = { "self_attn.v_proj.weight", DIM_ENC, DIM_ENC },
    [ENC_V_B] = { "self_attn.v_proj.bias", DIM_VECTOR, DIM_ENC },
    [ENC_O_W] = { "self_attn.out_proj.weight", DIM_ENC, DIM_ENC },
    [ENC_O_B] = { "self_attn.out_proj.bias", DIM_VECTOR, DIM_ENC },
    [ENC_LN2_W] = { "final_layer_norm.weight", DIM_VECTOR, DIM_ENC },
    [ENC_LN2_B] = { "final_layer_norm.bias", DIM_VECTOR, DIM_ENC },
    [ENC_FC1_W] = { "fc1.weight", DIM_ENC_FFN, DIM_ENC },
    [ENC_FC1_B] = { "fc1.bias", DIM_VECTOR, DIM_ENC_FFN },
    [ENC_FC2_W] = { "fc2.weight", DIM_ENC, DIM_ENC_FFN },
    [ENC_FC2_B] = { "fc2.bias", DIM_VECTOR, DIM_ENC },
};

static const weight_spec dec_spec[DEC_WEIGHTS] = {
    [DEC_NORM1] = { "input_layernorm.weight", DIM_VECTOR, DIM_DEC },
    [DEC_Q] = { "self_attn.q_proj.weight", DIM_Q, DIM_DEC },
    [DEC_K] = { "self_attn.k_proj.weight", DIM_KV, DIM_DEC },
    [DEC_V] = { "self_attn.v_proj.weight", DIM_KV, DIM_DEC },
    [DEC_O] = { "self_attn.o_proj.weight", DIM_DEC, DIM_Q },
    [DEC_Q_NORM] = { "self_attn.q_norm.weight", DIM_VECTOR, DIM_HEAD },
    [DEC_K_NORM] = { "self_attn.k_norm.weight", DIM_VECTOR, DIM_HEAD },
    [DEC_NORM2] = { "post_attention_layernorm.weight", DIM_VECTOR, DIM_DEC },
    [DEC_GATE] = { "mlp.gate_proj.weight", DIM_DEC_FFN, DIM_DEC },
    [DEC_UP] = { "mlp.up_proj.weight", DIM_DEC_FFN, DIM_DEC },
    [DEC_DOWN] = { "mlp.down_proj.weight", DIM_DEC, DIM_DEC_FFN },
};

static const weight_spec top_spec[TOP_WEIGHTS] = {
    [TOP_CONV1_W] = { "thinker.audio_tower.conv2d1.weight", DIM_CHANNELS, DIM_CONV1_IN },
    [TOP_CONV1_B] = { "thinker.audio_tower.conv2d1.bias", DIM_VECTOR, DIM_CHANNELS },
    [TOP_CONV2_W] = { "thinker.audio_tower.conv2d2.weight", DIM_CHANNELS, DIM_CONV_IN },
    [TOP_CONV2_B] = { "thinker.audio_tower.conv2d2.bias", DIM_VECTOR, DIM_CHANNELS },
    [TOP_CONV3_W] = { "thinker.audio_tower.conv2d3.weight", DIM_CHANNELS, DIM_CONV_IN },
    [TOP_CONV3_B] = { "thinker.audio_tower.conv2d3.bias", DIM_VECTOR, DIM_CHANNELS },
    [TOP_CONV_OUT] = { "thinker.audio_tower.conv_out.weight", DIM_ENC, DIM_FLAT },
    [TOP_LN_POST_W] = { "thinker.audio_tower.ln_post.weight", DIM_VECTOR, DIM_ENC },
    [TOP_LN_POST_B] = { "thinker.audio_tower.ln_post.bias", DIM_VECTOR, DIM_ENC },
    [TOP_PROJ1_W] = { "thinker.audio_tower.proj1.weight", DIM_ENC, DIM_ENC },
    [TOP_PROJ1_B] = { "thinker.audio_tower.proj1.bias", DIM_VECTOR, DIM_ENC },
    [TOP_PROJ2_W] = { "thinker.audio_tower.proj2.weight", DIM_DEC, DIM_ENC },
    [TOP_PROJ2_B] = { "thinker.audio_tower.proj2.bias", DIM_VECTOR, DIM_DEC },
    [TOP_EMBED] = { "thinker.model.embed_tokens.weight", DIM_VOCAB, DIM_DEC },
    [TOP_NORM] = { "thinker.model.norm.weight", DIM_VECTOR, DIM_DEC },
    [TOP_HEAD] = { "thinker.lm_head.weight", DIM_VOCAB, DIM_DEC },
};

/* "480x4320" */
static const char *shape_text(char *out, size_t size, unsigned n_dims, const uint64_t *shape)
{
    size_t used = 0;
    out[0] = 0;
    for (unsigned i = 0; i < n_dims && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%" PRIu64, i ? "x" : "", shape[i]);
    return out;
}

static bool shape_matches(const wtensor *t, size_t rows, size_t cols, bool is_vector)
{
    uint64_t first = t->shape[0], rest = 1;
    for (unsigned i = 1; i < t->n_dims; i++)
        rest *= t->shape[i];
    if (is_vector) /* also stored as [n, 1, 1] or [1, 1, n] */
        return t->n_values == cols && (first == cols || t->shape[t->n_dims ? t->n_dims - 1 : 0] == cols);
    return t->n_dims >= 2 && first == rows && rest == cols;
}

static qasr_status refuse_shape(const weight_ref *ref, const model *m, qasr_error *err)
{
    char found[100], wanted[100];
    const wtensor *t = ref->tensor;
    uint64_t shape[2] = { ref->is_vector ? ref->cols : ref->rows, ref->cols };
    return error_set(err, QASR_E_FORMAT, "tensor '%s' in '%s' is %s, %s expects %s", t->name,
                     weights_file_path(ref->source, t->file), shape_text(found, sizeof found, t->n_dims, t->shape),
                     m->in_gguf ? "the metadata" : "config.json",
                     shape_text(wanted, sizeof wanted, ref->is_vector ? 1 : 2, shape));
}

static qasr_status bind(weight_ref *ref, const model *m, const weights *w, const char *name, const weight_spec *spec,
                        qasr_error *err)
{
    const model_config *c = &m->config;
    *ref = (weight_ref){ .tensor = weights_find(w, name),
                         .source = w,
                         .rows = dim_size(c, spec->rows),
                         .cols = dim_size(c, spec->cols),
                         .is_vector = spec->rows == DIM_VECTOR };
    const wtensor *t = ref->tensor;
    char shown[NAMES_MAX_BYTES];
    if (!t)
        return error_set(err, QASR_E_FORMAT, "'%s' has no tensor '%s'", weights_file_path(w, 0),
                         names_shown(shown, sizeof shown, name, weights_layout(w)));
    if (!shape_matches(t, ref->rows, ref->cols, ref->is_vector))
        return refuse_shape(ref, m, err);
    if (ref->is_vector && t->type > QUANT_BF16)
        return error_set(err, QASR_E_FORMAT, "tensor '%s' in '%s' is %s, expected f32, f16 or bf16", t->name,
                         weights_file_path(w, t->file), quant_get(t->type)->name);
    return QASR_OK;
}

static qasr_status bind_layers(weight_ref *refs, const model *m, const weights *w, const char *prefix, size_t n_layers,
                               const weight_spec *spec, size_t n_spec, qasr_error *err)
{
    char name[NAMES_MAX_BYTES];
    for (size_t i = 0; i < n_layers; i++)
        for (size_t j = 0; j < n_spec; j++) {
            snprintf(name, sizeof name, "%s%zu.%s", prefix, i, spec[j].name);
            TRY(bind(&refs[i * n_spec + j], m, w, name, &spec[j], err));
        }
    return QASR_OK;
}

static qasr_status bind_all(model *m, qasr_error *err)
{
    const model_config *c = &m->config;
    for (int i = 0; i < TOP_HEAD; i++)
        TRY(bind(&m->top[i], m, i < TOP_EMBED ? m->encoder : m->decoder, top_spec[i].name, &top_spec[i], err));
    m->top[TOP_HEAD] = m->top[TOP_EMBED];
    if (!c->dec.tied_head) {
        const weights *w = weights_find(m->decoder, top_spec[TOP_HEAD].name) ? m->decoder : m->encoder;
        TRY(bind(&m->top[TOP_HEAD], m, w, top_spec[TOP_HEAD].name, &top_spec[TOP_HEAD], err));
    }
    TRY(MEM_CALLOC(&m->enc, c->enc.n_layers, err));
    TRY(MEM_CALLOC(&m->dec, c->dec.n_layers, err));
    TRY(bind_layers(&m->enc[0][0], m, m->encoder, ENCODER_LAYERS, c->enc.n_layers, enc_spec, ENC_WEIGHTS, err));
    return bind_layers(&m->dec[0][0], m, m->decoder, DECODER_LAYERS, c->dec.n_layers, dec_spec, DEC_WEIGHTS, err);
}

/* ---- one part alone -------------------------------------------------------------------------------- */

/* bind, if the name is in scope. */
static qasr_status check_in_scope(const model *m, const weights *w, const char *scope, const char *name,
                                  const weight_spec *spec, qasr_error *err)
{
    weight_ref ref;
    return strncmp(name, scope, strlen(scope)) == 0 ? bind(&ref, m, w, name, spec, err) : QASR_OK;
}

static qasr_status check_top(const model *m, const weights *w, const char *scope, top_weight first, top_weight last,
                             qasr_error *err)
{
    for (size_t i = first; i <= (size_t)last; i++)
        TRY(check_in_scope(m, w, scope, top_spec[i].name, &top_spec[i], err));
    return QASR_OK;
}

static qasr_status check_layers(const model *m, const weights *w, const char *scope, const char *prefix,
                                size_t n_layers, const weight_spec *spec, size_t n_spec, qasr_error *err)
{
    char name[NAMES_MAX_BYTES];
    for (size_t i = 0; i < n_layers * n_spec; i++) {
        snprintf(name, sizeof name, "%s%zu.%s", prefix, i / n_spec, spec[i % n_spec].name);
        TRY(check_in_scope(m, w, scope, name, &spec[i % n_spec], err));
    }
    return QASR_OK;
}

qasr_status model_check_weights(const weights *w, const model_config *c, bool in_gguf, const char *scope,
                                qasr_error *err)
{
    const model m = { .config = *c, .in_gguf = in_gguf };
    bool has_encoder = false, has_decoder = false;
    for (size_t i = 0; i < weights_count(w); i++) {
        const char *name = weights_at(w, i)->canonical;
        has_encoder = has_encoder || strncmp(name, ENCODER_PREFIX, strlen(ENCODER_PREFIX)) == 0;
        has_decoder = has_decoder || strncmp(name, DECODER_PREFIX, strlen(DECODER_PREFIX)) == 0;
    }
    if (has_encoder) {
        TRY(check_top(&m, w, scope, 0, TOP_EMBED - 1, err));
        TRY(check_layers(&m, w, scope, ENCODER_LAYERS, c->enc.n_layers, enc_spec, ENC_WEIGHTS, err));
    }
    if (has_decoder) {
        TRY(check_top(&m, w, scope, TOP_EMBED, c->dec.tied_head ? TOP_HEAD - 1 : TOP_HEAD, err));
        TRY(check_layers(&m, w, scope, DECODER_LAYERS, c->dec.n_layers, dec_spec, DEC_WEIGHTS, err));
    }
    return QASR_OK;
}

/* ---- outlines --------------------------------------------------------------------------------------- */

typedef struct outline {
    wtensor *tensors; /* [n] */
    char (*names)[NAMES_MAX_BYTES];
    size_t n;
} outline;

static bool is_convolution(const weight_spec *spec) { return spec->cols == DIM_CONV1_IN || spec->cols == DIM_CONV_IN; }

/* name: prefix, the layer unless it is negative, and the name in spec. */
static void add_to_outline(outline *o, const model_config *c, const char *prefix, long layer, const weight_spec *spec)
{
    char *name = o->names[o->n];
    wtensor *t = &o->tensors[o->n++];
    if (layer < 0)
        snprintf(name, NAMES_MAX_BYTES, "%s", spec->name);
    else
        snprintf(name, NAMES_MAX_BYTES, "%s%ld.%s", prefix, layer, spec->name);
    *t = (wtensor){ .name = name, .type = QUANT_BF16, .shape = { dim_size(c, spec->rows), dim_size(c, spec->cols) } };
    t->n_dims = 2;
    if (is_convolution(spec)) {
        t->n_dims = 4;
        t->shape[1] /= 9;
        t->shape[2] = t->shape[3] = 3;
    } else if (spec->rows == DIM_VECTOR) {
        t->n_dims = 1;
        t->shape[0] = t->shape[1];
    }
}

static void fill_outline(outline *o, const model_config *c)
{
    for (int i = 0; i < (c->dec.tied_head ? TOP_HEAD : TOP_WEIGHTS); i++)
        add_to_outline(o, c, "", -1, &top_spec[i]);
    for (size_t i = 0; i < c->enc.n_layers * ENC_WEIGHTS; i++)
        add_to_outline(o, c, ENCODER_LAYERS, (long)(i / ENC_WEIGHTS), &enc_spec[i % ENC_WEIGHTS]);
    for (size_t i = 0; i < c->dec.n_layers * DEC_WEIGHTS; i++)
        add_to_outline(o, c, DECODER_LAYERS, (long)(i / DEC_WEIGHTS), &dec_spec[i % DEC_WEIGHTS]);
}

static qasr_status create_outline(weights **out, const model_config *c, qasr_error *err)
{
    outline o = { 0 };
    size_t n = TOP_WEIGHTS + c->enc.n_layers * ENC_WEIGHTS + c->dec.n_layers * DEC_WEIGHTS;
    qasr_status status = MEM_ALLOC(&o.tensors, n, err);
    if (status == QASR_OK)
        status = MEM_ALLOC(&o.names, n, err);
    if (status == QASR_OK) {
        fill_outline(&o, c);
        status = weights_create_outline(out, o.tensors, o.n, err);
    }
    mem_free(o.names);
    mem_free(o.tensors);
    return status;
}

qasr_status model_create_from_outline(model **out, const model_config *c, weights *w, qasr_error *err)
{
    model *m;
    TRY(MEM_CALLOC(&m, 1, err));
    m->config = *c;
    m->encoder = m->decoder = w;
    qasr_status status = bind_all(m, err);
    if (status != QASR_OK) {
        m->encoder = m->decoder = NULL;
        model_close(m);
        return status;
    }
    *out = m;
    return QASR_OK;
}

qasr_status model_create_outline(model **out, const model_config *c, qasr_error *err)
{
    weights *w;
    TRY(create_outline(&w, c, err));
    qasr_status status = model_create_from_outline(out, c, w, err);
    if (status != QASR_OK)
        weights_close(w);
    return status;
}

/* ---- copying and locking ---------------------------------------------------------------------------- */

/* Lists the network's tensors in one source; out has room for all tensors of the network. Returns their number. */
static size_t list_needed(const wtensor **out, const model *m, const weights *source)
{
    const struct {
        const weight_ref *refs;
        size_t n;
    } parts[] = {
        { m->top, TOP_WEIGHTS },
        { &m->enc[0][0], m->config.enc.n_layers * ENC_WEIGHTS },
        { &m->dec[0][0], m->config.dec.n_layers * DEC_WEIGHTS },
    };
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        for (size_t j = 0; j < parts[i].n; j++)
            if (parts[i].refs[j].source == source)
                out[n++] = parts[i].refs[j].tensor;
    return n;
}

/* refused: an errno. */
static void warn_not_locked(uint64_t n_bytes, int refused)
{
    uint64_t kib = (n_bytes + 1023) / 1024;
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < n_bytes)
        log_warning("the weights are not locked in memory: they take %" PRIu64
                    " KiB, the limit (RLIMIT_MEMLOCK) is %" PRIu64 " KiB; raise it with 'ulimit -l %" PRIu64 "'",
                    kib, (uint64_t)limit.rlim_cur / 1024, kib);
    else
        log_warning("the weights are not locked in memory: %s", strerror(refused));
}

/* Copies or locks the weights if the options ask for it. */
static qasr_status place_weights(model *m, const qasr_model_options *opt, qasr_error *err)
{
    weights *sources[] = { m->decoder, m->encoder };
    size_t n_sources = m->decoder == m->encoder ? 1 : 2;
    const wtensor **needed;
    uint64_t n_bytes = 0;
    int refused = 0;
    TRY(MEM_ALLOC(&needed, TOP_WEIGHTS + m->config.enc.n_layers * ENC_WEIGHTS + m->config.dec.n_layers * DEC_WEIGHTS,
                  err));
    qasr_status status = QASR_OK;
    for (size_t i = 0; i < n_sources && status == QASR_OK; i++) {
        size_t n = list_needed(needed, m, sources[i]);
        if (n > 0 && opt->no_mmap)
            status = weights_copy(sources[i], needed, n, err);
        if (n > 0 && opt->mlock && status == QASR_OK)
            status = weights_lock(sources[i], needed, n, &n_bytes, &refused, err);
    }
    mem_free(needed);
    if (status == QASR_OK && refused)
        warn_not_locked(n_bytes, refused);
    return status;
}

/* ---- opening -------------------------------------------------------------------------------------- */

static qasr_status open_dir(model *m, const qasr_model_options *opt, qasr_error *err)
{
    if (opt->mmproj)
        return error_set(err, QASR_E_INVALID,
                         "'%s' is given, but '%s' is not a llama.cpp model and takes no mmproj file", opt->mmproj,
                         m->path);
    TRY(config_read_dir(&m->config, m->path, err));
    char *gguf_path;
    TRY(files_choose_decoder(&gguf_path, m->path, opt->decoder_weights, opt->decoder_gguf, err));
    qasr_status status = gguf_path ? weights_open_gguf(&m->decoder, gguf_path, err) : QASR_OK;
    if (status == QASR_OK && gguf_path)
        log_info("decoder weights from '%s'", gguf_path);
    mem_free(gguf_path);
    TRY(status);
    TRY(weights_open_safetensors(&m->encoder, m->path, err));
    m->decoder = m->decoder ? m->decoder : m->encoder;
    return QASR_OK;
}

static qasr_status find_gguf(model *m, const char *mmproj, qasr_error *err)
{
    bool found = false;
    if (file_is_dir(m->path)) {
        TRY(files_open_gguf_dir(&m->encoder, &m->decoder, &found, m->path, mmproj, err));
        if (!found)
            return error_set(err, QASR_E_IO,
                             "'%s' is not a model: it has neither config.json nor a GGUF file with a complete model",
                             m->path);
        return QASR_OK;
    }
    if (!file_exists(m->path))
        return error_set(err, QASR_E_IO, "model '%s' does not exist", m->path);
    TRY(weights_is_gguf(&found, m->path, err));
    if (!found)
        return error_set(
            err, QASR_E_IO,
            "model '%s' is neither a GGUF file nor a directory; expected a GGUF file with a complete model or "
            "a directory with config.json and safetensors",
            m->path);
    return files_open_gguf(&m->encoder, &m->decoder, m->path, mmproj, err);
}

/* The files are open. */
static qasr_status use_gguf(model *m, const qasr_model_options *opt, qasr_error *err)
{
    m->in_gguf = true;
    if (m->encoder != m->decoder)
        log_info("encoder from '%s', decoder from '%s'", weights_file_path(m->encoder, 0),
                 weights_file_path(m->decoder, 0));
    if (opt->decoder_gguf || opt->decoder_weights == QASR_DECODER_SAFETENSORS)
        return error_set(err, QASR_E_INVALID,
                         "model '%s' has its decoder in '%s': other decoder weights require a directory with "
                         "config.json",
                         m->path, weights_file_path(m->decoder, 0));
    return config_read_gguf(&m->config, m->encoder, m->decoder, err);
}

static qasr_status open_gguf(model *m, const qasr_model_options *opt, qasr_error *err)
{
    TRY(find_gguf(m, opt->mmproj, err));
    return use_gguf(m, opt, err);
}

static qasr_status has_config(bool *out, const char *path, qasr_error *err)
{
    char *config;
    TRY(file_path_join(&config, path, "config.json", err));
    *out = file_exists(config);
    mem_free(config);
    return QASR_OK;
}

/* A directory with config.json is a checkpoint, whatever else it contains. Without safetensors it may be what came with
 * a complete GGUF file. */
static qasr_status open_dir_with_config(model *m, const qasr_model_options *opt, qasr_error *err)
{
    bool found = false;
    qasr_error why = { .status = QASR_OK };
    qasr_status status = open_dir(m, opt, &why);
    if (status == QASR_E_IO && !m->encoder && !m->decoder)
        TRY(files_open_gguf_dir(&m->encoder, &m->decoder, &found, m->path, opt->mmproj, err));
    if (found)
        return use_gguf(m, opt, err);
    return status == QASR_OK ? QASR_OK : error_set(err, status, "%s", why.message);
}

static qasr_status open_all(model *m, const qasr_model_options *opt, qasr_error *err)
{
    bool with_config;
    TRY(has_config(&with_config, m->path, err));
    TRY(with_config ? open_dir_with_config(m, opt, err) : open_gguf(m, opt, err));
    if (m->config.segment_seconds == 0)
        TRY(config_gguf_segment_seconds(&m->config.segment_seconds, m->decoder, err));
    TRY(bind_all(m, err));
    return place_weights(m, opt, err);
}

qasr_status model_open(model **out, const char *path, const qasr_model_options *opt, qasr_error *err)
{
    model *m;
    TRY(MEM_CALLOC(&m, 1, err));
    qasr_status status = mem_strdup(&m->path, path, err);
    if (status == QASR_OK)
        status = open_all(m, opt, err);
    if (status != QASR_OK) {
        model_close(m);
        return status;
    }
    *out = m;
    return QASR_OK;
}

void model_close(model *m)
{
    if (!m)
        return;
    if (m->decoder != m->encoder)
        weights_close(m->decoder);
    weights_close(m->encoder);
    mem_free(m->enc);
    mem_free(m->dec);
    mem_free(m->path);
    mem_free(m);
}

double model_segment_seconds(const model *m)
{
    /* The published models transcribe best with segments of this length: shorter ones lack context, and the caches and
     * the latency of longer ones grow without a gain (docs/transcribe.md). */
    static const double usual = 30;
    return m->config.segment_seconds > 0 ? m->config.segment_seconds : usual;
}

const char *model_decoder_path(const model *m) { return weights_file_path(m->decoder, 0); }

const char *model_decoder_type(const model *m)
{
    uint64_t bytes[QUANT_TYPE_COUNT] = { 0 };
    for (size_t i = 0; i < m->config.dec.n_layers; i++)
        for (int j = 0; j < DEC_WEIGHTS; j++)
            bytes[m->dec[i][j].tensor->type] += m->dec[i][j].tensor->n_bytes;
    int best = 0;
    for (int t = 1; t < QUANT_TYPE_COUNT; t++)
        if (bytes[t] > bytes[best])
            best = t;
    return quant_get((quant_type)best)->name;
}
