/* libqasr: speech to text with Qwen3-ASR models, in C.
 *
 * A complete program:
 *
 *     #include <qasr/qasr.h>
 *     #include <stdio.h>
 *
 *     int main(int argc, char **argv)
 *     {
 *         qasr_error err;
 *         qasr_model *model = NULL;
 *         qasr_session *session = NULL;
 *         qasr_result *result = NULL;
 *         float *pcm = NULL;
 *         size_t n_samples = 0;
 *         int failed = argc != 3
 *             || qasr_model_open(&model, argv[1], NULL, &err)
 *             || qasr_session_open(&session, model, NULL, &err)
 *             || qasr_audio_load(&pcm, &n_samples, argv[2], &err)
 *             || qasr_transcribe(&result, session, pcm, n_samples, NULL, &err);
 *         if (failed)
 *             fprintf(stderr, "%s\n", argc == 3 ? err.message : "usage: example MODEL AUDIO");
 *         else
 *             puts(qasr_result_text(result));
 *         qasr_result_free(result);
 *         qasr_audio_free(pcm);
 *         qasr_session_close(session);
 *         qasr_model_close(model);
 *         return failed;
 *     }
 *
 * Conventions. Every function that can fail returns qasr_status and takes a qasr_error as its last
 * argument (NULL allowed); on failure the out-parameter is left NULL or untouched. What comes back
 * through an out-parameter belongs to the caller; what a getter returns belongs to the handle it was
 * asked of. Option structs start from their _INIT macro (NULL means all defaults); a zero field means
 * "default". Strings are UTF-8. A model may be shared by any number of threads; a session serves one
 * call at a time. The library never prints, exits or aborts. */
#ifndef QASR_QASR_H
#define QASR_QASR_H

#include <stddef.h>
#include <stdint.h>

#include "version.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define QASR_API __attribute__((visibility("default")))
#else
#define QASR_API
#endif

/* ---- errors, log, version ---------------------------------------------------------------- */

typedef enum qasr_status {
    QASR_OK = 0,
    QASR_E_NOMEM,       /* an allocation failed */
    QASR_E_IO,          /* a file could not be opened, read, written */
    QASR_E_FORMAT,      /* a file's content is not what it should be */
    QASR_E_UNSUPPORTED, /* valid, but not something this build can do */
    QASR_E_INVALID,     /* an argument is wrong */
    QASR_E_DEVICE,      /* a compute device failed */
    QASR_E_CANCELLED    /* a callback asked to stop */
} qasr_status;

/* Lives on the caller's stack; nothing to free. message is one line, without final newline or stop. */
typedef struct qasr_error {
    qasr_status status;
    char message[508];
} qasr_error;

typedef enum qasr_log_level { QASR_LOG_WARNING = 1, QASR_LOG_INFO = 2, QASR_LOG_DEBUG = 3 } qasr_log_level;
typedef void (*qasr_log_fn)(void *user, qasr_log_level level, const char *message);

/* Sets the process-wide log callback; NULL (the default) is silence. Call before other threads start. */
QASR_API void qasr_log_set(qasr_log_fn fn, void *user);

/* "0.1.0" */
QASR_API const char *qasr_version(void);
/* How the library was built, and with which versions of what libraries it runs: "build", "compiler", "cpu" (the level
 * in use), then a name of each library; the value is printable. index from 0; NULL after the last. */
QASR_API const char *qasr_build_fact(size_t index, const char **value);
/* Name of the CPU kernel level in use: "scalar", "avx2", "avxvnni", "avx512", "avx512vnni", ... The environment
 * variable QASR_CPU=LEVEL masks higher levels. */
QASR_API const char *qasr_cpu_level(void);
/* The levels that QASR_CPU takes on this architecture, lowest first; NULL after the last. */
QASR_API const char *qasr_cpu_level_name(size_t index);

/* ---- audio ------------------------------------------------------------------------------- */

/* Reads a file ("-": standard input) of any rate and channel count, recognised by its content (docs/transcribe.md lists
 * the formats), and gives mono float samples at 16 kHz, |x| <= 1. Errors: IO, FORMAT, NOMEM. Free with
 * qasr_audio_free. */
QASR_API qasr_status qasr_audio_load(float **pcm, size_t *n_samples, const char *path, qasr_error *err);
QASR_API void qasr_audio_free(float *pcm);

typedef struct qasr_audio_options {
    size_t struct_size;
    double start_s;    /* what is before that is left out */
    double duration_s; /* how much is taken from there; 0: all to the end */
    int channel;       /* 0: the mean of all; from 1: that one alone, which must be there (else: FORMAT) */
    const char
        *raw; /* the file has samples and no header: "FORMAT:RATE:CHANNELS" as in "s16le:16000:1", FORMAT one of s8, u8,
                 s16le, s16be, s24le, s24be, s32le, s32be, f32le, f32be, f64le, f64be, ulaw, alaw; NULL: a sound file */
    const char *ffmpeg; /* a program that is run, without a shell, to decode what the library does not know (m4a, mp4,
                           webm): "ffmpeg", as found on PATH, or another path of it; the file is its standard input, and
                           it is told to open no addresses on the network. NULL: no program is ever run */
    const char *track;  /* of a file with several tracks of sound: its number, from "1" on, or the code of its language
                           ("en", "eng"). NULL: the default track, else the first */
} qasr_audio_options;
#define QASR_AUDIO_OPTIONS_INIT                                                                                        \
    {                                                                                                                  \
        sizeof(qasr_audio_options), 0, 0, 0, 0, 0, 0                                                                   \
    }

