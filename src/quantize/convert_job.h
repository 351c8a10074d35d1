/* A quantization at work: what convert.c and its calibrated part share. */
#ifndef QASR_QUANTIZE_CONVERT_JOB_H
#define QASR_QUANTIZE_CONVERT_JOB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/pool.h"
#include "qasr/qasr_tools.h"
#include "quantize/bundle.h"
#include "quantize/calibration_file.h"
#include "quantize/gptq.h"
#include "quantize/input_model.h"
#include "quantize/plan.h"
#include "weights/gguf_write.h"

/* Per thread. */
typedef struct scratch {
    float *x, *y;       /* source, and what the stored blocks give: BATCH_VALUES, or the rows of a calibrated chunk */
    float *rounding;    /* of gptq_rows; NULL without a calibration */
    unsigned char *out; /* a chunk in its output type */
} scratch;

/* Errors are collected per chunk and added up in order: the report does not depend on the threads. */
typedef struct chunk_error {
    double sum_sq;
    float max;
} chunk_error;

/* What is wanted of a matrix beside its place in the file. */
typedef struct convert_copy {
    unsigned char *blocks; /* as stored */
    double *shift;         /* [rows], how much the outputs change on average; NULL: not asked for, else with */
    const double *mean, *exact_mean; /* of the inputs, now and as they were meant to be */
} convert_copy;

typedef struct convert_job {
    const qasr_quantize_options *opt;
    input_model input_model;
    bool is_bundle; /* a model in one file, not only some of its tensors */
    bundle *bundle; /* what such a file has beside the model's tensors */
    plan_rules rules;
    plan plan;
    calibration *calibration; /* NULL: none */
    double auto_mix_bits;     /* per weight of the matrices that the automatic mix is of */
    hessian hessian;          /* of the input of the matrices at work; factor NULL: only their squares are known */
    convert_copy *copy;       /* of the matrix at work; NULL: nobody wants one */
    double listened;          /* share of the calibration's audio that was transcribed */
    pool *pool;
    gguf_writer *out;
    size_t *index;              /* [plan.n] tensor numbers of the writer */
    size_t *first_chunk;        /* [plan.n + 1] */
    chunk_error *errors;        /* [number of chunks] */
    atomic_size_t *chunks_left; /* [plan.n] */
    scratch *scratch;           /* [pool threads] */
    uint64_t bytes_total;
    atomic_uint_fast64_t bytes_done;
    atomic_bool stop; /* an error or a cancellation: skip the rest */
    pthread_mutex_t mutex;
    size_t failed_chunk; /* under mutex: the lowest chunk that failed, its error */
    qasr_error failure;
} convert_job;

/* All chunks of an entry; what fails is the job's failure. */
void convert_entry(convert_job *j, size_t entry);
/* Bytes [begin, begin + n) of an entry's data that somebody else made. */
qasr_status convert_put(convert_job *j, size_t entry, const void *data, size_t n, qasr_error *err);
/* Tells the caller how far it is; what he answers is the job's failure. */
void convert_tell(convert_job *j, size_t chunk);

#endif
