/* Invariants of any weights object that opened, whatever its files contain. */
#ifndef TESTS_FUZZ_WEIGHTS_CHECKS_H
#define TESTS_FUZZ_WEIGHTS_CHECKS_H

#include <string.h>

#include "fuzz.h"
#include "weights/weights.h"

/* The data lies within its file, and the name finds the tensor. */
static inline void check_tensors(const weights *w)
{
    char name[512];
    for (size_t i = 0; i < weights_count(w); i++) {
        const wtensor *t = weights_at(w, i);
        const file_map *map = weights_file_map(w, t->file);
        const unsigned char *data = t->data;
        FUZZ_CHECK(data >= map->data && t->n_bytes <= map->size &&
                   (size_t)(data - map->data) <= map->size - t->n_bytes);
        FUZZ_CHECK(t->n_dims <= WEIGHTS_MAX_DIMS &&
                   t->n_bytes == t->n_values / quant_get(t->type)->block * quant_get(t->type)->bytes);
        FUZZ_CHECK(weights_find(w, t->canonical) == t);
        for (int layout = 0; layout < NAMES_LAYOUTS; layout++)
            FUZZ_CHECK(strlen(names_shown(name, sizeof name, t->canonical, (names_layout)layout)) > 0 ||
                       !*t->canonical);
    }
}

/* Values lie within their file, and arrays have the stated length. */
static inline void check_metadata(const weights *w)
{
    for (size_t i = 0; i < weights_meta_count(w); i++) {
        const wmeta *m = weights_meta_at(w, i);
        FUZZ_CHECK(weights_meta_find(w, m->key) == m);
        if (m->type == WMETA_STRING)
            FUZZ_CHECK(strlen(m->str) <= m->str_len && m->str[m->str_len] == 0);
        if (m->type != WMETA_ARRAY || m->elem_type != WMETA_STRING)
            continue;
        const char *s;
        size_t len;
        uint64_t pos = 0, n = 0;
        for (; wmeta_next_string(m, &pos, &s, &len); n++)
            FUZZ_CHECK((const unsigned char *)s + len <= m->elems + m->elems_bytes);
        FUZZ_CHECK(n == m->n_elems);
    }
}

#endif