/* Extensions that recordings have ("wav"), whether they need ffmpeg or not; NULL after the last. What a file is is
 * found out from its content, never from its name: these are for programs that look for recordings in a folder, or must
 * not write over one. */
QASR_API const char *qasr_audio_extension(size_t index);

/* Error INVALID if the options make no sense, whatever the file. */
QASR_API qasr_status qasr_audio_check(const qasr_audio_options *opt, qasr_error *err);
/* qasr_audio_load with options. What they leave out plays no part. Errors: also INVALID. */
QASR_API qasr_status qasr_audio_load_part(float **pcm, size_t *n_samples, const char *path,
                                          const qasr_audio_options *opt, qasr_error *err);

typedef struct qasr_audio_info {
    size_t struct_size;
    int rate, channels; /* of the file */
    double duration_s;  /* of the part that the options choose, as the file's header tells; below 0: it does not */
} qasr_audio_info;
#define QASR_AUDIO_INFO_INIT                                                                                           \
    {                                                                                                                  \
        sizeof(qasr_audio_info), 0, 0, 0                                                                               \
    }

/* Looks at the beginning of a file; out starts from QASR_AUDIO_INFO_INIT. What cannot seek ("-", a pipe) is used up by
 * that. Errors: as qasr_audio_load_part. */
QASR_API qasr_status qasr_audio_probe(qasr_audio_info *out, const char *path, const qasr_audio_options *opt,
                                      qasr_error *err);

/* ---- model ------------------------------------------------------------------------------- */

typedef struct qasr_model qasr_model;     /* weights, tokenizer, configuration; read-only once open */
typedef struct qasr_session qasr_session; /* KV cache, scratch memory, worker threads */
typedef struct qasr_result qasr_result;   /* what one transcription gave */

typedef enum qasr_decoder_weights {
    QASR_DECODER_AUTO = 0,    /* a GGUF in the model directory if there is one, else safetensors */
    QASR_DECODER_SAFETENSORS, /* ignore GGUF files */
    QASR_DECODER_GGUF         /* a GGUF must be there */
} qasr_decoder_weights;

typedef struct qasr_model_options {
    size_t struct_size;
    qasr_decoder_weights decoder_weights;
    const char *decoder_gguf; /* file name, relative to the model directory, or absolute; NULL: the
                                 first of model-TYPE.gguf, TYPE in the order of qasr_qtype_name (model-q6k.gguf before
                                 model-q6_k.gguf, and so on), then model.gguf */
    int no_mmap;        /* non-zero: read the weights into memory instead of mapping the files: for files that may be
                           cut or go away while the model is open, as on network drives */
    int mlock;          /* non-zero: lock the weights in memory; where that is not allowed the log gets a warning that
                           names the limit, and the model works unlocked */
    const char *mmproj; /* file with the encoder for a llama.cpp text model; NULL: an mmproj*.gguf beside it, the
                           one whose name has most in common when there are several */
} qasr_model_options;
#define QASR_MODEL_OPTIONS_INIT                                                                                        \
    {                                                                                                                  \
        sizeof(qasr_model_options), QASR_DECODER_AUTO, 0, 0, 0, 0                                                      \
    }

/* Opens a model. path is one of
 *   - a directory with config.json, tokenizer files, safetensors, and optionally a GGUF with the decoder;
 *   - a GGUF file that holds a whole model: of transcribe.cpp (architecture qwen3_asr) or CrispASR (qwen3asr);
 *   - a text model of llama.cpp (qwen3vl), or the mmproj file (clip, qwen3a) that goes with it;
 *   - a directory without config.json that holds exactly one of these.
 * The decoder options are for the first. Weights are mapped, not read, unless the options say otherwise.
 * Errors: IO, FORMAT, UNSUPPORTED, INVALID, NOMEM. */
QASR_API qasr_status qasr_model_open(qasr_model **out, const char *path, const qasr_model_options *opt,
                                     qasr_error *err);
QASR_API void qasr_model_close(qasr_model *model); /* NULL is fine; close its sessions first */

/* Where the decoder's weights came from (a path), and the type of most of them ("q8_0", "bf16"). */
QASR_API const char *qasr_model_decoder_path(const qasr_model *model);
QASR_API const char *qasr_model_decoder_type(const qasr_model *model);

/* The languages the model was trained on: English name and ISO 639 code; index from 0 to count - 1. */
QASR_API size_t qasr_language_count(void);
QASR_API const char *qasr_language_name(size_t index);
QASR_API const char *qasr_language_code(size_t index);

/* ---- devices ------------------------------------------------------------------------------ */

