/* Where to cut long audio: 16 kHz mono samples and a longest piece in, the length of the first piece out. The rule is the
 * reference's (qwen_asr inference/utils.py, split_audio_into_chunks): near each multiple of the longest piece, the 100 ms
 * with the smallest sum of |x|, and in it the sample with the smallest |x|. Pieces touch: no overlap, no gap. */
#include "audio/audio.h"

#include <assert.h>
#include <math.h>

enum {
    SEARCH_SAMPLES = AUDIO_CUT_AHEAD, /* on either side of the wanted cut */
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

size_t audio_piece_length(const float *pcm, size_t n_samples, size_t max_samples)
{
    assert(max_samples > 0);
    if (n_samples <= max_samples)
        return n_samples;
    size_t left = max_samples > SEARCH_SAMPLES ? max_samples - SEARCH_SAMPLES : 0;
    size_t right = n_samples - max_samples > SEARCH_SAMPLES ? max_samples + SEARCH_SAMPLES : n_samples;
    if (right - left <= WINDOW_SAMPLES)
        return max_samples;
    size_t window = left + find_quiet_window(pcm + left, right - left);
    size_t cut = window + find_quiet_sample(pcm + window, WINDOW_SAMPLES);
    return cut > 0 ? cut : 1; /* a piece has at least one sample */
}
