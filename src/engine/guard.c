/* See guard.h. Models of this kind fail in few ways: they repeat themselves without end, they stop after a sentence, they write
 * nothing. Nothing but the answer and the sound shows it. The limits are far from what people do: fast speakers reach six
 * words or eight Chinese characters a second, slow ones stay above one. */
#include "engine/guard.h"

#include <string.h>

static const double EMPTY_MIN_S = 2, RATE_MIN_S = 6; /* less is too little to judge by */
static const double WORDS_MIN = 0.3, WORDS_MAX = 10; /* per second in which something is heard */
static const double WORDS_EXTRA = 8;

static bool is_odd_rate(double n_words, double heard_s)
{
    return (heard_s >= RATE_MIN_S && n_words < WORDS_MIN * heard_s) || n_words > WORDS_MAX * heard_s + WORDS_EXTRA;
}

qasr_piece_status guard_judge(const qasr_piece *p, double heard_s)
{
    if (p->stop == QASR_STOP_LOOP || strstr(p->text, "<asr_text>")) /* an answer that begins anew */
        return QASR_PIECE_SUSPECT_LOOP;
    if (p->stop == QASR_STOP_LIMIT)
        return QASR_PIECE_SUSPECT_LIMIT;
    if (!*p->text)
        return heard_s >= EMPTY_MIN_S ? QASR_PIECE_SUSPECT_EMPTY : QASR_PIECE_OK;
    return is_odd_rate((double)text_count_words(p->text), heard_s) ? QASR_PIECE_SUSPECT_RATE : QASR_PIECE_OK;
}

bool guard_is_suspect(qasr_piece_status status) { return status >= QASR_PIECE_SUSPECT_LOOP; }