/* Where a session can compute: the CPU, and what the back ends of ggml that are installed find. */
typedef struct qasr_device_info {
    size_t struct_size;
    char name[64];                    /* for qasr_session_options: "cpu", "Vulkan0" */
    char description[128];            /* of the hardware */
    char backend[32];                 /* what drives it: "qasr", or of ggml "Vulkan", "CUDA", .. */
    char kind[8];                     /* "cpu", "gpu", "igpu" (shares the memory of the host) */
    uint64_t free_bytes, total_bytes; /* of memory; 0: unknown */
    int flash_attention;              /* non-zero: attention without a matrix of scores in memory */
    int maps_files;  /* non-zero: reads weights where their file is mapped, if they are aligned there */
    char types[128]; /* weights that are multiplied as they are, "f32 f16 q8_0"; others are converted when a session
                        opens */
} qasr_device_info;
#define QASR_DEVICE_INFO_INIT                                                                                          \
    {                                                                                                                  \
        sizeof(qasr_device_info), "", "", "", "", 0, 0, 0, 0, ""                                                       \
    }

/* The index-th device, 0 being the CPU; out starts from QASR_DEVICE_INFO_INIT. The first call loads the back ends.
 * Error: INVALID beyond the last. */
QASR_API qasr_status qasr_device_get(qasr_device_info *out, size_t index, qasr_error *err);
/* Version of ggml that GPU devices come through, NULL if this library was built without. */
QASR_API const char *qasr_ggml_version(void);

/* ---- transcription ----------------------------------------------------------------------- */

typedef enum qasr_encoder_attention {
    QASR_ENCODER_WINDOWS = 0, /* windows of 104 vectors (8 s), as in training */
    QASR_ENCODER_FULL         /* every vector sees the whole segment (what some backends do) */
} qasr_encoder_attention;

/* Arithmetic of the encoder and of reading the prompt. */
typedef enum qasr_precision {
    QASR_PRECISION_AUTO = 0, /* activations may be rounded to bfloat16, as the published model's own code does, and to
                                int8 with a scale for each 32 where weights have 4 or 5 bits (docs/numerics.md) */
    QASR_PRECISION_F32       /* float32 throughout: slower where the CPU has bfloat16 or int8 instructions */
} qasr_precision;

typedef struct qasr_session_options {
    size_t struct_size;
    int n_threads; /* 0: one per physical core this process may use */
    const char
        *device; /* "cpu" (NULL), the name of another from qasr_device_get, a kind ("gpu", "metal", "vulkan", "cuda",
                    "hip"; ":1" behind it for the second one), or "auto": the first GPU that has room for the model
                    and 2 GiB of keys and values, else the CPU, and the log says why (docs/devices.md) */
    qasr_precision precision;
    int batch; /* segments of audio that are decoded together, from 1 to 64, which changes speed and memory but no
                  result (on a GPU the last bits of one); 0: up to 8, as long as their keys and values take at
                  most 2 GiB (a single segment may take more) */
    const char *kv_type; /* of keys and values: "f16" (NULL), "f32", "q8_0" (half of f16, not exactly its results) */
} qasr_session_options;
#define QASR_SESSION_OPTIONS_INIT                                                                                      \
    {                                                                                                                  \
        sizeof(qasr_session_options), 0, 0, QASR_PRECISION_AUTO, 0, 0                                                  \
    }

/* The names that kv_type takes, the default first; NULL after the last. */
QASR_API const char *qasr_kv_type_name(size_t index);

QASR_API qasr_status qasr_session_open(qasr_session **out, qasr_model *model, const qasr_session_options *opt,
                                       qasr_error *err);
QASR_API void qasr_session_close(qasr_session *session); /* NULL is fine */
QASR_API int qasr_session_threads(const qasr_session *session);
/* The device in use, "cpu" or a name of ggml's ("Vulkan0"), and the most memory that was taken from it so far: weights,
 * keys and values, activations; without files that it reads where they are mapped. 0 on the CPU. */
QASR_API const char *qasr_session_device(const qasr_session *session);
QASR_API uint64_t qasr_session_device_bytes(const qasr_session *session);

/* Called with each run of complete characters as decoding goes on; non-zero cancels. Text comes in the order of the
 * audio: when several segments are decoded together, the first that is not complete shows its text as it comes, the
 * others have to wait for their turn. Where a suspect answer would be replaced (unless no_retry), the text of a segment
 * comes when it is there to stay. */
typedef int (*qasr_text_fn)(void *user, const char *text);

struct qasr_segment;
/* Called with each segment of a clip once it and all before it are complete, which lives until the call returns;
 * non-zero cancels. As for text: all segments of a clip come before its result, none of the next does. */
typedef int (*qasr_segment_fn)(void *user, const struct qasr_segment *segment);

/* How far the clip is that comes next in order: seconds of audio from its beginning that are done, and its length.
 * Called when done_s grows; non-zero cancels. */
typedef int (*qasr_seconds_fn)(void *user, double done_s, double total_s);

