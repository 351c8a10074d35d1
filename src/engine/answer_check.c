/* See answer_check.h. Models of this kind fail in a few ways: they repeat themselves endlessly, stop after a sentence,
 * or write nothing. Only the answer and the audio reveal it. The limits are those of people, whatever the language:
 * normal speech has 4 to 8 syllables per second, slow dictation 2, the fastest speakers 10; pauses are not active. */
#include "engine/answer_check.h"

#include <string.h>

static const double EMPTY_MIN_S = 2, RATE_MIN_S = 6; /* shorter audio is not judged */
static const double LOUD_LEVEL =
    0.02; /* -34 dB: louder than any pause in a recording, although steady noise can hide speech */
/* Per second of activity, with room for music, which is active too, and for the estimate, which is up to 1.4 times too
 * high or half of the true number. The extra is for edges of speech that do not count as active. */
static const double SYLLABLES_MIN = 0.5, SYLLABLES_MAX = 15, SYLLABLES_EXTRA = 12;

/* Scale of the limits for a part: at least one of the parts contains this share of the activity of the whole. */
static double share(const answer_audio *audio) { return 1.0 / (1 << audio->depth); }

static bool is_odd_rate(double n_syllables, const answer_audio *audio)
{
    return (audio->active_s >= RATE_MIN_S * share(audio) && n_syllables < SYLLABLES_MIN * audio->active_s) ||
           n_syllables > SYLLABLES_MAX * audio->active_s + SYLLABLES_EXTRA;
}

static bool is_empty_but_loud(const answer_audio *audio)
{
    return audio->active_s >= EMPTY_MIN_S * share(audio) ||
           (audio->length_s >= EMPTY_MIN_S && audio->level >= LOUD_LEVEL);
}

qasr_segment_status answer_check(const qasr_segment *p, const answer_audio *audio)
{
    if (p->stop == QASR_STOP_LOOP || strstr(p->text, "<asr_text>")) /* a second answer begins inside the first */
        return QASR_SEGMENT_SUSPECT_LOOP;
    if (p->stop == QASR_STOP_LIMIT)
        return QASR_SEGMENT_SUSPECT_LIMIT;
    if (!*p->text)
        return is_empty_but_loud(audio) ? QASR_SEGMENT_SUSPECT_EMPTY : QASR_SEGMENT_OK;
    return is_odd_rate(text_estimate_syllables(p->text), audio) ? QASR_SEGMENT_SUSPECT_RATE : QASR_SEGMENT_OK;
}

bool answer_is_suspect(qasr_segment_status status) { return status >= QASR_SEGMENT_SUSPECT_LOOP; }
