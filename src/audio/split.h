/* Cuts long audio: samples in, the length of the first segment out. Segments neither overlap nor leave gaps. */
#ifndef QASR_AUDIO_SPLIT_H
#define QASR_AUDIO_SPLIT_H

#include <stdbool.h>

#include "audio/audio.h"

/* All in samples. */
typedef struct split_rule {
    size_t max;    /* no segment is longer */
    size_t aim;    /* preferred length, if there is a pause */
    size_t whole;  /* audio up to this length is one segment, whatever it contains */
    size_t rest;   /* the rest of longer audio is not cut if it is at most this long */
    size_t window; /* how far ahead the next cut may depend on the audio */
    bool skip;     /* audio of a single segment may be silent too */
} split_rule;

/* max_s 0: segments of at most 28 s, about 14 s, of audio longer than 16 s; else segments of at most max_s, finite and
 * above 0, and not much less. */
split_rule split_rule_make(double max_s);

typedef struct split_segment {
    size_t n_samples;
    bool silent; /* no audible sound */
} split_segment;

/* Finds the segment at the start of pcm [n_samples], n_samples above 0: the rest of the audio, or at least rule->window
 * of it. is_first: pcm is the start of the audio. *logs receives the log-mel frames used to find the cut, from the
 * start of the segment on; the caller frees them. It is zeroed if none were needed, and for a silent segment.
 * Deterministic for any number of threads; p may be NULL. Error: NOMEM. */
qasr_status split_next(split_segment *out, log_mel *logs, const split_rule *rule, const float *pcm, size_t n_samples,
                       bool is_first, const mel *m, pool *p, qasr_error *err);

/* Finds where to halve a segment of at least two seconds: 0 < *at < n_samples. Arguments and errors as above. */
qasr_status split_halves(size_t *at, const float *pcm, size_t n_samples, const mel *m, pool *p, qasr_error *err);

#endif
