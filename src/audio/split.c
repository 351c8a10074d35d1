/* Where to cut long audio: 16 kHz mono samples and a longest piece in, the starts of all pieces but the
 * first out. The rule is the reference's (qwen_asr inference/utils.py, split_audio_into_chunks): near each
 * multiple of the longest piece, the 100 ms with the smallest sum of |x|, and in it the sample with the
 * smallest |x|. Pieces touch: no overlap, no gap. */
#include "audio/audio.h"

#include <math.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/mem.h"

enum {
    SEARCH_SAMPLES = 5 * AUDIO_RATE, /* on either side of the wanted cut */
    WINDOW_SAMPLES = AUDIO_RATE / 10
};

/* Start of the quietest window inside x [n], n > WINDOW_SAMPLES; of equal ones the first. The sum is carried
 * along in double: its rounding errors stay below 1e-10 of the loudest window. */
static size_t find_quiet_window(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < WINDOW_SAMPLES; i++)
        sum += fabsf(x[i]);
    double best = sum;
    size_t best_at = 0;
    for (size_t at = 1; at + WINDOW_SAMPLES <= n; at++) {
        sum += (double)fabsf(x[at + WINDOW_SAMPLES - 1]) - (double)fabsf(x[at - 1]);
        if (sum < best) {
            best = sum;
            best_at = at;
        }
    }
    return best_at;
}

static size_t find_quiet_sample(const float *x, size_t n)
{
    size_t best_at = 0;
    for (size_t i = 1; i < n; i++)
        if (fabsf(x[i]) < fabsf(x[best_at]))
            best_at = i;
    return best_at;
}

/* End of the piece that begins at start; more than max_samples remain from there. */
static size_t find_cut(const float *pcm, size_t n_samples, size_t start, size_t max_samples)
{
    size_t wanted = start + max_samples;
    size_t left = max_samples > SEARCH_SAMPLES ? wanted - SEARCH_SAMPLES : start;
    size_t right = n_samples - wanted > SEARCH_SAMPLES ? wanted + SEARCH_SAMPLES : n_samples;
    if (right - left <= WINDOW_SAMPLES)
        return wanted;
    size_t window = left + find_quiet_window(pcm + left, right - left);
    size_t cut = window + find_quiet_sample(pcm + window, WINDOW_SAMPLES);
    return cut > start ? cut : start + 1; /* a piece has at least one sample */
}

qasr_status audio_split(size_t **cuts, size_t *n_cuts, const float *pcm, size_t n_samples, size_t max_samples,
                        qasr_error *err)
{
    if (max_samples == 0)
        return error_set(err, QASR_E_INVALID, "longest piece is 0 samples, expected at least 1");
    if (n_samples <= max_samples) {
        *cuts = NULL;
        *n_cuts = 0;
        return QASR_OK;
    }
    size_t max_bytes;
    if (!size_mul(n_samples, sizeof(size_t), &max_bytes)) /* one cut per sample is the most there can be */
        max_bytes = SIZE_MAX;
    buf found; /* size_t values */
    buf_init(&found, max_bytes);
    char *bytes = NULL;
    size_t count = 0;
    qasr_status status = QASR_OK;
    for (size_t start = 0; n_samples - start > max_samples; count++) {
        start = find_cut(pcm, n_samples, start, max_samples);
        TRY_GOTO(buf_add(&found, &start, sizeof start, err));
    }
    TRY_GOTO(buf_take(&found, &bytes, err));
    *cuts = (size_t *)(void *)bytes;
    *n_cuts = count;
done:
    buf_free(&found);
    return status;
}
