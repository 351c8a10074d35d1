/* How sure the model was of its answer: scores of tokens and their mean, confidence of words. */
#ifndef QASR_ENGINE_CONFIDENCE_H
#define QASR_ENGINE_CONFIDENCE_H

#include "engine/job_options.h"

/* What qasr_segment_word and qasr_segment_token_score read. */
struct qasr_segment_detail {
    qasr_token_score *token_scores; /* [n_tokens] */
    qasr_word *words;               /* [n_words] */
};

/* Gives a segment with text and ids its scores [n_tokens], which are its own from then on (after an error too), their
 * mean and its words. Error: NOMEM. */
qasr_status confidence_fill(const job_options *o, qasr_segment *p, qasr_token_score *scores, qasr_error *err);
void confidence_free(qasr_segment *p);

#endif
