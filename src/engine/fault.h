/* Finds out where in the network values left the finite numbers. */
#ifndef QASR_ENGINE_FAULT_H
#define QASR_ENGINE_FAULT_H

#include "engine/segment.h"

/* Call when j has failed and its slot is closed. If its sequence was not finite, runs the segment again with the answer
 * so far, ids [n_ids], checks every layer, and replaces the message of err by one that names the first that fails. If
 * none does, or memory runs out, err stays as it is. */
void fault_explain(const job_options *o, const segment_job *j, const int32_t *ids, size_t n_ids, qasr_error *err);

#endif
