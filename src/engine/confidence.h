/* What the model thought of its answer: means over tokens, confidence of words. */
#ifndef QASR_ENGINE_CONFIDENCE_H
#define QASR_ENGINE_CONFIDENCE_H

#include "engine/job_options.h"

/* From the segment's text, ids and scores: its mean log-probability and its words. Error: NOMEM. */
qasr_status confidence_fill(const job_options *o, qasr_segment *p, qasr_error *err);
void confidence_free_words(qasr_segment *p);

#endif
