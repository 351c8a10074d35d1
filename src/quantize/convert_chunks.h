/* Converts the planned tensors chunk by chunk. All values of all tensors form one list of chunks; the pool's threads
 * take chunks across tensor boundaries, convert them (source -> float -> blocks), compare the result with the source,
 * write it at its place in the file and release the mapped pages. Memory is a few buffers per thread, whatever the size
 * of the model. A chunk of a calibrated matrix is a few whole rows.
 *
 * A chunk that fails stops the job and leaves its error in job.failure. */
#ifndef QASR_QUANTIZE_CONVERT_CHUNKS_H
#define QASR_QUANTIZE_CONVERT_CHUNKS_H

#include "quantize/convert_job.h"

/* Divides the entries of the final plan into chunks. Error: NOMEM. */
qasr_status convert_chunks_count(convert_job *j, qasr_error *err);
/* Allocates the buffers of all threads. Error: NOMEM. */
qasr_status convert_chunks_alloc(convert_job *j, qasr_error *err);
void convert_chunks_free(convert_job *j); /* fine if the calls above failed or were not made */

/* Reads the calibrated entries: a value that cannot be stored becomes the job's failure before the long calibration. */
void convert_chunks_check(convert_job *j);
/* Converts all entries that are not calibrated. */
void convert_chunks_run(convert_job *j);
/* Converts one calibrated entry with job.hessian, or with the importance of its inputs, and fills job.copy. */
void convert_chunks_run_entry(convert_job *j, size_t entry);
/* Writes the n bytes of an entry that the caller has computed itself. Errors: IO. */
qasr_status convert_chunks_put_entry(convert_job *j, size_t entry, const void *data, size_t n, qasr_error *err);
/* Calls on_progress with the bytes done and the name of the chunk's tensor; a refusal becomes the job's failure. */
void convert_chunks_progress(convert_job *j, size_t chunk);

#endif
