/* See resampler.h. */
#include "audio/resampler.h"

#include <soxr.h>
#include <string.h>

#include "audio/audio.h"
#include "base/mem.h"

enum { CHUNK_FLOATS = 65536 };

qasr_status resampler_open(resampler *r, int from, int to, size_t channels, qasr_error *err)
{
    const size_t max_frames = (size_t)AUDIO_MAX_HOURS * 3600 * (size_t)to + CHUNK_FLOATS; /* + what soxr may add */
    *r = (resampler){ .from = from, .to = to, .channels = channels };
    buf_init(&r->pcm, max_frames * channels * sizeof(float));
    if (from == to)
        return QASR_OK;
    TRY(MEM_ALLOC(&r->chunk, CHUNK_FLOATS, err));
    const soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
    const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
    const soxr_runtime_spec_t runtime = soxr_runtime_spec(1);
    soxr_error_t failure = NULL;
    r->soxr = soxr_create(from, to, (unsigned)channels, &failure, &io, &quality, &runtime);
    if (!r->soxr)
        return error_set(err, QASR_E_NOMEM, "cannot set up resampling from %d Hz: %s", from,
                         failure ? failure : "no reason given");
    return QASR_OK;
}

void resampler_close(resampler *r)
{
    soxr_delete(r->soxr);
    mem_free(r->chunk);
    buf_free(&r->pcm);
    *r = (resampler){ 0 };
}

/* frames NULL: ends the signal and takes out what is still inside. */
static qasr_status process(resampler *r, const float *frames, size_t n, qasr_error *err)
{
    const size_t channels = r->channels;
    if (!r->soxr)
        return frames ? buf_add(&r->pcm, frames, n * channels * sizeof *frames, err) : QASR_OK;
    size_t n_used = 0, n_out = 0;
    do {
        size_t used = 0;
        soxr_error_t failure = soxr_process(r->soxr, frames ? frames + n_used * channels : NULL, n - n_used, &used,
                                            r->chunk, CHUNK_FLOATS / channels, &n_out);
        if (failure)
            return error_set(err, QASR_E_NOMEM, "resampling failed: %s", failure);
        n_used += used;
        TRY(buf_add(&r->pcm, r->chunk, n_out * channels * sizeof(float), err));
    } while (n_used < n || (!frames && n_out > 0));
    return QASR_OK;
}

qasr_status resampler_put(resampler *r, const float *frames, size_t n, qasr_error *err)
{
    return n > 0 ? process(r, frames, n, err) : QASR_OK;
}

qasr_status resampler_finish(resampler *r, uint64_t n_frames, qasr_error *err)
{
    static const float silence[64];
    if (n_frames > 0)
        TRY(process(r, NULL, 0, err));
    const size_t want =
        (size_t)(resampler_length(n_frames, r->from, r->to) - r->n_dropped) * r->channels * sizeof(float);
    while (r->pcm.len < want) {
        const size_t missing = want - r->pcm.len;
        TRY(buf_add(&r->pcm, silence, missing < sizeof silence ? missing : sizeof silence, err));
    }
    r->pcm.len = want;
    return QASR_OK;
}

uint64_t resampler_length(uint64_t n, int from, int to)
{
    return (n * (uint64_t)to + (uint64_t)from - 1) / (uint64_t)from;
}

size_t resampler_count(const resampler *r) { return r->pcm.len / (r->channels * sizeof(float)); }

float *resampler_frames(const resampler *r) { return (float *)(void *)r->pcm.data; }

void resampler_drop(resampler *r, size_t n)
{
    const size_t n_bytes = n * r->channels * sizeof(float);
    if (n_bytes == 0)
        return;
    memmove(r->pcm.data, r->pcm.data + n_bytes, r->pcm.len - n_bytes);
    r->pcm.len -= n_bytes;
    r->n_dropped += n;
}

const char *audio_soxr_version(void)
{
    const char *name = soxr_version(), *dash = strrchr(name, '-'); /* "libsoxr-0.1.3" */
    return dash ? dash + 1 : name;
}
