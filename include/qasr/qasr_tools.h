/* The rest of libqasr, for programs that do more than recognise speech: what the build and the machine offer,
 * measurements, scoring, teacher forcing, quantization, calibration, inspection of files. The conventions are those of
 * qasr.h. */
#ifndef QASR_QASR_TOOLS_H
#define QASR_QASR_TOOLS_H

#include "qasr.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the build and the machine ------------------------------------------------------------ */

/* How the library was built, and the versions of the libraries it uses: "build", "compiler", "cpu" (the level in use),
 * then the names of libraries, with printable values. index from 0; NULL after the last. */
QASR_API const char *qasr_build_fact(size_t index, const char **value);
/* Version of ggml, which drives GPUs; NULL if the library was built without. */
QASR_API const char *qasr_ggml_version(void);
/* Non-zero: qasr_quantize and qasr_calibrate work. Zero: the library was built with -Dquantize=disabled, and they fail
 * with UNSUPPORTED. */
QASR_API int qasr_can_quantize(void);

/* The set of CPU kernels in use: "scalar", "avx2", "avxvnni", "avx512", "avx512vnni", ... The environment variable
 * QASR_CPU=LEVEL disables higher levels. */
QASR_API const char *qasr_cpu_level(void);
/* The levels that QASR_CPU takes on this architecture, lowest first; NULL after the last. */
QASR_API const char *qasr_cpu_level_name(size_t index);

/* The types that qasr_session_options.kv_type takes, the default first; NULL after the last. */
QASR_API const char *qasr_kv_type_name(size_t index);

/* The types that the options of qasr_quantize take, and mixes of types: from 8 bits to 4, then bf16 and f16. NULL and 0
 * from index count on. */
QASR_API size_t qasr_qtype_count(void);
QASR_API const char *qasr_qtype_name(size_t index);
QASR_API int qasr_qtype_is_mix(size_t index); /* non-zero: a mix, which a single tensor cannot have */

/* ---- measurements ------------------------------------------------------------------------- */

/* The best that the machine can do with all threads. GB and Gop are 10^9; a multiply-add is two operations. */
typedef struct qasr_limits {
    size_t struct_size;
    int n_threads;     /* that took part */
    double read_gb_s;  /* sequential reads from memory */
    double f32_gop_s;  /* the innermost product on cached data, float32 */
    double bf16_gop_s; /* the same with bfloat16 factors; 0 if the CPU level has none */
    double int8_gop_s; /* the same with bytes and a scale per 32 values; 0 if the CPU level has none */
} qasr_limits;
#define QASR_LIMITS_INIT QASR_INIT(qasr_limits)

/* Measures for about a second, with a GiB of memory or 8 times the last cache. n_threads 0: as many as a session uses.
 * Start out from QASR_LIMITS_INIT. Errors: INVALID, NOMEM, IO (threads). */
QASR_API qasr_status qasr_measure_limits(qasr_limits *out, int n_threads, qasr_error *err);

/* The cost of one segment. Operations are those of products and of attention, of which the decoder needs the causal
 * half; a multiply-add is two. */
typedef struct qasr_cost {
    size_t struct_size;
    double encode_gop, prefill_gop;
    const char *encode_precision, *prefill_precision; /* of most operations: "int8", "bf16" or "f32" */
    size_t n_prompt_tokens;
    uint64_t decode_bytes_per_token; /* read for each token: weights, KV cache of the prompt and of half the answer */
    uint64_t kv_bytes_per_position;  /* share of one position in the KV cache */
    uint64_t weights_bytes;          /* of the encoder and decoder in their files, unused tensors excluded */
    const char *embedding_type;      /* "bf16", "q8_0", ... */
} qasr_cost;
#define QASR_COST_INIT QASR_INIT(qasr_cost)

/* Calculates the cost of n_samples as one segment with an answer of n_tokens and default options. Start out from
 * QASR_COST_INIT. Errors: INVALID, NOMEM. */
QASR_API qasr_status qasr_session_cost(const qasr_session *session, size_t n_samples, size_t n_tokens, qasr_cost *out,
                                       qasr_error *err);

/* ---- estimates ---------------------------------------------------------------------------- */

/* The published speech recognition models whose sizes the library knows, from the smallest: "0.6b", "1.7b"; NULL after
 * the last. */
QASR_API const char *qasr_published_model_name(size_t index);

