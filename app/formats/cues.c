/* See cues.h. */
#include "app/formats/cues.h"

#include <stdlib.h>
#include <string.h>

void cues_add(void *user, double start_s, double end_s, const char *lines)
{
    cues *c = user;
    if (c->n == c->capacity) {
        const size_t capacity = c->capacity ? 2 * c->capacity : 64;
        cue *list = realloc(c->list, capacity * sizeof *list);
        if (list) {
            c->list = list;
            c->capacity = capacity;
        }
    }
    char *copy = c->n < c->capacity ? strdup(lines) : NULL;
    c->no_memory = c->no_memory || !copy;
    if (copy)
        c->list[c->n++] = (cue){ start_s, end_s, copy };
}

void cues_stretch(cues *c, double min_s, double begin_s, double end_s)
{
    for (size_t i = 0; i < c->n; i++) {
        cue *q = &c->list[i];
        const double earliest_s = i > 0 ? c->list[i - 1].end_s : begin_s;
        const double latest_s = i + 1 < c->n ? c->list[i + 1].start_s : end_s;
        const double wanted_end_s = q->start_s + min_s < latest_s ? q->start_s + min_s : latest_s;
        q->end_s = wanted_end_s > q->end_s ? wanted_end_s : q->end_s;
        const double wanted_start_s = q->end_s - min_s > earliest_s ? q->end_s - min_s : earliest_s;
        q->start_s = wanted_start_s < q->start_s ? wanted_start_s : q->start_s;
    }
}

void cues_free(cues *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->list[i].lines);
    free(c->list);
    *c = (cues){ 0 };
}
