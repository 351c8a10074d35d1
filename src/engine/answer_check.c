/* See answer_check.h. Models of this kind fail in a few ways: they repeat themselves endlessly, stop after a sentence,
 * or write nothing. Only the answer and the audio reveal it. The limits are far outside normal speech: fast speakers
 * reach six words or eight Chinese characters per second, slow ones stay above one. */
#include "engine/answer_check.h"

#include <string.h>

static const double EMPTY_MIN_S = 2, RATE_MIN_S = 6; /* shorter audio is not judged */
static const double LOUD_LEVEL =
    0.02; /* -34 dB: louder than any pause in a recording, although steady noise can hide speech */
static const double WORDS_MIN = 0.3, WORDS_MAX = 10; /* per second of activity */
static const double WORDS_EXTRA = 8;

/* Scale of the limits for a part: at least one of the parts contains this share of the activity of the whole. */
static double share(const answer_audio *audio) { return 1.0 / (1 << audio->depth); }

static bool is_odd_rate(double n_words, const answer_audio *audio)
{
    return (audio->active_s >= RATE_MIN_S * share(audio) && n_words < WORDS_MIN * audio->active_s) ||
           n_words > WORDS_MAX * audio->active_s + WORDS_EXTRA;
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
    return is_odd_rate((double)text_count_words(p->text), audio) ? QASR_SEGMENT_SUSPECT_RATE : QASR_SEGMENT_OK;
}

bool answer_is_suspect(qasr_segment_status status) { return status >= QASR_SEGMENT_SUSPECT_LOOP; }
