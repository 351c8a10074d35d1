/* See facts.h: the contents of a file of weights. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "inspect/facts.h"
#include "model/config.h"
#include "weights/gguf_format.h"

static const char *gguf_layout(const weights *w)
{
    if (strcmp(weights_meta_string(w, "general.type"), GGUF_TYPE_IMATRIX) == 0)
        return "imatrix (statistics, no weights)";
    switch (config_gguf_kind(w)) {
    case GGUF_WHOLE: return names_layout_name(weights_layout(w));
    case GGUF_TEXT: return "llama.cpp text model";
    case GGUF_MMPROJ: return "llama.cpp mmproj";
    case GGUF_DECODER:
        if (*weights_meta_string(w, "general.architecture"))
            return "qasr";
        return weights_meta_count(w) == 0 && weights_find(w, "thinker.model.norm.weight") ? "RustASR" : "unknown";
    default: return "unknown";
    }
}

static const char *safetensors_layout(const weights *w)
{
    for (size_t i = 0; i < weights_count(w); i++)
        if (strncmp(weights_at(w, i)->canonical, "thinker.", strlen("thinker.")) == 0)
            return names_layout_name(weights_layout(w));
    return "unknown";
}

const char *facts_layout(const weights *w)
{
    return weights_kind(w) == WEIGHTS_GGUF ? gguf_layout(w) : safetensors_layout(w);
}

const char *facts_part(const char *canonical)
{
    static const struct {
        const char *prefix, *part;
    } rules[] = {
        /* the first that fits */
        { "thinker.model.embed_tokens.", "embedding" },
        { "thinker.lm_head.", "head" },
        { "thinker.audio_tower.", "encoder" },
        { "thinker.model.", "decoder" },
        /* llama.cpp's names, which statistics and tables without an original name keep */
        { "a.", "encoder" },
        { "mm.a.", "encoder" },
        { "blk.", "decoder" },
        { "token_embd.", "embedding" },
        { "output.", "head" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (strncmp(canonical, rules[i].prefix, strlen(rules[i].prefix)) == 0)
            return rules[i].part;
    return "other";
}

static qasr_status add_parameter_facts(facts *f, const weights *w, qasr_error *err)
{
    static const char *const parts[] = { "encoder", "decoder", "embedding", "head", "other" };
    uint64_t sum[ARRAY_LEN(parts)] = { 0 }, total = 0;
    for (size_t i = 0; i < weights_count(w); i++)
        for (size_t p = 0; p < ARRAY_LEN(parts); p++)
            if (strcmp(facts_part(weights_at(w, i)->canonical), parts[p]) == 0) {
                sum[p] += weights_at(w, i)->n_values;
                total += weights_at(w, i)->n_values;
            }
    TRY(facts_add(f, err, "parameters", "%" PRIu64, total));
    for (size_t p = 0; p < ARRAY_LEN(parts); p++) {
        char key[32];
        snprintf(key, sizeof key, "parameters.%s", parts[p]);
        if (sum[p])
            TRY(facts_add(f, err, key, "%" PRIu64, sum[p]));
    }
    return QASR_OK;
}

static qasr_status add_type_facts(facts *f, const weights *w, qasr_error *err)
{
    for (int type = 0; type < QUANT_TYPE_COUNT; type++) {
        size_t n = 0;
        uint64_t bytes = 0;
        for (size_t i = 0; i < weights_count(w); i++)
            if ((int)weights_at(w, i)->type == type) {
                n++;
                bytes += weights_at(w, i)->n_bytes;
            }
        char key[32];
        snprintf(key, sizeof key, "type.%s", quant_get((quant_type)type)->name);
        if (n)
            TRY(facts_add(f, err, key, "%zu tensor%s, %" PRIu64 " bytes", n, n == 1 ? "" : "s", bytes));
    }
    return QASR_OK;
}

/* "safetensors, 2 files" or "GGUF version 3", "GGUF version 3, 2 files". */
static qasr_status add_container_fact(facts *f, const weights *w, qasr_error *err)
{
    size_t n = weights_file_count(w);
    if (weights_kind(w) == WEIGHTS_GGUF) { /* the reader has checked the header: magic, then the version */
        uint32_t version;
        memcpy(&version, weights_file_map(w, 0)->data + 4, sizeof version);
        return n > 1 ? facts_add(f, err, "container", "GGUF version %" PRIu32 ", %zu files", version, n)
                     : facts_add(f, err, "container", "GGUF version %" PRIu32, version);
    }
    return facts_add(f, err, "container", "safetensors, %zu file%s", n, n == 1 ? "" : "s");
}

qasr_status facts_add_weights(facts *f, const weights *w, qasr_error *err)
{
    TRY(facts_add(f, err, "layout", "%s", facts_layout(w)));
    TRY(add_container_fact(f, w, err));
    TRY(facts_add(f, err, "tensors", "%zu", weights_count(w)));
    TRY(add_parameter_facts(f, w, err));
    return add_type_facts(f, w, err);
}