typedef struct qasr_estimate_options {
    size_t struct_size;
    const char *model;     /* path, as in qasr_model_open; or else published must be set */
    const char *published; /* a name of qasr_published_model_name: no files are needed */
    const char *qtype;     /* as if qasr_quantize had written the whole model (scope "all") in this type. NULL: as the
                              files are; a published model is bfloat16 */
    const char *kv_type;   /* as in qasr_session_options */
    int batch;             /* the same; 0: what a session chooses */
    const qasr_limits *limits; /* of the machine, from qasr_measure_limits; NULL: estimate no times */
} qasr_estimate_options;
#define QASR_ESTIMATE_OPTIONS_INIT QASR_INIT(qasr_estimate_options)

/* What transcribing a long recording is expected to take: segments of the model's own length and 200 tokens a minute.
 * The work is counted exactly; the times take it at the shares of the limits that 'qasr bench' measured
 * (docs/results.md, with 2 threads; with many threads a smaller share is usual). */
typedef struct qasr_estimate {
    size_t struct_size;
    uint64_t weights_bytes;   /* of the encoder and decoder in their files */
    uint64_t kv_bytes;        /* keys and values of the batch, with answers of the usual length */
    uint64_t peak_bytes;      /* resident memory of a process that transcribes on the CPU, mapped weights included */
    uint64_t device_bytes;    /* memory on a GPU that keeps all weights there; caches for the longest allowed answers */
    int batch;                /* segments decoded together */
    const char *decoder_type; /* that most of the decoder has, "q8_0" */
    double encode_s, prefill_s, decode_s; /* per minute of audio on the CPU; 0 without limits */
} qasr_estimate;
#define QASR_ESTIMATE_INIT QASR_INIT(qasr_estimate)

/* Reads headers and configuration of the model, and for times the weights of its convolutions. Start out from
 * QASR_ESTIMATE_INIT. Errors: as qasr_model_open; INVALID (both models or none, unknown name or type, batch);
 * UNSUPPORTED (a qtype, but the library was built without quantization). */
QASR_API qasr_status qasr_estimate_transcription(const qasr_estimate_options *opt, qasr_estimate *out, qasr_error *err);

/* ---- scoring ------------------------------------------------------------------------------ */

/* How far a text is from its reference, as counts that can be added over texts. docs/evaluation.md defines words and
 * normalization: NFKC, full case folding, only letters, their marks and digits; words are separated by white space;
 * each character of Han, Kana, Bopomofo, Thai, Lao, Myanmar and Khmer is a word. */
typedef struct qasr_score {
    size_t struct_size;
    uint64_t words;                                    /* in the reference */
    uint64_t substitutions, insertions, deletions;     /* fewest edits; word error rate = their sum / words */
    uint64_t characters, character_errors;             /* code points in the reference, edits; not normalized */
    uint64_t normalized_characters, normalized_errors; /* the same, normalized */
    uint64_t marks_right, marks_missing, marks_extra;  /* punctuation after aligned words;
                                                          F1 = 2 right / (2 right + missing + extra) */
    uint64_t cased_words, cased_right; /* words in both texts with letters that have case; those with the same case */
    uint64_t exact;                    /* 1: the texts are identical */
} qasr_score;
#define QASR_SCORE_INIT QASR_INIT(qasr_score)

/* Start out from QASR_SCORE_INIT. Time grows with the product of the lengths. Errors: NOMEM, INVALID (more than 2^30
 * pairs of words to compare). */
QASR_API qasr_status qasr_score_text(qasr_score *out, const char *reference, const char *text, qasr_error *err);

/* ---- teacher forcing ---------------------------------------------------------------------- */

/* A segment whose answer you supply token by token, to see the model's prediction for each. The logits are those that
 * decoding would use, so their arg max is the token that it would choose. */
typedef struct qasr_teacher_forcing qasr_teacher_forcing;

/* Runs the encoder and prefill on the samples as one segment. Uses these options: language, context, encoder_attention,
 * max_new_tokens (how many tokens you may supply; 0: derived from the duration) and max_segment_s (longer audio is an
 * error). Until qasr_teacher_forcing_close the session is busy, and other calls with it fail with INVALID. Errors:
 * INVALID (no samples, too long, not finite), NOMEM, DEVICE. */
