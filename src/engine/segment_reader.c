/* See segment_reader.h. */
#include "engine/segment_reader.h"

#include <string.h>

#include "base/mem.h"

qasr_status segment_reader_open(segment_reader *s, const char *path, const qasr_audio_options *audio, const float *pcm,
                                size_t n_samples, split_rule rule, qasr_error *err)
{
    s->rule = rule;
    if (!path) {
        s->pcm = pcm;
        s->n_samples = n_samples;
        s->n_total = n_samples;
        return QASR_OK;
    }
    TRY(audio_stream_open(&s->stream, path, audio, err));
    s->n_total = audio_stream_length(s->stream);
    return QASR_OK;
}

static qasr_status keep_damages(segment_reader *s, qasr_error *err)
{
    while (audio_stream_damage(s->stream, s->n_damages))
        s->n_damages++;
    if (s->n_damages > 0)
        TRY(MEM_ALLOC(&s->damages, s->n_damages, err));
    for (size_t i = 0; i < s->n_damages; i++)
        s->damages[i] = *audio_stream_damage(s->stream, i);
    return QASR_OK;
}

/* Reads as much as the next cut may depend on. The window grows on demand, since most files are short. */
static qasr_status fill_window(segment_reader *s, qasr_error *err)
{
    enum { BLOCK = 10 * AUDIO_RATE };
    const size_t want = s->rule.window;
    while (s->stream && s->n_window < want) {
        if (s->n_window == s->max_window) {
            float *more;
            size_t n = 2 * s->max_window > BLOCK ? 2 * s->max_window : BLOCK;
            n = n < want ? n : want;
            TRY(MEM_ALLOC(&more, n, err));
            if (s->n_window)
                memcpy(more, s->window, s->n_window * sizeof *more);
            mem_free(s->window);
            s->window = more;
            s->max_window = n;
        }
        size_t n = s->max_window - s->n_window, n_read;
        TRY(audio_stream_read(s->stream, s->window + s->n_window, n, &n_read, err));
        s->n_window += n_read;
        if (n_read < n) {
            TRY(keep_damages(s, err));
            audio_stream_close(s->stream);
            s->stream = NULL;
        }
    }
    return QASR_OK;
}

static void drop_segment(segment_reader *s)
{
    timeline_free(&s->segment.shortened);
    s->segment = (split_segment){ 0 };
}

qasr_status segment_reader_next(segment_reader *s, const mel *m, pool *p, qasr_error *err)
{
    TRY(fill_window(s, err));
    size_t n = s->pcm ? s->n_samples - s->n_passed : s->n_window;
    drop_segment(s);
    if (n == 0) {
        segment_reader_close(s);
        return QASR_OK;
    }
    s->ready = s->pcm ? s->pcm + s->n_passed : s->window;
    return split_next(&s->segment, &s->logs, &s->rule, s->ready, n, s->n_passed == 0, m, p, err);
}

void segment_reader_pass(segment_reader *s)
{
    size_t n = s->segment.n_samples;
    log_mel_free(&s->logs);
    s->n_passed += n;
    if (s->window) {
        memmove(s->window, s->window + n, (s->n_window - n) * sizeof *s->window);
        s->n_window -= n;
    }
    drop_segment(s);
}

void segment_reader_close(segment_reader *s)
{
    audio_stream_close(s->stream);
    s->stream = NULL;
    mem_free(s->window);
    s->window = NULL;
    s->n_window = s->max_window = 0;
    s->ready = NULL;
    log_mel_free(&s->logs);
    drop_segment(s);
}
