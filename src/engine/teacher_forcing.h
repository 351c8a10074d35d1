/* A piece of audio with a given answer: qasr_force_open and what belongs to it. */
#ifndef QASR_ENGINE_TEACHER_FORCING_H
#define QASR_ENGINE_TEACHER_FORCING_H

#include "engine/engine.h"

/* opt is complete, n_samples above 0. */
qasr_status force_open(qasr_forced **out, qasr_session *s, const float *pcm, size_t n_samples,
                       const qasr_transcribe_options *opt, qasr_error *err);
const float *force_logits(const qasr_forced *f);
size_t force_vocabulary(const qasr_forced *f);
qasr_status force_token(qasr_forced *f, int32_t token, qasr_error *err);
void force_close(qasr_forced *f);

#endif
