/* The parts of 'qasr bench': cmd_bench.c schedules the runs, bench_run.c does one run, bench_out.c writes the report.
 */
#ifndef QASR_CLI_BENCH_BENCH_H
#define QASR_CLI_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "qasr/qasr_tools.h"

/* A way to store the decoder. */
typedef struct bench_variant {
    char name[24];     /* of the type, "+emb" appended if embeddings are quantized; else "fp" or "own" */
    const char *qtype; /* NULL: not quantized for this */
    int quantize_embeddings;
    int own; /* the weights that 'qasr transcribe' takes; else, if qtype is NULL, safetensors */
} bench_variant;

/* The input of a run. */
typedef struct bench_job {
    const char *model, *audio; /* audio NULL: a generated signal */
    double seconds;            /* of that signal */
    int n_tokens, warm_up;
    qasr_model_options model_options;     /* without the decoder, which depends on gguf */
    qasr_session_options session_options; /* batch: copies of the audio to decode together */
    const bench_variant *variant;
    const char *gguf; /* decoder, relative to the model directory or absolute; NULL: as the variant says */
} bench_job;

/* The result of a run, or the medians of several. Times and operations are those of all copies of the audio; decode_ms
 * and decode_gb are per token. */
typedef struct bench_sample {
    double audio_s;                                                /* of one copy */
    double load_s, mel_s, encode_s, prefill_s, decode_ms, total_s; /* total without load */
    double peak_rss_mb, weights_mb, device_mb;                     /* 10^6 bytes */
    double encode_gop, prefill_gop, decode_gb;
    int threads;
    int kv_widened;  /* non-zero: the KV cache's type was too small, so everything ran twice (qasr_segment) */
    char device[64]; /* the device used */
    char decoder_type[16], embedding_type[16], encode_precision[8], prefill_precision[8];
} bench_sample;

/* These run in a child process (child.h) and write their result in its memory layout. */
bool bench_check(const void *job, FILE *result);      /* opens model and audio; no result */
bool bench_limits(const void *job, FILE *result);     /* qasr_limits */
bool bench_quantize(const void *job, FILE *result);   /* job->model -> job->gguf; no result */
bool bench_transcribe(const void *job, FILE *result); /* bench_sample, then the text without its terminator */

/* A row of the report. */
typedef struct bench_row {
    const bench_variant *variant;
    int batch;
    bench_sample median;
    double cer, wer;                                        /* against fp; NAN: unknown */
    double percent_encode, percent_prefill, percent_decode; /* NAN: not on the CPU */
    bool is_temporary;                                      /* quantized for this run */
} bench_row;

typedef struct bench_report {
    const bench_row *rows;
    size_t n_rows;
    qasr_limits limits; /* medians */
    size_t n_limits;    /* how many measurements */
    int repeat, warm_up, n_tokens;
    const char *kv_type;
} bench_report;

/* Of all copies together; 0: unknown. */
double bench_tokens_per_s(const bench_sample *s);

/* Peak product rate for that precision, in Gop/s. */
double bench_matrix_limit(const qasr_limits *limits, const char *precision);

typedef struct bench_format {
    void (*report)(FILE *f, const bench_report *r);
    void (*limits)(FILE *f, const qasr_limits *limits);
} bench_format;
extern const bench_format bench_md, bench_json;

#endif