QASR_API qasr_status qasr_teacher_forcing_open(qasr_teacher_forcing **out, qasr_session *session, const float *pcm,
                                               size_t n_samples, const qasr_transcribe_options *opt, qasr_error *err);
/* Logits of the next token, [qasr_teacher_forcing_vocabulary]: after opening those of the first token, after the whole
 * answer those of the end token. Valid until the next call. */
QASR_API const float *qasr_teacher_forcing_logits(const qasr_teacher_forcing *forcing);
QASR_API size_t qasr_teacher_forcing_vocabulary(const qasr_teacher_forcing *forcing);
/* Appends a token of the answer. Errors: INVALID (not in the vocabulary, too many), DEVICE, NOMEM; after the last two
 * only closing is allowed. */
QASR_API qasr_status qasr_teacher_forcing_token(qasr_teacher_forcing *forcing, int32_t token, qasr_error *err);
QASR_API void qasr_teacher_forcing_close(qasr_teacher_forcing *forcing); /* before its session */

/* ---- quantization ------------------------------------------------------------------------ */

/* Receives the progress of a long call: done of total bytes, or of other units; what names the current item. */
typedef int (*qasr_progress_fn)(void *user, uint64_t done, uint64_t total, const char *what);

/* The plan for one tensor. Strings are valid until the callback returns. */
typedef struct qasr_quantize_tensor {
    const char *name;               /* in the original checkpoint, which patterns refer to */
    const char *output_name;        /* in the file; "" if it is not written */
    const char *kind;               /* "attention", "mlp", "embedding", "norm", ... */
    const char *part;               /* "encoder", "decoder", "other" */
    const char *source_type, *type; /* "bf16", ...; type "skipped": not written */
    unsigned n_dims;
    uint64_t shape[4]; /* slowest first */
    uint64_t n_values, bytes_before, bytes_after;
    int fallback;       /* non-zero: the rows do not fit the blocks of the requested type */
    int mixed;          /* non-zero: auto_mix chose the type */
    double sensitivity; /* the error that auto_mix expects of it (docs/evaluation.md) */
} qasr_quantize_tensor;
/* Receives each tensor, in the order of the file, before anything is written. */
typedef int (*qasr_quantize_tensor_fn)(void *user, const qasr_quantize_tensor *tensor);

/* Moving powers of two between matrices before rounding, so that channels of very different size do not share a scale.
 * The network computes the same, to the bit in float32. */
typedef enum qasr_equalize {
    QASR_EQUALIZE_AUTO = 0, /* with a calibration; else matrices stay as other converters write them */
    QASR_EQUALIZE_ON,
    QASR_EQUALIZE_OFF
} qasr_equalize;

/* A check of the new file before it is put in place: it and the original transcribe the same audio, in float32. */
typedef enum qasr_verify {
    QASR_VERIFY_AUTO = 0, /* with verify_audio, if the encoder gets a type below 8 bits, or auto_mix chooses the types,
                             and the input is a complete model */
    QASR_VERIFY_ON,
    QASR_VERIFY_OFF
} qasr_verify;

/* A file beyond these limits, or which loses all of a segment's text, fails verification. */
#define QASR_VERIFY_MIN_COSINE 0.98 /* of the encoder's output with the original's, in every segment */
#define QASR_VERIFY_MAX_KL 0.02     /* nats per token, mean */