typedef struct qasr_transcribe_options {
    size_t struct_size;
    const char *language; /* English name or ISO code; NULL: detect */
    const char *context;  /* words or text to expect; NULL: none. It is read before each segment, so it takes time; some
                             10000 tokens are the most that the published models are made for */
    int max_new_tokens;   /* per segment; 0: from the duration */
    int ignore_eos;       /* non-zero: decode exactly max_new_tokens tokens (for measuring) */
    double max_segment_s; /* longer audio is cut into segments where it is quiet. 0: audio of more than 16 s, into
                           segments of about 14 s (at most 28), which models take that have not heard longer audio in
                           training. Above 0: audio longer than that, into segments nearly as long. 1200 is the longest
                           that the published models are made for */
    qasr_encoder_attention encoder_attention;
    const char *dump_tensors; /* write mel, audio_embeds, first_logits of the first segment to this
                                 safetensors file; NULL: no */
    qasr_text_fn on_text;     /* NULL: none */
    void *user;
    int no_retry; /* non-zero: a segment with a suspect answer (qasr_segment_status) is not tried again, only marked */
    int token_scores;            /* non-zero: qasr_segment.scores and words; takes some time, changes no token */
    qasr_seconds_fn on_progress; /* gets user; NULL: none */
    qasr_segment_fn on_segment;  /* gets user; NULL: none */
} qasr_transcribe_options;
#define QASR_TRANSCRIBE_OPTIONS_INIT                                                                                   \
    {                                                                                                                  \
        sizeof(qasr_transcribe_options), 0, 0, 0, 0, 0, QASR_ENCODER_WINDOWS, 0, 0, 0, 0, 0, 0, 0                      \
    }

/* Transcribes mono 16 kHz samples; the segments of long audio are decoded together (qasr_session_options.batch).
 * Errors: INVALID (unknown language, non-finite samples), NOMEM, DEVICE, CANCELLED, IO (dump). */
QASR_API qasr_status qasr_transcribe(qasr_result **out, qasr_session *session, const float *pcm, size_t n_samples,
                                     const qasr_transcribe_options *opt, qasr_error *err);
QASR_API void qasr_result_free(qasr_result *result); /* NULL is fine */

/* ---- many clips --------------------------------------------------------------------------- */

/* One of many clips. The library zeroes it before it asks for the next. */
typedef struct qasr_clip {
    const float *pcm; /* mono 16 kHz samples; the caller's, to be left alone until done was called for the clip */
    size_t n_samples;
    void *user;       /* the caller's own */
    const char *path; /* instead of samples: a file as for qasr_audio_load, which is read segment by segment, so that
                         memory does not grow with its length; the string is to live until done */
    const qasr_audio_options *audio; /* how to read path; NULL: as qasr_audio_load. They and their strings are to live
                                        until done. Times of the result count from the beginning of the file */
    qasr_error error; /* a status other than OK: there is no sound; done is called with this error when it is the
                         clip's turn */
} qasr_clip;

/* Fills in the next clip: above 0 if there is one, 0 if there are no more (it is not called again), below 0 to cancel.
 */
typedef int (*qasr_next_clip_fn)(void *user, qasr_clip *clip);
/* Called once for each clip, in the order of the clips: with its result, which is the callee's to free, or with result
 * NULL and an error that lives until the call returns. The clip's samples may be freed then. Non-zero cancels. */
typedef int (*qasr_clip_done_fn)(void *user, const qasr_clip *clip, qasr_result *result, const qasr_error *error);

/* Transcribes any number of clips; the segments of several clips are decoded together. next is called when there is
 * room for more work, so at most 2 * batch clips are held at a time. A clip that fails does not stop the others. The
 * callbacks run on the calling thread and must not use the session. on_text of the options shows the clips one after
 * another: all text of one comes before its done, nothing of the next does. A dump is that of the first segment of the
 * first clip. When a callback cancels, or on an error of the call itself, done is still called for each clip that next
 * has given, with that error, and what it returns no longer counts. Errors: INVALID (unknown language), NOMEM,
 * CANCELLED. */
QASR_API qasr_status qasr_transcribe_many(qasr_session *session, const qasr_transcribe_options *opt,
                                          qasr_next_clip_fn next, qasr_clip_done_fn done, void *user, qasr_error *err);

/* ---- results ------------------------------------------------------------------------------- */

/* The whole text, segments joined; "" if nothing was said. */
QASR_API const char *qasr_result_text(const qasr_result *result);
/* Language(s) as the model named them, "English" or "Chinese,English"; "" if it named none. */
QASR_API const char *qasr_result_language(const qasr_result *result);

/* Why decoding of a segment ended. */
typedef enum qasr_stop_reason {
    QASR_STOP_EOS = 0, /* the model ended its answer */
    QASR_STOP_LIMIT,   /* the token limit was reached: text is probably missing */
    QASR_STOP_LOOP,    /* decoding ran in a loop and was stopped */
    QASR_STOP_EMPTY    /* no samples, or only silence: the model was not run */
} qasr_stop_reason;
QASR_API const char *qasr_stop_reason_name(qasr_stop_reason reason); /* "eos", "limit", "loop", "empty" */

