/* Feeds a given answer to a segment of audio: implements qasr_teacher_forcing_open and its companions. */
#ifndef QASR_ENGINE_TEACHER_FORCING_H
#define QASR_ENGINE_TEACHER_FORCING_H

#include "engine/engine.h"

/* opt must be complete, n_samples above 0. */
qasr_status teacher_forcing_open(qasr_teacher_forcing **out, qasr_session *s, const float *pcm, size_t n_samples,
                                 const qasr_transcribe_options *opt, qasr_error *err);
const float *teacher_forcing_logits(const qasr_teacher_forcing *f);
size_t teacher_forcing_vocabulary(const qasr_teacher_forcing *f);
qasr_status teacher_forcing_token(qasr_teacher_forcing *f, int32_t token, qasr_error *err);
void teacher_forcing_close(qasr_teacher_forcing *f);

#endif
