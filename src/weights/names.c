/* Tensor names: a name of the "-hf" layout goes in, the original checkpoint's name comes out (model
 * specification, table of native names). Values and shapes are the same in both layouts. */
#include <string.h>

#include "base/error.h"
#include "weights/weights.h"

/* The first prefix that fits decides, so longer prefixes stand before shorter ones of the same start. */
static const struct {
    const char *native, *original;
} prefixes[] = {
    { "model.language_model.", "thinker.model." },
    { "model.multi_modal_projector.linear_1.", "thinker.audio_tower.proj1." },
    { "model.multi_modal_projector.linear_2.", "thinker.audio_tower.proj2." },
    { "model.audio_tower.", "thinker.audio_tower." },
    { "lm_head.", "thinker.lm_head." },
    { "score.", "thinker.lm_head." }, /* the forced aligner's head */
};

bool names_canonical(char *out, size_t size, const char *name)
{
    const char *start = "";
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        size_t n = strlen(prefixes[i].native);
        if (strncmp(name, prefixes[i].native, n) == 0) {
            start = prefixes[i].original;
            name += n;
            break;
        }
    }
    size_t n_start = strlen(start), n_rest = strlen(name);
    if (n_start >= size || n_rest >= size - n_start)
        return false;
    memcpy(out, start, n_start);
    memcpy(out + n_start, name, n_rest + 1);
    return true;
}