typedef struct qasr_quantize_options {
    size_t struct_size;
    const char *input;  /* model directory, .safetensors file, .safetensors.index.json or .gguf file */
    const char *output; /* .gguf file to write; not needed for a dry run */
    const char *scope;  /* prefix of the names of the tensors to write; NULL: "thinker.model.", the decoder. "all" or
                           "thinker.": a complete model in the layout of transcribe.cpp, with a quantized embedding */
    const char *qtype;  /* a name of qasr_qtype_name, in any case, also "q6k" for "q6_k" and so on; NULL: "q8_0". In the
                           mixes "q5_k_m" and "q4_k_m" attention output projections are q8_0, the embedding q6_k */
    int quantize_embeddings;     /* non-zero: quantize embed_tokens (and a stored lm_head in scope) */
    const char *embedding_qtype; /* type for these, which implies quantize_embeddings; NULL: by qtype. Not a mix */
    const char *encoder_qtype;   /* type for matrices of the encoder; NULL: qtype, but at least q8_0, since encoders of
                                    fewer bits tend to loop on long audio */
    const char *const *tensor_patterns; /* [n_tensor_types], regular expressions (PCRE2), each with a type for all
                                           tensors whose name contains a match. They override other options; the last
                                           match wins; a pattern without a match is an error */
    const char *const *tensor_types;    /* [n_tensor_types], as qtype, but no mix; also "f32" */
    size_t n_tensor_types;
    const char *calibration; /* file from qasr_calibrate, or a llama.cpp imatrix. If it has covariances, rounding errors
                                are compensated (GPTQ, Frantar et al. 2022; LDLQ, Chee et al. 2023), else weighted.
                                NULL: none */
    const char *const *calibration_audio; /* [n_calibration_audio], as audio in qasr_calibrate_options, for an input
                                             that is a complete model: layers are quantized in order on this audio, so
                                             each also compensates for the errors of those before it. Better than a
                                             calibration file, which then only serves auto_mix */
    size_t n_calibration_audio;
    double auto_mix; /* average bits per weight of the decoder's matrices, whose types are chosen by the errors that the
                        required calibration predicts. The encoder, matrices missing from the calibration, and those
                        with a type from tensor_types or embedding_qtype do not take part. qtype must be NULL. 0: off */
    qasr_equalize equalize;
    int dry_run;   /* non-zero: write nothing, only report sizes, without errors */
    int overwrite; /* non-zero: replace an existing output if it is a model in one GGUF file, or empty */
    int n_threads; /* 0: as many as a session uses */
    qasr_quantize_tensor_fn on_tensor; /* NULL: none */
    qasr_progress_fn on_progress;      /* NULL: none */
    void *user;                        /* passed to the callbacks */
    qasr_verify verify;
    const char *const *verify_audio; /* [n_verify_audio], as audio in qasr_calibrate_options: some clips of speech. A
                                        decoder is verified with the encoder of the input's directory */
    size_t n_verify_audio;
    int keep_failed; /* non-zero: a file that fails verification is put in place, with a warning */
} qasr_quantize_options;
#define QASR_QUANTIZE_OPTIONS_INIT QASR_INIT(qasr_quantize_options)

/* A line of the report: the tensors of one kind that got the same type. Errors are relative to the source's values. */
typedef struct qasr_quantize_row {
    const char *kind, *type; /* as in qasr_quantize_tensor */
    size_t n_tensors;
    size_t n_fallback; /* of them, those whose rows do not fit the blocks of the requested type */
    uint64_t n_values, bytes_before, bytes_after;
    double max_error, rms_error;
} qasr_quantize_row;

/* The differences between the new file and the original. Audio is cut into segments of up to 40 s in pauses. */
typedef struct qasr_verification {
    size_t n_segments, n_vectors, n_positions; /* compared: segments, vectors of the encoder, next tokens */
    double audio_s;
    int with_encoder;     /* zero: the file is a decoder, the cosines are 1 */
    double cosine_mean;   /* of the vectors that the encoder hands to the decoder */
    double cosine_lowest; /* lowest mean of a segment */
    double cosine_lowest_vector;
    double kl_mean, kl_max; /* divergence of next-token distributions from the original's along its answers, in nats */
    size_t n_changed;       /* segments whose text differs */
    size_t n_lost;          /* of them, those that lost all text */
    int passed;             /* non-zero: within the limits */
} qasr_verification;

typedef struct qasr_quantize_report qasr_quantize_report;

/* Converts safetensors or GGUF to GGUF. The output appears complete or not at all. If the input is already quantized,
 * the log gets a warning. report may be NULL. Errors: IO, FORMAT, INVALID, UNSUPPORTED, NOMEM, DEVICE, CANCELLED. */
QASR_API qasr_status qasr_quantize(const qasr_quantize_options *opt, qasr_quantize_report **report, qasr_error *err);
QASR_API size_t qasr_quantize_report_row_count(const qasr_quantize_report *report);
QASR_API const qasr_quantize_row *qasr_quantize_report_row(const qasr_quantize_report *report, size_t index);
QASR_API uint64_t qasr_quantize_report_file_bytes(const qasr_quantize_report *report);
QASR_API double qasr_quantize_report_seconds(const qasr_quantize_report *report);
/* NULL if the file was not verified. Valid until the report is freed. */
QASR_API const qasr_verification *qasr_quantize_report_verification(const qasr_quantize_report *report);
QASR_API void qasr_quantize_report_free(qasr_quantize_report *report);