/* What to think of the answer to a segment. A suspect one is tried again (unless no_retry): with the segment cut closer
 * to its speech, then in halves, which become segments of their own, and their halves; what is still suspect then is
 * marked. */
typedef enum qasr_segment_status {
    QASR_SEGMENT_OK = 0,
    QASR_SEGMENT_RETRIED,       /* the first answer was suspect, this one is not */
    QASR_SEGMENT_SILENT,        /* skipped: nothing is to be heard, the model was not run */
    QASR_SEGMENT_SUSPECT_LOOP,  /* decoding ran in a loop */
    QASR_SEGMENT_SUSPECT_LIMIT, /* the token limit was reached */
    QASR_SEGMENT_SUSPECT_EMPTY, /* something is to be heard, but there is no text */
    QASR_SEGMENT_SUSPECT_RATE   /* far too few or too many words for the time that is spoken */
} qasr_segment_status;
/* "ok", "retried", "silent", "suspect_loop", "suspect_limit", "suspect_empty", "suspect_rate" */
QASR_API const char *qasr_segment_status_name(qasr_segment_status status);

/* What the model thought of a token that it chose: natural logarithm of its probability, and entropy of the
 * distribution (nats) that it was chosen from. */
typedef struct qasr_token_score {
    float log_probability, entropy;
} qasr_token_score;

/* A word of the text: what stands between spaces, with its punctuation; of Chinese, Japanese and the like every
 * character, with the punctuation behind it. */
typedef struct qasr_word {
    const char *text;
    float confidence; /* product of the probabilities of the tokens that it has characters of, from 0 to 1 */
} qasr_word;

/* Audio is transcribed in segments; short audio is one segment. Segments touch, and together they are the whole. */
typedef struct qasr_segment {
    double start_s, end_s;
    const char *text;
    const char *language;
    const int32_t *tokens; /* generated ids, without the end token */
    size_t n_tokens;
    size_t n_prompt_tokens;
    size_t n_audio_tokens;
    qasr_stop_reason stop;
    double speech_start_s,
        speech_end_s; /* edges of what is to be heard, inside [start_s, end_s]; both start_s if nothing is */
    qasr_segment_status status;
    int no_speech;                  /* non-zero: there is no text, and that is not suspect */
    const qasr_token_score *scores; /* [n_tokens]; NULL unless token_scores */
    double avg_log_probability;     /* of the tokens; NaN without scores or tokens */
    const qasr_word *words; /* [n_words], in the order of the text; NULL unless token_scores, and where repetitions
                               were taken out of the text */
    size_t n_words;
    int context_echoed; /* non-zero: the first answer began with the context instead of what was said (its first 40
                           letters, or all if they are fewer and at least 8); this one was made without the context,
                           unless no_retry */
} qasr_segment;
QASR_API size_t qasr_result_segment_count(const qasr_result *result);
QASR_API const qasr_segment *qasr_result_segment(const qasr_result *result, size_t index); /* NULL if out of range */
/* The stop reason of the first segment that did not end with EOS, else EOS (EMPTY if no segment). Silent segments do
 * not count. */
QASR_API qasr_stop_reason qasr_result_stop_reason(const qasr_result *result);

/* Non-zero: the file that the clip was read from ends early or is damaged, and the result is of what could be decoded;
 * a warning in the log says what is wrong. Always 0 for samples. */
QASR_API int qasr_result_audio_damaged(const qasr_result *result);
/* What is damaged or missing, place by place in their order: a line of text, or NULL if index is out of range, and from
 * where to where in seconds of the file, with silence there or nothing. *to_s is *from_s if the length is unknown, as
 * where a file was cut off. */
QASR_API const char *qasr_result_damage(const qasr_result *result, size_t index, double *from_s, double *to_s);

/* Wall time of each phase. The first three work on one segment at a time. A decoding pass works on several segments at
 * once, also on those of other clips (qasr_transcribe_many): its time is divided equally among the segments, so that
 * the decode_s of all clips of a call add up to the time that passed. */
typedef struct qasr_timings {
    double audio_s; /* duration of the input */
    double mel_s, encode_s, prefill_s, decode_s;
    double total_s;        /* from the moment the clip was there to its result; clips overlap */
    size_t n_decode_steps; /* decoding passes in which a segment of this clip took part: without a batch, tokens - 1 per
                              segment */
    size_t n_decoded_tokens; /* tokens that these passes gave this clip; per second: n_decoded_tokens / decode_s */
} qasr_timings;
QASR_API const qasr_timings *qasr_result_timings(const qasr_result *result);

/* ---- measuring ---------------------------------------------------------------------------- */

/* What the machine can do at best, with all threads. GB and Gop are 10^9; a multiply-add is two operations. */
typedef struct qasr_limits {
    size_t struct_size;
    double read_gb_s;  /* reading memory in order */
    double f32_gop_s;  /* the library's innermost product on data in the near caches, float32 */
    double bf16_gop_s; /* the same with bfloat16 factors; 0 where the CPU level has none */
    int n_threads;     /* how many took part */
    double int8_gop_s; /* as f32_gop_s, with bytes and a scale for each 32; 0 where the CPU level has none */
} qasr_limits;
#define QASR_LIMITS_INIT                                                                                               \
    {                                                                                                                  \
        sizeof(qasr_limits), 0, 0, 0, 0, 0                                                                             \
    }

