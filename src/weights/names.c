/* One table of tensor names, read in both directions. The first column has the name in the original checkpoint, the
 * others the name of the same tensor in other layouts. Values and shapes are the same in all layouts.
 *
 * A name that ends in a dot is a prefix: the rest is the same in all layouts. Any other is a complete name without
 * ".weight" or ".bias". '#' stands for a layer number. The first matching row decides, so longer prefixes precede
 * shorter ones with the same start, and a name for writing precedes aliases for reading. */
#include <string.h>

#include "base/error.h"
#include "weights/weights.h"

#define TOWER "thinker.audio_tower."
#define TOWER_LAYER TOWER "layers.#."
#define LAYER "thinker.model.layers.#."

/* original, "-hf", llama.cpp, transcribe.cpp, CrispASR */
static const char *const rows[][NAMES_LAYOUTS] = {
    { "thinker.model.", "model.language_model." },
    { TOWER "proj1.", "model.multi_modal_projector.linear_1." },
    { TOWER "proj2.", "model.multi_modal_projector.linear_2." },
    { TOWER, "model.audio_tower." },
    { "thinker.lm_head.", "lm_head." },
    { "thinker.lm_head.", "score." }, /* the forced aligner's head */

    { TOWER "conv2d1", NULL, "a.conv2d.1", "enc.conv.0", "audio.conv.1" },
    { TOWER "conv2d2", NULL, "a.conv2d.2", "enc.conv.1", "audio.conv.2" },
    { TOWER "conv2d3", NULL, "a.conv2d.3", "enc.conv.2", "audio.conv.3" },
    { TOWER "conv_out", NULL, "a.conv_out", "enc.conv_out", "audio.conv_out" },
    { TOWER_LAYER "self_attn_layer_norm", NULL, "a.blk.#.ln1", "enc.blocks.#.norm_attn", "audio.blk.#.attn_norm" },
    { TOWER_LAYER "self_attn.q_proj", NULL, "a.blk.#.attn_q", "enc.blocks.#.attn.q", "audio.blk.#.attn_q" },
    { TOWER_LAYER "self_attn.k_proj", NULL, "a.blk.#.attn_k", "enc.blocks.#.attn.k", "audio.blk.#.attn_k" },
    { TOWER_LAYER "self_attn.v_proj", NULL, "a.blk.#.attn_v", "enc.blocks.#.attn.v", "audio.blk.#.attn_v" },
    { TOWER_LAYER "self_attn.out_proj", NULL, "a.blk.#.attn_out", "enc.blocks.#.attn.out", "audio.blk.#.attn_out" },
    { TOWER_LAYER "final_layer_norm", NULL, "a.blk.#.ln2", "enc.blocks.#.norm_ffn", "audio.blk.#.ffn_norm" },
    { TOWER_LAYER "fc1", NULL, "a.blk.#.ffn_up", "enc.blocks.#.ffn.fc1", "audio.blk.#.ffn_up" },
    { TOWER_LAYER "fc2", NULL, "a.blk.#.ffn_down", "enc.blocks.#.ffn.fc2", "audio.blk.#.ffn_down" },
    { TOWER "ln_post", NULL, "a.post_ln", "enc.ln_post", "audio.ln_post" },
    { TOWER "proj1", NULL, "mm.a.mlp.1", "enc.proj1", "audio.proj1" },
    { TOWER "proj2", NULL, "mm.a.mlp.2", "enc.proj2", "audio.proj2" },

    { "thinker.model.embed_tokens", NULL, "token_embd", "dec.token_embd", "token_embd" },
    { "thinker.model.norm", NULL, "output_norm", "dec.output_norm", "output_norm" },
    { "thinker.lm_head", NULL, "output", NULL, "output" }, /* in transcribe.cpp it is always the embedding */
    { LAYER "input_layernorm", NULL, "blk.#.attn_norm", "dec.blocks.#.norm_attn", "blk.#.attn_norm" },
    { LAYER "self_attn.q_proj", NULL, "blk.#.attn_q", "dec.blocks.#.attn.q", "blk.#.attn_q" },
    { LAYER "self_attn.k_proj", NULL, "blk.#.attn_k", "dec.blocks.#.attn.k", "blk.#.attn_k" },
    { LAYER "self_attn.v_proj", NULL, "blk.#.attn_v", "dec.blocks.#.attn.v", "blk.#.attn_v" },
    { LAYER "self_attn.o_proj", NULL, "blk.#.attn_output", "dec.blocks.#.attn.o", "blk.#.attn_output" },
    { LAYER "self_attn.q_norm", NULL, "blk.#.attn_q_norm", "dec.blocks.#.attn.q_norm", "blk.#.attn_q_norm" },
    { LAYER "self_attn.k_norm", NULL, "blk.#.attn_k_norm", "dec.blocks.#.attn.k_norm", "blk.#.attn_k_norm" },
    { LAYER "post_attention_layernorm", NULL, "blk.#.ffn_norm", "dec.blocks.#.norm_ffn", "blk.#.ffn_norm" },
    { LAYER "mlp.gate_proj", NULL, "blk.#.ffn_gate", "dec.blocks.#.ffn.gate", "blk.#.ffn_gate" },
    { LAYER "mlp.up_proj", NULL, "blk.#.ffn_up", "dec.blocks.#.ffn.up", "blk.#.ffn_up" },
    { LAYER "mlp.down_proj", NULL, "blk.#.ffn_down", "dec.blocks.#.ffn.down", "blk.#.ffn_down" },
};

