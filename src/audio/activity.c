/* Log-mel features [MEL_BINS, n_frames] in, one decision per frame of 10 ms out. Speech stands out in some band even
 * where noise is louder in others, so eight bands are tracked: a frame is active if one of its bands is well above the
 * level that the band sinks to between words. This is not a speech model: music and other changing sounds are active
 * too, steady noise and hum are not.
 *
 * That level is one for the whole audio, so a pause whose noise is louder than the rest counts as active. Therefore
 * steady noise is also found by itself: speech changes the level of some band by far more than a few decibels within
 * two seconds, noise of a constant level does not. */
#include "audio/activity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
    BANDS = 8,
    BAND_BINS = MEL_BINS / BANDS,
    SMOOTH = 2,    /* frames on either side */
    GAP_MAX = 6,   /* shorter gaps are part of speech: the closure before a plosive */
    CLICK_MAX = 8, /* activity this short, four frames of which come from smoothing, is a click */
    FIRST_BIN = 3, /* bins below contain leakage from a DC offset */
    BLOCK = 25,    /* frames; steady stretches are found in steps of this length */
    STEADY_BLOCKS = 8
};
/* In dB. Levels of mel bins: white noise at -70 dBFS has -66. */
static const float ACTIVE_DB = 9, INAUDIBLE = -66, SILENT = -34;
/* Over two seconds, the smoothed levels of white, pink and brown noise range over 6 dB in the band that varies most,
 * and seldom over more than 8; those of speech over at least 11 if it is as loud as the noise, and 16 if 5 dB louder.
 */
static const float STEADY_DB = 9;
static const double FLOOR_SHARE = 0.1; /* share of the frames that are at or below the floor of a band */

/* Features are (log10 + 4) / 4. */
static float decibels(float feature) { return 40 * feature - 40; }

/* Level of the bands, [BANDS, n]: mean of their bins' decibels. */
static void measure_bands(float *level, const float *features, size_t n)
{
    for (size_t b = 0; b < BANDS; b++) {
        float *to = level + b * n;
        memset(to, 0, n * sizeof *to);
        for (size_t i = b * BAND_BINS; i < (b + 1) * BAND_BINS; i++)
            for (size_t t = 0; t < n; t++)
                to[t] += features[i * n + t];
        for (size_t t = 0; t < n; t++)
            to[t] = decibels(to[t] / BAND_BINS);
    }
}