/* Measures; out starts from QASR_LIMITS_INIT. n_threads 0: the default of sessions. Takes about a second and a
 * GiB of memory or 8 times the last cache. Errors: INVALID, NOMEM, IO (threads). */
QASR_API qasr_status qasr_measure_limits(qasr_limits *out, int n_threads, qasr_error *err);

/* What one segment of audio takes. Products and attention are counted, a multiply-add as two operations;
 * the decoder's attention as the causal half that is needed. */
typedef struct qasr_cost {
    size_t struct_size;
    double encode_gop, prefill_gop;
    uint64_t decode_bytes_per_token; /* weights read for each token, and keys and values of the prompt and of half
                                        the answer */
    uint64_t kv_bytes_per_position;  /* the share of one position in that */
    uint64_t weights_bytes;          /* of encoder and decoder as they lie in the files, those not used left out */
    const char *encode_precision, *prefill_precision; /* of most operations: "int8", "bf16" or "f32" */
    const char *embedding_type;                       /* "bf16", "q8_0", ... */
    size_t n_prompt_tokens;
} qasr_cost;
#define QASR_COST_INIT                                                                                                 \
    {                                                                                                                  \
        sizeof(qasr_cost), 0, 0, 0, 0, 0, 0, 0, 0, 0                                                                   \
    }

/* For n_samples as one segment, default options and n_tokens of answer; out starts from QASR_COST_INIT. Nothing is
 * run. Errors: INVALID, NOMEM. */
QASR_API qasr_status qasr_session_cost(const qasr_session *session, size_t n_samples, size_t n_tokens, qasr_cost *out,
                                       qasr_error *err);

/* ---- quality ------------------------------------------------------------------------------ */

/* How far a text is from a reference, in counts that add up over texts. docs/evaluation.md says what a word is and how
 * texts are normalized: Unicode NFKC, full case folding, everything but letters, their marks and numbers removed, words
 * by white space; characters of Han, Kana, Bopomofo, Thai, Lao, Myanmar and Khmer are words of their own. */
typedef struct qasr_score {
    size_t struct_size;
    uint64_t words; /* of the reference */
    uint64_t substitutions, insertions,
        deletions; /* of words, as few as possible: word error rate = their sum / words */
    uint64_t characters,
        character_errors; /* code points of the reference as it is; edits between the texts as they are */
    uint64_t normalized_characters, normalized_errors; /* the same for the normalized texts */
    uint64_t marks_right, marks_missing, marks_extra;  /* punctuation behind words that were aligned; F1 = 2 right /
                                                          (2 right + missing + extra) */
    uint64_t cased_words,
        cased_right; /* words that both have, with letters that have a case; the same letters in both */
    uint64_t exact;  /* 1: the texts are the same, byte for byte */
} qasr_score;
#define QASR_SCORE_INIT                                                                                                \
    {                                                                                                                  \
        sizeof(qasr_score), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                                                   \
    }

/* out starts from QASR_SCORE_INIT. Time grows with the product of the texts' lengths. Errors: NOMEM, INVALID (more than
 * 2^30 pairs of words to compare). */
QASR_API qasr_status qasr_score_text(qasr_score *out, const char *reference, const char *text, qasr_error *err);

/* A segment of audio whose answer the caller gives, token by token ("teacher forcing"), to see what the model thinks of
 * each: the logits are those that decoding would choose from, so the arg max is the token that it would choose. */
typedef struct qasr_teacher_forcing qasr_teacher_forcing;

/* Runs encoder and prompt for the samples as one segment. Of the options language, context, encoder_attention count,
 * max_new_tokens (how many tokens may be given; from the duration) and max_segment_s (longer audio is an error). The
 * session is busy until qasr_teacher_forcing_close: other calls with it fail with INVALID. Errors: INVALID (no samples,
 * too long, not finite), NOMEM, DEVICE. */
QASR_API qasr_status qasr_teacher_forcing_open(qasr_teacher_forcing **out, qasr_session *session, const float *pcm,
                                               size_t n_samples, const qasr_transcribe_options *opt, qasr_error *err);
/* Logits of the token that comes next, [qasr_teacher_forcing_vocabulary]: of the first after the opening, and with the
 * whole answer given those of the end token. They hold until the next call. */
QASR_API const float *qasr_teacher_forcing_logits(const qasr_teacher_forcing *forced);
QASR_API size_t qasr_teacher_forcing_vocabulary(const qasr_teacher_forcing *forced);
/* Appends a token, whatever the model would have chosen. Errors: INVALID (not in the vocabulary, too many), DEVICE,
 * NOMEM; after the last two close it. */