/* The parts of a name that its pattern leaves open. */
typedef struct wildcard {
    const char *number, *rest; /* layer number, and the part after the pattern */
    size_t n_number;
} wildcard;

static bool match(wildcard *w, const char *pattern, const char *name)
{
    bool is_prefix = pattern[strlen(pattern) - 1] == '.';
    *w = (wildcard){ .number = "" };
    for (; *pattern; pattern++) {
        if (*pattern == '#') {
            w->number = name;
            w->n_number = strspn(name, "0123456789");
            name += w->n_number;
            if (w->n_number == 0)
                return false;
        } else if (*name++ != *pattern) {
            return false;
        }
    }
    w->rest = name;
    return is_prefix || strcmp(name, ".weight") == 0 || strcmp(name, ".bias") == 0;
}

/* Appends n bytes and a NUL; false if they do not fit. */
static bool append(char *out, size_t size, size_t *used, const char *s, size_t n)
{
    if (n >= size - *used)
        return false;
    memcpy(out + *used, s, n);
    *used += n;
    out[*used] = 0;
    return true;
}

static bool expand(char *out, size_t size, const char *pattern, const wildcard *w)
{
    size_t used = 0, n_before = strcspn(pattern, "#");
    const char *after = pattern[n_before] ? pattern + n_before + 1 : "";
    return size > 0 && append(out, size, &used, pattern, n_before) &&
           append(out, size, &used, w->number, w->n_number) && append(out, size, &used, after, strlen(after)) &&
           append(out, size, &used, w->rest, strlen(w->rest));
}

/* *found: a row matches the name. */
static bool translate(char *out, size_t size, const char *name, names_layout from, names_layout to, bool *found)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        wildcard w;
        *found = rows[i][from] && rows[i][to] && match(&w, rows[i][from], name);
        if (*found)
            return expand(out, size, rows[i][to], &w);
    }
    return false;
}

bool names_canonical(char *out, size_t size, const char *name, names_layout from)
{
    bool found = false;
    bool fits = from != NAMES_ORIGINAL && translate(out, size, name, from, NAMES_ORIGINAL, &found);
    return found ? fits : expand(out, size, "", &(wildcard){ .number = "", .rest = name });
}

bool names_in_layout(char *out, size_t size, const char *canonical, names_layout to)
{
    bool found = false;
    if (to == NAMES_ORIGINAL)
        return expand(out, size, "", &(wildcard){ .number = "", .rest = canonical });
    return translate(out, size, canonical, NAMES_ORIGINAL, to, &found);
}

const char *names_shown(char *out, size_t size, const char *canonical, names_layout to)
{
    return names_in_layout(out, size, canonical, to) ? out : canonical;
}

const char *names_layout_name(names_layout layout)
{
    static const char *const names[NAMES_LAYOUTS] = { "original", "hf", "llama.cpp", "transcribe.cpp", "CrispASR" };
    return names[layout];
}

static size_t count_known(names_layout layout, const wtensor *tensors, size_t n)
{
    size_t n_known = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
            wildcard w;
            if (rows[r][layout] && match(&w, rows[r][layout], tensors[i].name)) {
                n_known++;
                break;
            }
        }
    return n_known;
}

names_layout names_detect(const char *architecture, const wtensor *tensors, size_t n)
{
    static const struct {
        const char *architecture;
        names_layout layout;
    } known[] = {
        { "qwen3vl", NAMES_LLAMA },
        { "clip", NAMES_LLAMA },
        { "qwen3_asr", NAMES_STT },
        { "qwen3asr", NAMES_CRISP },
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(architecture, known[i].architecture) == 0)
            return known[i].layout;
    names_layout best = NAMES_ORIGINAL;
    size_t n_best = 0;
    for (int layout = NAMES_ORIGINAL + 1; layout < NAMES_LAYOUTS; layout++) {
        size_t n_known = count_known((names_layout)layout, tensors, n);
        if (n_known > n_best) {
            best = (names_layout)layout;
            n_best = n_known;
        }
    }
    return best;
}
