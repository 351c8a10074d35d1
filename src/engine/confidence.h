/* The model's confidence: log-probabilities of tokens, their mean, confidence of words. */
#ifndef QASR_ENGINE_CONFIDENCE_H
#define QASR_ENGINE_CONFIDENCE_H

#include "engine/job_options.h"

/* Read by qasr_segment_word and qasr_segment_token_score. */
struct qasr_segment_detail {
    qasr_token_score *token_scores; /* [n_tokens] */
    qasr_word *words;               /* [n_words] */
};

/* Adds token scores, their mean, and words to a segment with text and ids. The segment owns scores [n_tokens] from then
 * on, after an error too. Error: NOMEM. */
qasr_status confidence_fill(const job_options *o, qasr_segment *p, qasr_token_score *scores, qasr_error *err);
void confidence_free(qasr_segment *p);

#endif
