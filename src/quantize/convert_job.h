/* State of one quantization, shared by the convert_*.c files. */
#ifndef QASR_QUANTIZE_CONVERT_JOB_H
#define QASR_QUANTIZE_CONVERT_JOB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/pool.h"
#include "qasr/qasr_tools.h"
#include "quantize/bundle.h"
#include "quantize/calibration_file.h"
#include "quantize/equalize.h"
#include "quantize/gptq.h"
#include "quantize/input_model.h"
#include "quantize/plan.h"
#include "quantize/verify.h"
#include "weights/gguf_write.h"

/* Buffers of one thread. */
typedef struct chunk_scratch {
    float *x, *y;       /* source values and the values of the stored blocks; as many as are converted at once */
    float *rounding;    /* for gptq_rows; NULL without a calibration */
    unsigned char *out; /* a chunk in its output type */
} chunk_scratch;

/* Errors are collected per chunk and added up in order: the report does not depend on the threads. */
typedef struct chunk_error {
    double sum_sq;
    float max;
} chunk_error;

/* A copy of a converted matrix for the layerwise pass. */
typedef struct convert_copy {
    unsigned char *blocks;           /* as stored */
    double *shift;                   /* [rows], mean change of the outputs; NULL: not requested, else computed from */
    const double *mean, *exact_mean; /* [cols], means of the inputs: of the rounded model and of the exact one */
} convert_copy;

typedef struct convert_job {
    const qasr_quantize_options *opt;
    input_model input_model;
    bool is_bundle; /* writes a complete model, not only some of its tensors */
    bundle *bundle; /* tables of the front end for such a file; else NULL */
    plan_rules rules;
    plan plan;
    equalizer *equalizer; /* scales of the plan; NULL: none */
    double auto_mix_bits; /* bits per weight that the automatic mix reached */
    pool *pool;
    gguf_writer *out;
    size_t *index; /* [plan.n] tensor numbers of the writer */

    calibration *calibration; /* NULL: none */
    hessian hessian;    /* for the input of the matrices being converted; factor NULL: only mean squares are known */
    convert_copy *copy; /* requested for the matrix being converted; NULL: none */
    double transcribed; /* share of the calibration audio that was transcribed, 0 to 1 */

    verifier *verifier; /* NULL: the file is not verified */
    double verified;    /* share of the audio, 0 to 1 */

    /* convert_chunks.c */
    size_t *first_chunk;        /* [plan.n + 1] */
    atomic_size_t *chunks_left; /* [plan.n] */
    chunk_error *errors;        /* [number of chunks] */
    chunk_scratch *scratch;     /* [pool threads] */
    uint64_t bytes_total;       /* of the source */
    atomic_uint_fast64_t bytes_done;
    atomic_bool stop; /* after an error or a cancellation: skip the remaining chunks */
    pthread_mutex_t mutex;
    size_t failed_chunk; /* under mutex: the lowest chunk that failed, its error */
    qasr_error failure;
} convert_job;

#endif
