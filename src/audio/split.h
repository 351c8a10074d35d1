/* Where to cut long audio: samples in, the length of the first segment out. Segments touch: no overlap, no gap. */
#ifndef QASR_AUDIO_SPLIT_H
#define QASR_AUDIO_SPLIT_H

#include <stdbool.h>

#include "audio/audio.h"

/* All in samples. */
typedef struct split_rule {
    size_t max;    /* no segment is longer */
    size_t aim;    /* segments are about that long, as pauses allow */
    size_t whole;  /* audio that is not longer is one segment, whatever is in it */
    size_t rest;   /* what is left of longer audio is not cut when it is not longer than that */
    size_t window; /* how much of what is left the next segment can depend on */
    bool skip;     /* audio that is one segment is silent too, if nothing is in it */
} split_rule;

/* max_s 0: segments of at most 28 s, about 14 s, of audio longer than 16 s; else segments of at most max_s, finite and
 * above 0, and not much less. */
split_rule split_rule_make(double max_s);

typedef struct split_segment {
    size_t n_samples;
    bool silent; /* nothing is to be heard in it */
} split_segment;

/* The segment that pcm [n_samples] begins with, n_samples above 0: all that is left of the audio, or at least
 * rule->window of it. is_first: nothing was before. *logs gets the log-mel frames that the cut was found by, of audio
 * that begins with the segment, to be freed by the caller; zeroed if none were needed, and for a silent segment.
 * Deterministic for any number of threads; p may be NULL. Error: NOMEM. */
qasr_status split_next(split_segment *out, log_mel *logs, const split_rule *rule, const float *pcm, size_t n_samples,
                       bool is_first, const mel *m, pool *p, qasr_error *err);

/* Where to cut a segment of at least two seconds in halves: *at is above 0 and below n_samples. Errors and arguments as
 * above. */
qasr_status split_halves(size_t *at, const float *pcm, size_t n_samples, const mel *m, pool *p, qasr_error *err);

#endif