/* out[t]: mean of x over t - reach .. t + reach, clipped to the existing frames. */
static void smooth(float *out, const float *x, size_t n, size_t reach)
{
    for (size_t t = 0; t < n; t++) {
        size_t first = t > reach ? t - reach : 0, end = n - t > reach ? t + reach + 1 : n;
        float sum = 0;
        for (size_t i = first; i < end; i++)
            sum += x[i];
        out[t] = sum / (float)(end - first);
    }
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The floor of a band: the level it sinks to, never below the threshold of hearing. sorted: scratch [n]. */
static float find_floor(float *sorted, const float *level, size_t n)
{
    memcpy(sorted, level, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare_floats);
    float low = sorted[(size_t)(FLOOR_SHARE * (double)(n - 1))];
    return low > INAUDIBLE - ACTIVE_DB ? low : INAUDIBLE - ACTIVE_DB;
}

/* Flips runs of value that are at most max frames long and have neighbours on both sides. */
static void drop_short_runs(bool *active, size_t n, bool value, size_t max)
{
    for (size_t t = 0, end; t < n; t = end) {
        for (end = t + 1; end < n && active[end] == active[t];)
            end++;
        bool inside = value || (t > 0 && end < n); /* silence at the ends stays silence */
        if (active[t] == value && inside && end - t <= max)
            for (size_t i = t; i < end; i++)
                active[i] = !value;
    }
}

static void add_band(activity *a, const float *raw, const float *level, float floor)
{
    for (size_t t = 0; t < a->n_frames; t++) {
        float above = level[t] - floor, rise = t > 0 ? raw[t] - raw[t - 1] : 0;
        a->above[t] = above > a->above[t] ? above : a->above[t];
        a->flux[t] += rise > 0 ? rise / BANDS : 0;
        a->active[t] = a->active[t] || above > ACTIVE_DB;
    }
}

/* Range of a band's levels in a block of frames, with inaudible levels taken as equal. */
typedef struct level_range {
    float low, high;
} level_range;

static level_range join(level_range a, level_range b)
{
    return (level_range){ .low = a.low < b.low ? a.low : b.low, .high = a.high > b.high ? a.high : b.high };
}

static level_range range_of_block(const float *level, size_t n)
{
    const float least = INAUDIBLE - ACTIVE_DB;
    level_range all = { .low = INFINITY, .high = least };
    for (size_t t = 0; t < n; t++) {
        float x = level[t] > least ? level[t] : least;
        all = join(all, (level_range){ x, x });
    }
    return all;
}

/* Clears the flags of stretches in which a smoothed level [n] changes: still[b] is that of the one from block b on.
 * ranges: scratch [n_blocks]. */
static void clear_changing(bool *still, level_range *ranges, size_t n_blocks, const float *level, size_t n)
{
    for (size_t b = 0; b < n_blocks; b++)
        ranges[b] = range_of_block(level + b * BLOCK, b + 1 == n_blocks ? n - b * BLOCK : BLOCK);
    for (size_t b = 0; b + STEADY_BLOCKS <= n_blocks; b++) {
        level_range all = ranges[b];
        for (size_t i = 1; i < STEADY_BLOCKS; i++)
            all = join(all, ranges[b + i]);
        still[b] = still[b] && all.high - all.low <= STEADY_DB;
    }
}

/* Marks the frames of all stretches that are steady in every band; the last block takes the frames that are left. */
static void mark_steady(activity *a, const bool *still, size_t n_blocks)
{
    for (size_t b = 0; b + STEADY_BLOCKS <= n_blocks; b++) {
        size_t last = b + STEADY_BLOCKS, end = last == n_blocks ? a->n_frames : last * BLOCK;
        for (size_t t = b * BLOCK; still[b] && t < end; t++)
            a->steady[t] = true;
    }
}

/* The loudest bin of each frame: a tone has only one or two. */
static void measure_frames(activity *a, const float *features)
{
    const size_t n = a->n_frames;
    memcpy(a->loud, features + FIRST_BIN * n, n * sizeof *a->loud);
    for (size_t i = FIRST_BIN + 1; i < MEL_BINS; i++)
        for (size_t t = 0; t < n; t++)
            a->loud[t] = features[i * n + t] > a->loud[t] ? features[i * n + t] : a->loud[t];
    for (size_t t = 0; t < n; t++)
        a->loud[t] = decibels(a->loud[t]);
}

/* Steady stretches are silent or not as a whole, by their mean level: single frames of noise differ by several dB. */
static void mark_silent(activity *a)
{
    for (size_t t = 0, end; t < a->n_frames; t = end) {
        double sum = a->loud[t];
        for (end = t + 1; end < a->n_frames && a->steady[t] && a->steady[end]; end++)
            sum += a->loud[end];
        const bool is_faint = sum / (double)(end - t) < (double)SILENT;
        for (size_t i = t; i < end; i++)
            a->silent[i] = is_faint && !a->active[i];
    }
}

static qasr_status fill(activity *a, const float *features, qasr_error *err)
{
    const size_t n = a->n_frames;
    const size_t n_blocks = n > BLOCK ? n / BLOCK : 1;
    float *raw = NULL, *level = NULL;
    level_range *ranges = NULL;
    bool *still = NULL;
    qasr_status status;
    TRY_GOTO(MEM_ALLOC(&raw, BANDS * n, err));
    TRY_GOTO(MEM_ALLOC(&level, 2 * n, err));
    TRY_GOTO(MEM_ALLOC(&ranges, n_blocks, err));
    TRY_GOTO(MEM_ALLOC(&still, n_blocks, err));
    measure_bands(raw, features, n);
    measure_frames(a, features);
    memset(still, true, n_blocks * sizeof *still);
    for (size_t b = 0; b < BANDS; b++) {
        smooth(level, raw + b * n, n, SMOOTH);
        add_band(a, raw + b * n, level, find_floor(level + n, level, n));
        clear_changing(still, ranges, n_blocks, level, n);
    }
    smooth(level, a->loud, n, SMOOTH); /* tones hardly change the mean of a band */
    clear_changing(still, ranges, n_blocks, level, n);
    mark_steady(a, still, n_blocks);
    drop_short_runs(a->active, n, false, GAP_MAX);
    drop_short_runs(a->active, n, true, CLICK_MAX);
    mark_silent(a);
done:
    mem_free(raw);
    mem_free(level);
    mem_free(ranges);
    mem_free(still);
    return status;
}

qasr_status activity_find(activity *a, const float *features, size_t n_frames, qasr_error *err)
{
    *a = (activity){ .n_frames = n_frames };
    qasr_status status;
    TRY_GOTO(MEM_CALLOC(&a->above, n_frames, err));
    TRY_GOTO(MEM_CALLOC(&a->flux, n_frames, err));
    TRY_GOTO(MEM_CALLOC(&a->active, n_frames, err));
    TRY_GOTO(MEM_CALLOC(&a->loud, n_frames, err));
    TRY_GOTO(MEM_CALLOC(&a->steady, n_frames, err));
    TRY_GOTO(MEM_CALLOC(&a->silent, n_frames, err));
    TRY_GOTO(fill(a, features, err));
done:
    if (status != QASR_OK)
        activity_free(a);
    return status;
}

void activity_free(activity *a)
{
    mem_free(a->above);
    mem_free(a->flux);
    mem_free(a->active);
    mem_free(a->loud);
    mem_free(a->steady);
    mem_free(a->silent);
    *a = (activity){ 0 };
}

size_t activity_edges(const activity *a, size_t *first, size_t *end)
{
    size_t n_active_frames = 0;
    *first = *end = 0;
    for (size_t t = 0; t < a->n_frames; t++) {
        if (!a->active[t])
            continue;
        if (n_active_frames++ == 0)
            *first = t;
        *end = t + 1;
    }
    return n_active_frames;
}

bool activity_is_silent(const activity *a, size_t t) { return a->silent[t]; }

bool activity_is_still(const activity *a, size_t t) { return a->steady[t] || activity_is_silent(a, t); }
