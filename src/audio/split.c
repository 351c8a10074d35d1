/* See split.h. activity.c marks active frames. A cut goes into a pause, at the point with the least energy and change.
 * A long pause outweighs a length close to the preferred one; without any pause, the quietest point in range is taken.
 * Long silence ends a segment and becomes a separate one, which is not transcribed. Other pauses are shortened: models
 * of this kind invent text for long stretches without speech. */
#include "audio/split.h"

#include <assert.h>
#include <math.h>

#include "audio/activity.h"
#include "base/mem.h"

enum { AHEAD_S = 12, LEEWAY_S = 5 };

enum { FRAMES_PER_S = AUDIO_RATE / MEL_HOP };

/* In frames. */
enum {
    PAUSE_MIN = FRAMES_PER_S / 10,        /* shorter ones may be inside a word */
    PAUSE_ENOUGH = 6 * FRAMES_PER_S / 10, /* longer ones are no better */
    EDGE = 3,                             /* of a pause, not used for cuts */
    REACH = 8,                            /* frames on either side of a cut that count */
    MARGIN = 3 * FRAMES_PER_S / 10,       /* silence that stays with the speech around it */
    SKIP_MIN = 2 * FRAMES_PER_S,          /* leading silence from this length on becomes a segment */
    GAP_MIN = 4 * FRAMES_PER_S,           /* the same after speech */
    PAUSE_MAX = 2 * FRAMES_PER_S          /* longer ones are shortened to this length, half at either end */
};
static const float FAINT = 3e-4f;   /* samples up to this are silence: 10 steps of 16 bits */
static const float DISTANCE_DB = 6; /* the same where there is no pause, against energy and change */

static size_t samples_of(double seconds)
{
    return seconds < 1e12 / AUDIO_RATE ? (size_t)(seconds * AUDIO_RATE) : (size_t)1e12;
}

split_rule split_rule_make(double max_s, double usual_s)
{
    const size_t ahead = AHEAD_S * AUDIO_RATE;
    if (max_s == 0) {
        const size_t longer = samples_of(usual_s * 16 / 15); /* 32 s for 30 s */
        return (split_rule){ .max = samples_of(usual_s * 4 / 3),
                             .max_pause = longer,
                             .aim = samples_of(usual_s),
                             .tolerance = samples_of(usual_s / 5),
                             .whole = longer,
                             .rest = longer,
                             .window = 2 * longer };
    }
    const size_t max = audio_padded_samples(samples_of(max_s)); /* holds at least what the features need */
    const size_t leeway = LEEWAY_S * AUDIO_RATE < max / 4 ? LEEWAY_S * AUDIO_RATE : max / 4;
    return (split_rule){ .max = max,
                         .max_pause = max,
                         .aim = max - leeway,
                         .tolerance = 2 * leeway,
                         .whole = max,
                         .rest = max,
                         .window = max + (ahead < max ? ahead : max),
                         .verbatim = max_s >= QASR_LONGEST_SEGMENT_S };
}

/* ---- the place of a cut ------------------------------------------------------------------------------- */

/* Candidate frames for a cut, [first, end), and the preferred one; see split_rule. */
typedef struct range {
    size_t first, end, aim, tolerance;
} range;

/* 0 at the aim, 1 at the tolerance. */
static double distance(const range *r, size_t t)
{
    return fabs((double)t - (double)r->aim) / (double)(r->tolerance > 1 ? r->tolerance : 1);
}

/* Activity around a cut at frame t, in dB: energy, salience and change. */
static float noise_at(const activity *a, size_t t)
{
    size_t first = t > REACH ? t - REACH : 0, end = a->n_frames - t > REACH ? t + REACH : a->n_frames;
    float sum = 0;
    for (size_t i = first; i < end; i++)
        sum += a->loud[i] + a->above[i] + a->flux[i];
    return sum / (float)(end - first);
}

/* The quietest frame of [first, end); the middle one of equals, as in digital silence. */
static size_t quietest(const activity *a, size_t first, size_t end)
{
    size_t begin = first, last = first;
    float least = noise_at(a, first);
    for (size_t t = first + 1; t < end; t++) {
        float noise = noise_at(a, t);
        if (noise < least) {
            least = noise;
            begin = t;
        }
        if (noise == least)
            last = t;
    }
    return (begin + last) / 2;
}

