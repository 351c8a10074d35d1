/* What the model thought of its answer: means over tokens, confidence of words. */
#ifndef QASR_ENGINE_CONFIDENCE_H
#define QASR_ENGINE_CONFIDENCE_H

#include "engine/call.h"

/* From the piece's text, ids and scores: its mean log-probability and its words. Error: NOMEM. */
qasr_status scores_fill(const call *c, qasr_piece *p, qasr_error *err);
void scores_free_words(qasr_piece *p);

#endif