QASR_API qasr_status qasr_teacher_forcing_token(qasr_teacher_forcing *forced, int32_t token, qasr_error *err);
QASR_API void qasr_teacher_forcing_close(qasr_teacher_forcing *forced); /* NULL is fine; before its session is closed */

/* ---- quantization ------------------------------------------------------------------------ */

/* Progress of a long call: done of total bytes; comes on the thread that made the call. Non-zero cancels. */
typedef int (*qasr_progress_fn)(void *user, uint64_t done, uint64_t total, const char *what);

/* What becomes of one tensor. The strings live until the callback returns. */
typedef struct qasr_quantize_tensor {
    const char *name;               /* of the original checkpoint; patterns are looked for in it */
    const char *output_name;        /* in the file; "" if it is not written */
    const char *kind;               /* as in qasr_quantize_row */
    const char *part;               /* "encoder", "decoder", "other" */
    const char *source_type, *type; /* "bf16", ...; type "skipped": not written */
    unsigned n_dims;
    uint64_t shape[4]; /* slowest first */
    uint64_t n_values, bytes_before, bytes_after;
    int fallback;       /* non-zero: got this type because its rows do not fit the wanted one */
    int mixed;          /* non-zero: auto_mix has chosen the type, */
    double sensitivity; /* which expects so much of it (docs/evaluation.md) */
} qasr_quantize_tensor;
/* Called for each tensor in the order of the file, on the calling thread, before anything is written. Non-zero cancels.
 */
typedef int (*qasr_quantize_tensor_fn)(void *user, const qasr_quantize_tensor *tensor);

/* A type for some tensors. */
typedef struct qasr_tensor_type {
    const char *pattern; /* regular expression (PCRE2), found anywhere in the tensor's name */
    const char *type;    /* as qtype below, no mix; also "f32" */
} qasr_tensor_type;

/* The names that qtype takes, of types and of mixes of types: from 8-bit codes to 4-bit ones, bf16 and f16 last. index
 * from 0 to count - 1, else NULL and 0. */
QASR_API size_t qasr_qtype_count(void);
QASR_API const char *qasr_qtype_name(size_t index);
QASR_API int qasr_qtype_is_mix(size_t index); /* non-zero: no type of a single tensor */

