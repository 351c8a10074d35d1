/* Cuts long audio: samples in, the length of the first segment out. Segments neither overlap nor leave gaps. */
#ifndef QASR_AUDIO_SPLIT_H
#define QASR_AUDIO_SPLIT_H

#include <stdbool.h>

#include "audio/audio.h"

#include "audio/timeline.h"

/* All in samples. */
typedef struct split_rule {
    size_t max;       /* no segment is longer */
    size_t max_pause; /* nor longer than this if there is a pause to cut in */
    size_t aim;       /* preferred length */
    size_t tolerance; /* a cut so far from the aim needs the best pause to be preferred to none at the aim */
    size_t whole;     /* audio up to this length is one segment, unless there is long silence in it */
    size_t rest;      /* the rest of longer audio is not cut if it is at most this long */
    size_t window;    /* how far ahead the next cut may depend on the audio */
    bool verbatim;    /* audio of one segment goes to the model as it is, whatever it contains */
} split_rule;

/* max_s 0: segments of about usual_s, somewhat longer if there is no better pause, and of up to 4/3 of it without any.
 * Else segments of at most max_s, finite and above 0, and not much less; from QASR_LONGEST_SEGMENT_S on verbatim. */
split_rule split_rule_make(double max_s, double usual_s);

typedef struct split_segment {
    size_t n_samples;
    bool silent;        /* no audible sound */
    timeline shortened; /* what is left out of its long pauses; free with timeline_free */
} split_segment;

/* Finds the segment at the start of pcm [n_samples], n_samples above 0: the rest of the audio, or at least rule->window
 * of it. is_first: pcm is the start of the audio. *logs receives the log-mel frames used to find the cut, from the
 * start of the segment on; the caller frees them. It is zeroed if none were needed, for a silent segment, and for one
 * with shortened pauses. Deterministic for any number of threads; p may be NULL. Error: NOMEM. */
qasr_status split_next(split_segment *out, log_mel *logs, const split_rule *rule, const float *pcm, size_t n_samples,
                       bool is_first, const mel *m, pool *p, qasr_error *err);

/* Finds where to halve a segment of at least two seconds: 0 < *at < n_samples. Arguments and errors as above. */
qasr_status split_halves(size_t *at, const float *pcm, size_t n_samples, const mel *m, pool *p, qasr_error *err);

#endif