/* The best pause that overlaps the range; false if there is none. */
static bool cut_in_pause(size_t *cut, const activity *a, const range *r)
{
    double best = -INFINITY;
    bool found = false;
    for (size_t t = 0, end; t < a->n_frames && t < r->end; t = end) {
        for (end = t + 1; end < a->n_frames && a->active[end] == a->active[t];)
            end++;
        if (a->active[t] || end - t < PAUSE_MIN)
            continue;
        size_t first = t + EDGE > r->first ? t + EDGE : r->first, last = end - EDGE < r->end ? end - EDGE : r->end;
        if (first >= last)
            continue;
        size_t length = end - t < PAUSE_ENOUGH ? end - t : PAUSE_ENOUGH, middle = (first + last) / 2;
        double worth = (double)length / PAUSE_ENOUGH - distance(r, middle);
        if (worth > best) {
            best = worth;
            *cut = quietest(a, first, last);
            found = true;
        }
    }
    return found;
}

static size_t cut_anywhere(const activity *a, const range *r)
{
    size_t best = r->first;
    float least = INFINITY;
    for (size_t t = r->first; t < r->end; t++) {
        float cost = noise_at(a, t) + DISTANCE_DB * (float)distance(r, t);
        if (cost < least) {
            least = cost;
            best = t;
        }
    }
    return best;
}

/* Frames up to max_pause are preferred if they contain a pause. */
static size_t find_cut(const activity *a, const range *r, size_t max_pause)
{
    range near = *r, far = *r;
    size_t cut;
    near.end = r->end < max_pause ? r->end : max_pause;
    far.first = near.end;
    if (near.first < near.end && cut_in_pause(&cut, a, &near))
        return cut;
    return far.first < far.end && cut_in_pause(&cut, a, &far) ? cut : cut_anywhere(a, r);
}

/* ---- silence ------------------------------------------------------------------------------------------ */

/* Length of the run of frames from t on for which `is` holds. */
static size_t run_from(const activity *a, size_t t, bool (*is)(const activity *, size_t))
{
    size_t end = t;
    while (end < a->n_frames && is(a, end))
        end++;
    return end - t;
}

/* Start of the first long silence after other frames; n_frames if there is none. at_end: the audio ends with them. */
static size_t find_gap(const activity *a, bool at_end)
{
    for (size_t t = 0, n; t < a->n_frames; t += n ? n : 1) {
        n = run_from(a, t, activity_is_silent);
        size_t min = at_end && t + n == a->n_frames ? SKIP_MIN : GAP_MIN;
        if (t > 0 && n >= min)
            return t;
    }
    return a->n_frames;
}

/* Shortens the pauses of a segment: its frames are [0, n_frames) of a. */
static qasr_status shorten_pauses(timeline *out, const activity *a, size_t n_frames, qasr_error *err)
{
    size_t n_omitted = 0;
    for (size_t t = 0, n; t < n_frames; t += n ? n : 1) {
        n = run_from(a, t, activity_is_still);
        n = t + n < n_frames ? n : n_frames - t;
        if (n <= PAUSE_MAX)
            continue;
        const size_t omit = (n - PAUSE_MAX) * MEL_HOP;
        TRY(timeline_omit(out, (t + PAUSE_MAX / 2) * MEL_HOP - n_omitted, omit, err));
        n_omitted += omit;
    }
    return QASR_OK;
}

/* Length of n silent samples without the margin that stays with the following speech. */
static size_t without_margin(size_t n) { return n - MARGIN * MEL_HOP; }

/* Samples before the first that is not faint. */
static size_t count_faint(const float *pcm, size_t n)
{
    size_t i = 0;
    while (i < n && fabsf(pcm[i]) <= FAINT)
        i++;
    return i;
}

/* ---- segments ------------------------------------------------------------------------------------------- */