/* Removes the temporary files of calls that are still running: qasr_quantize, qasr_calibrate, tensor dumps. For
 * handlers of signals that end the process, such as SIGBUS, which a model file raises when it is truncated while in
 * use. Async-signal-safe. */
QASR_API void qasr_remove_unfinished_files(void);

/* ---- calibration -------------------------------------------------------------------------- */

typedef struct qasr_calibrate_options {
    size_t struct_size;
    const char *model;        /* model directory with safetensors; GGUF files in it are ignored */
    const char *const *audio; /* [n_audio]: audio files, folders of them, or lists of them: .txt with a path per line,
                                 .tsv with the header "file", a tab, ... and paths relative to its folder */
    size_t n_audio;
    int limit;                    /* use only so many audio files; 0: all */
    const char *output;           /* .gguf file to write */
    int overwrite;                /* non-zero: replace an existing output if it holds statistics, or is empty */
    int covariance;               /* non-zero: sum products of pairs of inputs too, for GPTQ; a large file */
    int max_memory_mb;            /* MiB for the sums; if they need more, the audio is transcribed again for each group
                                     of matrices. 0: 2048 */
    int n_threads;                /* 0: as many as a session uses */
    qasr_progress_fn on_progress; /* counts files times passes, also called inside a file, to cancel; what: "pass 1 of
                                     2". NULL: none */
    void *user;                   /* passed to the callback */
} qasr_calibrate_options;
#define QASR_CALIBRATE_OPTIONS_INIT QASR_INIT(qasr_calibrate_options)

typedef struct qasr_calibrate_report {
    size_t struct_size;
    size_t n_clips, n_segments; /* audio files, and their segments of up to 30 s */
    size_t n_passes;            /* times that the audio was transcribed */
    size_t n_matrices;
    uint64_t encoder_rows, decoder_rows; /* inputs that each matrix of the encoder and of the decoder saw */
    uint64_t answer_rows;                /* of the decoder's, those that chose a token: inputs of the head */
    double audio_s;
    uint64_t file_bytes;
    double seconds;
} qasr_calibrate_report;
#define QASR_CALIBRATE_REPORT_INIT QASR_INIT(qasr_calibrate_report)

/* Transcribes audio in float32 and stores, for each matrix that quantization changes, the sums of the squares of its
 * inputs, in the form of llama.cpp's imatrix files (docs/format.md). Results do not depend on n_threads or
 * max_memory_mb. The output appears complete or not at all. report may be NULL; start it from
 * QASR_CALIBRATE_REPORT_INIT. An unreadable audio file fails the call. Errors: IO, FORMAT, INVALID, UNSUPPORTED, NOMEM,
 * DEVICE, CANCELLED. */
QASR_API qasr_status qasr_calibrate(const qasr_calibrate_options *opt, qasr_calibrate_report *report, qasr_error *err);

/* ---- inspection --------------------------------------------------------------------------- */

typedef struct qasr_inspect qasr_inspect;

typedef struct qasr_tensor_info {
    const char *name;
    const char *type; /* "bf16", "q8_0", ... */
    const char *part; /* "encoder", "decoder", "embedding", "head", "other" */
    const char *file; /* its file, without the directory */
    unsigned n_dims;
    uint64_t shape[4]; /* slowest first */
    uint64_t n_values, bytes;
} qasr_tensor_info;

/* Opens a model directory or any .safetensors or .gguf file without reading the weights. Facts about the configuration
 * come from config.json or from the metadata of layouts that qasr_model_open takes. Errors: IO, FORMAT, NOMEM. */
QASR_API qasr_status qasr_inspect_open(qasr_inspect **out, const char *path, qasr_error *err);
QASR_API void qasr_inspect_close(qasr_inspect *info);
QASR_API size_t qasr_inspect_tensor_count(const qasr_inspect *info);
QASR_API const qasr_tensor_info *qasr_inspect_tensor(const qasr_inspect *info, size_t index);
/* Facts as keys and printable values, most important first: "layout", "container", "model", "encoder.layers",
 * "tokenizer", "languages", each metadata key of a GGUF file ("meta.general.name"), ... */
QASR_API size_t qasr_inspect_fact_count(const qasr_inspect *info);
QASR_API const char *qasr_inspect_fact(const qasr_inspect *info, size_t index, const char **value);

#ifdef __cplusplus
}
#endif

#endif