typedef struct qasr_quantize_options {
    size_t struct_size;
    const char *input;  /* model directory, .safetensors file, .safetensors.index.json or .gguf file */
    const char *output; /* .gguf file to write; not needed for a dry run */
    const char *qtype; /* a name of qasr_qtype_name, or "q6k" for "q6_k" and so on; NULL: "q8_0". The mixes "q5_k_m" and
                          "q4_k_m": output projections of attention q8_0, embedding q6_k. Upper or lower case */
    const char *scope; /* keep tensors whose name starts so; NULL: "thinker.model.", the decoder. "all" or "thinker.": a
                          whole model in one file, in the layout of transcribe.cpp, with its embedding quantized too */
    int quantize_embeddings; /* quantize embed_tokens (and a stored lm_head in scope) too */
    int n_threads;           /* 0: default */
    int overwrite;           /* replace an existing output */
    qasr_progress_fn on_progress;
    void *user;
    const qasr_tensor_type *tensor_types; /* [n_tensor_types] come before all other rules; the last that fits wins. One
                                             that fits no tensor is an error */
    size_t n_tensor_types;
    const char *encoder_qtype;   /* for matrices of the encoder; NULL: qtype, but q8_0 in place of anything smaller, as
                                    encoders of less are known to run in loops on long audio */
    const char *embedding_qtype; /* for the embedding (and a stored lm_head), which is quantized then; no mix */
    int dry_run;                 /* non-zero: nothing is written; the report says what would be, without errors */
    qasr_quantize_tensor_fn on_tensor; /* gets user; NULL: none */
    const char *calibration; /* file of qasr_calibrate, or an imatrix file of llama.cpp: with products of inputs
                                rounding errors are compensated (GPTQ, Frantar et al. 2022; LDLQ, Chee et al. 2023),
                                with squares alone they weigh errors. NULL: none */
    const char *const *
        calibration_audio; /* [n_calibration_audio], as audio in qasr_calibrate_options: the model, which input must be
                     then, listens to it while it is quantized, so that each matrix makes up for what those
                     before it have lost too. Better than a calibration file, which can beside it only serve auto_mix */
    size_t n_calibration_audio;
    double auto_mix; /* bits per weight: the matrices of the decoder get different types, chosen by errors measured with
                        the calibration, which must be given, so that they take at most this on average. Matrices
                        with a tensor_type or an embedding_qtype, those that the calibration does not know, and the
                        encoder keep the types that the other options give them. 0: no */
} qasr_quantize_options;
#define QASR_QUANTIZE_OPTIONS_INIT                                                                                     \
    {                                                                                                                  \
        sizeof(qasr_quantize_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                         \
    }

/* One line of the summary: all tensors of one kind ("attention", "mlp", "embedding", "norm", ...) that
 * got one type. Errors compare the stored values with the source's. */
typedef struct qasr_quantize_row {
    const char *kind;
    const char *type; /* "skipped": not written (a head that the config says is the embedding) */
    size_t n_tensors;
    uint64_t n_values, bytes_before, bytes_after;
    double max_error, rms_error;
    size_t n_fallback; /* tensors that got this type because their rows do not fit the wanted one */
} qasr_quantize_row;

typedef struct qasr_quantize_report {
    qasr_quantize_row *rows;
    size_t n_rows;
    uint64_t file_bytes;
    double seconds;
} qasr_quantize_report;

/* Converts safetensors or GGUF to GGUF. The output appears whole or not at all. An input that is quantized already is
 * a warning in the log. report may be NULL; free its rows with qasr_quantize_report_free. Errors: IO, FORMAT, INVALID,
 * UNSUPPORTED, NOMEM, CANCELLED. */
QASR_API qasr_status qasr_quantize(const qasr_quantize_options *opt, qasr_quantize_report *report, qasr_error *err);
QASR_API void qasr_quantize_report_free(qasr_quantize_report *report);

/* ---- calibration -------------------------------------------------------------------------- */

typedef struct qasr_calibrate_options {
    size_t struct_size;
    const char *model;        /* model directory with safetensors; GGUF files in it are ignored */
    const char *const *audio; /* [n_audio] audio files; folders with such files; lists, whose names end in .txt (a path
                                 per line) or .tsv (header "file", a tab, ..: paths relative to the list's folder) */
    size_t n_audio;
    const char *output;           /* .gguf file to write */
    int covariance;               /* the sums of products of two elements too: for GPTQ and the like; large */
    int n_threads;                /* 0: default */
    int max_memory_mb;            /* 2^20 bytes of sums at a time; when they need more, the audio is transcribed again
                                     for each group of matrices; 0: 2048 */
    int limit;                    /* audio files at the most; 0: all */
    int overwrite;                /* replace an existing output */
    qasr_progress_fn on_progress; /* counts files, times passes; what: "pass 1 of 2" */
    void *user;
} qasr_calibrate_options;
#define QASR_CALIBRATE_OPTIONS_INIT                                                                                    \
    {                                                                                                                  \
        sizeof(qasr_calibrate_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                                                \
    }

typedef struct qasr_calibrate_report {
    size_t struct_size;
    size_t n_clips, n_segments; /* audio files, and the segments of at most 30 s that they were cut into */
    size_t n_passes;            /* times that the audio was read */
    size_t n_matrices;
    uint64_t encoder_rows, decoder_rows,
        answer_rows; /* inputs that a matrix of the encoder and of the decoder has seen, and
                        of the decoder those that chose a token: what the head has seen */
    double audio_s;
    uint64_t file_bytes;
    double seconds;
} qasr_calibrate_report;
#define QASR_CALIBRATE_REPORT_INIT                                                                                     \
    {                                                                                                                  \
        sizeof(qasr_calibrate_report), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                                                    \
    }

/* Transcribes audio in full precision (float32) and stores, for every matrix of the encoder and the decoder that
 * quantization touches, the sums of squares of its inputs, in the form of llama.cpp's imatrix files (docs/format.md).
 * Results do not depend on threads or max_memory_mb. The output appears whole or not at all. report may be NULL; it
 * starts from QASR_CALIBRATE_REPORT_INIT. Errors: IO, FORMAT, INVALID, UNSUPPORTED, NOMEM, DEVICE, CANCELLED; a file
 * that cannot be read is an error of the whole. */
QASR_API qasr_status qasr_calibrate(const qasr_calibrate_options *opt, qasr_calibrate_report *report, qasr_error *err);

/* ---- looking into files ------------------------------------------------------------------ */

typedef struct qasr_inspect qasr_inspect;

typedef struct qasr_tensor_info {
    const char *name;
    const char *type; /* "bf16", "q8_0", ... */
    const char *part; /* "encoder", "decoder", "embedding", "head", "other" */
    const char *file; /* base name of the file it lies in */
    unsigned n_dims;
    uint64_t shape[4]; /* slowest first */
    uint64_t n_values, bytes;
} qasr_tensor_info;

/* Opens a model directory, a .safetensors or a .gguf file of any content for a look; weights are not
 * read. Facts about the configuration come from config.json or, of the layouts that qasr_model_open takes, from the
 * metadata. Errors: IO, FORMAT, NOMEM. */
QASR_API qasr_status qasr_inspect_open(qasr_inspect **out, const char *path, qasr_error *err);
QASR_API void qasr_inspect_close(qasr_inspect *info);
QASR_API size_t qasr_inspect_tensor_count(const qasr_inspect *info);
QASR_API const qasr_tensor_info *qasr_inspect_tensor(const qasr_inspect *info, size_t index);
/* Facts as key and printable value, in order of interest: "layout", "container", "model", "encoder.layers",
 * "tokenizer", "languages", every metadata key of a GGUF ("meta.general.name"), ... */
QASR_API size_t qasr_inspect_fact_count(const qasr_inspect *info);
QASR_API const char *qasr_inspect_fact(const qasr_inspect *info, size_t index, const char **value);

#ifdef __cplusplus
}
#endif

#endif