/* The activity of all frames, and their logs. */
static qasr_status look(activity *a, log_mel *logs, const float *pcm, size_t n_samples, const mel *m, pool *p,
                        qasr_error *err)
{
    float *features = NULL;
    size_t n_frames = mel_frames(n_samples);
    qasr_status status;
    TRY(mel_compute_logs(m, logs, pcm, n_samples, p, err));
    TRY_GOTO(MEM_ALLOC(&features, MEL_BINS * n_frames, err));
    TRY_GOTO(mel_compute_known(m, features, logs, pcm, n_samples, p, err));
    TRY_GOTO(activity_find(a, features, n_frames, err));
done:
    mem_free(features);
    if (status != QASR_OK)
        log_mel_free(logs);
    return status;
}

/* Leading silence: true if it becomes a segment. more: the audio continues after the frames. */
static bool take_silence(split_segment *out, size_t n_silent, size_t n_samples, bool more)
{
    if (n_silent < SKIP_MIN * MEL_HOP)
        return false;
    *out = (split_segment){ .n_samples = n_silent == n_samples && !more ? n_samples : without_margin(n_silent),
                            .silent = true };
    return true;
}

/* Length of a segment that begins with sound. */
static size_t measure_sound(const split_rule *rule, const activity *a, size_t n_samples, bool more)
{
    size_t n = n_samples;
    if (more || n > rule->rest) {
        bool two = !more && n <= 2 * rule->rest;
        size_t aim = (two ? n / 2 : rule->aim) / MEL_HOP, max = (n < rule->max ? n : rule->max) / MEL_HOP;
        range r = { .first = aim / 2 > 0 ? aim / 2 : 1,
                    .end = max,
                    .aim = aim,
                    .tolerance = two ? aim / 2 : rule->tolerance / MEL_HOP };
        n = (r.first < r.end ? find_cut(a, &r, rule->max_pause / MEL_HOP) : max) * MEL_HOP;
    }
    size_t gap = (find_gap(a, !more) + MARGIN) * MEL_HOP;
    return gap < n ? gap : n;
}

qasr_status split_next(split_segment *out, log_mel *logs, const split_rule *rule, const float *pcm, size_t n_samples,
                       bool is_first, const mel *m, pool *p, qasr_error *err)
{
    assert(n_samples > 0);
    const bool more = n_samples >= rule->window;
    const size_t n = more ? rule->window : n_samples;
    const bool is_only = is_first && n <= rule->whole;
    *out = (split_segment){ .n_samples = n };
    *logs = (log_mel){ 0 };
    if ((is_only && rule->verbatim) || n < AUDIO_MIN_SAMPLES || take_silence(out, count_faint(pcm, n), n, more) ||
        (is_only && n < SKIP_MIN * MEL_HOP))
        return QASR_OK;
    activity a;
    const size_t n_look = more ? rule->max : n; /* what is behind that matters only if it is the end */
    TRY(look(&a, logs, pcm, n_look, m, p, err));
    size_t silent = run_from(&a, 0, activity_is_silent);
    size_t n_silent = silent < a.n_frames ? silent * MEL_HOP : is_only ? 0 : n_look; /* faint speech, maybe */
    qasr_status status = QASR_OK;
    if (!take_silence(out, n_silent, n_look, more)) {
        out->n_samples = measure_sound(rule, &a, n_look, more);
        if (!rule->verbatim)
            status = shorten_pauses(&out->shortened, &a, out->n_samples / MEL_HOP, err);
    }
    if (status != QASR_OK || out->silent || out->shortened.n > 0)
        log_mel_free(logs);
    activity_free(&a);
    return status;
}

qasr_status split_halves(size_t *at, const float *pcm, size_t n_samples, const mel *m, pool *p, qasr_error *err)
{
    activity a;
    log_mel logs;
    assert(n_samples >= 2 * AUDIO_RATE);
    TRY(look(&a, &logs, pcm, n_samples, m, p, err));
    log_mel_free(&logs);
    range r = {
        .first = a.n_frames / 4, .end = 3 * a.n_frames / 4, .aim = a.n_frames / 2, .tolerance = a.n_frames / 4
    };
    *at = find_cut(&a, &r, r.end) * MEL_HOP;
    activity_free(&a);
    return QASR_OK;
}
