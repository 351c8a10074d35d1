/* See timeline.h. */
#include "audio/timeline.h"

#include <string.h>

#include "base/mem.h"

qasr_status timeline_omit(timeline *t, size_t at, size_t n, qasr_error *err)
{
    omission *more;
    TRY(MEM_ALLOC(&more, t->n + 1, err));
    if (t->n > 0)
        memcpy(more, t->omissions, t->n * sizeof *more);
    more[t->n++] = (omission){ .at = at, .n = n };
    mem_free(t->omissions);
    t->omissions = more;
    return QASR_OK;
}

size_t timeline_omitted(const timeline *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++)
        n += t->omissions[i].n;
    return n;
}

size_t timeline_original(const timeline *t, size_t sample)
{
    size_t original = sample;
    for (size_t i = 0; i < t->n && t->omissions[i].at <= sample; i++)
        original += t->omissions[i].n;
    return original;
}

void timeline_copy_kept(const timeline *t, float *out, size_t n_kept, const float *pcm)
{
    for (size_t i = 0, done = 0; done < n_kept; i++) {
        size_t end = i < t->n ? t->omissions[i].at : n_kept;
        memcpy(out + done, pcm, (end - done) * sizeof *out);
        pcm += end - done + (i < t->n ? t->omissions[i].n : 0);
        done = end;
    }
}

qasr_status timeline_cut(timeline *t, timeline *rest, size_t at, qasr_error *err)
{
    size_t n_before = 0;
    *rest = (timeline){ 0 };
    while (n_before < t->n && t->omissions[n_before].at <= at)
        n_before++;
    for (size_t i = n_before; i < t->n; i++)
        TRY(timeline_omit(rest, t->omissions[i].at - at, t->omissions[i].n, err));
    t->n = n_before;
    return QASR_OK;
}

void timeline_free(timeline *t)
{
    mem_free(t->omissions);
    *t = (timeline){ 0 };
}
