/* libqasr: speech to text with Qwen3-ASR models, in C.
 *
 * This header is all that a program needs to recognise speech. qasr_tools.h adds quantization, calibration, inspection
 * of model files, scoring, teacher forcing and measurements. A complete program:
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
 * Conventions
 *
 * Errors: a function that can fail returns a qasr_status and takes a qasr_error as its last argument, which may be
 * NULL. On failure, the out-parameter is NULL or unchanged. The library never prints, exits or aborts.
 *
 * Ownership: what comes back through an out-parameter is yours to free. What a getter returns belongs to the object it
 * came from and lives as long as that. Functions that free or close accept NULL.
 *
 * Options: zero means "default". Start an option struct from its _INIT macro and set what you need; NULL instead of a
 * struct means all defaults. Strings are UTF-8. Callbacks run on the thread that made the call, must not use its
 * session, and cancel the call by returning non-zero.
 *
 * Threads: any number of threads may share a model. A session serves one call at a time.
 *
 * Compatibility: a program runs with every library of the same soversion that is at least as new as its headers. Later
 * versions add functions, enum values, and fields at the end of structs. A struct that you allocate tells the library
 * how much of it you know by struct_size, its first field, which the _INIT macro sets. Structs without struct_size
 * belong to the library: you get a pointer to one at a time, never an array, so their size does not matter to you.
 * Arrays hold only numbers and strings. qasr_error is the one struct that never changes. */
#ifndef QASR_QASR_H
#define QASR_QASR_H

#include <stddef.h>
#include <stdint.h>

#include "version.h"

/* A struct whose struct_size is set and whose other fields are zero. */
#ifdef __cplusplus
extern "C++" {
template <typename T> inline T qasr_init()
{
    T made = T();
    made.struct_size = sizeof(T);
    return made;
}
}
#define QASR_INIT(type) qasr_init<type>()
extern "C" {
#else
#define QASR_INIT(type)                                                                                                \
    {                                                                                                                  \
        .struct_size = sizeof(type)                                                                                    \
    }
#endif

#if defined(__GNUC__)
#define QASR_API __attribute__((visibility("default")))
#else
#define QASR_API
#endif

/* ---- errors, log, version ---------------------------------------------------------------- */

typedef enum qasr_status {
    QASR_OK = 0,
    QASR_E_NOMEM,       /* out of memory */
    QASR_E_IO,          /* a file could not be opened, read or written */
    QASR_E_FORMAT,      /* the content of a file is invalid */
    QASR_E_UNSUPPORTED, /* valid, but this build cannot do it */
    QASR_E_INVALID,     /* an argument is wrong */
    QASR_E_DEVICE,      /* a compute device failed */
    QASR_E_CANCELLED    /* a callback cancelled the call */
} qasr_status;

/* "ok", "nomem", "io", ... */
QASR_API const char *qasr_status_name(qasr_status status);

/* Lives on your stack; there is nothing to free. message is one line without a final stop. */
typedef struct qasr_error {
    qasr_status status;
    char message[508];
} qasr_error;

typedef enum qasr_log_level { QASR_LOG_WARNING = 1, QASR_LOG_INFO = 2, QASR_LOG_DEBUG = 3 } qasr_log_level;
typedef void (*qasr_log_fn)(void *user, qasr_log_level level, const char *message);

/* Sets the log callback of the process; NULL, the default, logs nothing. Call it before other threads start. */
QASR_API void qasr_log_set(qasr_log_fn fn, void *user);

/* Version of the library that runs, such as "0.2.0". */
QASR_API const char *qasr_version(void);

/* ---- audio ------------------------------------------------------------------------------- */

/* Reads an audio file ("-": standard input) of any rate and number of channels, recognized by its content
 * (docs/transcribe.md lists the formats), and converts it to mono float samples at 16 kHz, |x| <= 1. Errors: IO,
 * FORMAT, NOMEM. Free with qasr_audio_free. */
QASR_API qasr_status qasr_audio_load(float **pcm, size_t *n_samples, const char *path, qasr_error *err);
QASR_API void qasr_audio_free(float *pcm);

typedef struct qasr_audio_options {
    size_t struct_size;
    double start_s;     /* skip this much */
    double duration_s;  /* then read this much; 0: to the end */
    int channel;        /* 0: the mean of all channels; 1: only the first, and so on (FORMAT if it does not exist) */
    const char *raw;    /* headerless samples: "FORMAT:RATE:CHANNELS", such as "s16le:16000:1". FORMAT is s8, u8, s16le,
                           s16be, s24le, s24be, s32le, s32be, f32le, f32be, f64le, f64be, ulaw or alaw. NULL: the file
                           has a header */
    const char *ffmpeg; /* program that decodes what the library cannot (m4a, mp4, webm): "ffmpeg", looked up in PATH,
                           or a path. It runs without a shell, reads the file from standard input, and is told not to
                           access the network. NULL: never run a program */
    const char *track;  /* of a file with several audio tracks: its number, from "1", or its language as in
                           qasr_language_find, or any code of ISO 639. NULL: the default track, else the first */
} qasr_audio_options;
#define QASR_AUDIO_OPTIONS_INIT QASR_INIT(qasr_audio_options)

/* File name extensions of recordings, such as "wav", with or without ffmpeg; NULL after the last. The content alone
 * decides what a file is; these are for programs that search folders, or must not overwrite recordings. */
QASR_API const char *qasr_audio_extension(size_t index);

/* Checks options without a file. Error: INVALID. */
QASR_API qasr_status qasr_audio_check(const qasr_audio_options *opt, qasr_error *err);
/* qasr_audio_load with options. Errors: also INVALID. */
QASR_API qasr_status qasr_audio_load_part(float **pcm, size_t *n_samples, const char *path,
                                          const qasr_audio_options *opt, qasr_error *err);

typedef struct qasr_audio_info {
    size_t struct_size;
    int rate, channels; /* of the file */
    double duration_s;  /* of the part that the options select, from the header; negative: unknown */
} qasr_audio_info;
#define QASR_AUDIO_INFO_INIT QASR_INIT(qasr_audio_info)

/* Reads the header of a file; start out from QASR_AUDIO_INFO_INIT. This consumes input that cannot seek ("-", a pipe).
 * Errors: those of qasr_audio_load_part. */
QASR_API qasr_status qasr_audio_probe(qasr_audio_info *out, const char *path, const qasr_audio_options *opt,
                                      qasr_error *err);

/* ---- model ------------------------------------------------------------------------------- */

typedef struct qasr_model qasr_model;     /* weights, tokenizer, configuration; read-only once open */
typedef struct qasr_session qasr_session; /* KV cache, scratch memory, worker threads */
typedef struct qasr_result qasr_result;   /* the result of transcribing one clip */

typedef enum qasr_decoder_weights {
    QASR_DECODER_AUTO = 0,    /* a GGUF file in the model directory if there is one, else safetensors */
    QASR_DECODER_SAFETENSORS, /* ignore GGUF files */
    QASR_DECODER_GGUF         /* require a GGUF file */
} qasr_decoder_weights;

typedef struct qasr_model_options {
    size_t struct_size;
    qasr_decoder_weights decoder_weights;
    const char *decoder_gguf; /* file name, absolute or relative to the model directory; NULL: the first model-TYPE.gguf
                                 with TYPE in the order of qasr_qtype_name (model-q6k.gguf before model-q6_k.gguf), then
                                 model.gguf */
    const char *mmproj;       /* file with the encoder for a llama.cpp text model; NULL: the mmproj*.gguf in the same
                                 directory; of several, the one with the most similar name */
    int no_mmap;              /* non-zero: read the weights into memory instead of mapping the files, which might be
                                 truncated or disappear while the model is open (network drives) */
    int mlock;                /* non-zero: lock the weights in memory. If the system refuses, the log gets a warning and
                                 the model works unlocked */
} qasr_model_options;
#define QASR_MODEL_OPTIONS_INIT QASR_INIT(qasr_model_options)

/* Opens a model. path is one of
 *   - a directory with config.json, tokenizer files, safetensors, and optionally the decoder as a GGUF file;
 *   - a GGUF file with a complete model, from transcribe.cpp (architecture qwen3_asr) or CrispASR (qwen3asr);
 *   - a llama.cpp text model (qwen3vl), or the mmproj file (clip, qwen3a) that belongs to it;
 *   - a directory without config.json that holds exactly one of these.
 * A GGUF file may be one part of several ("-00001-of-00003.gguf"), which are then all opened. The decoder options apply
 * to the first. Weights are mapped, not read, unless no_mmap is set. Errors: IO, FORMAT, UNSUPPORTED, INVALID, NOMEM.
 */
QASR_API qasr_status qasr_model_open(qasr_model **out, const char *path, const qasr_model_options *opt,
                                     qasr_error *err);
QASR_API void qasr_model_close(qasr_model *model); /* close its sessions first */

/* The length of segments that suits the model best, in seconds: qasr.segment_seconds in its generation_config.json or
 * GGUF metadata, else 30, which is right for the published models. */
QASR_API double qasr_model_segment_seconds(const qasr_model *model);
/* File that the decoder's weights come from, and the type of most of them ("q8_0", "bf16"). */
QASR_API const char *qasr_model_decoder_path(const qasr_model *model);
QASR_API const char *qasr_model_decoder_type(const qasr_model *model);

/* The languages that the models were trained on: English name and ISO 639 code; NULL from index count on. */
QASR_API size_t qasr_language_count(void);
QASR_API const char *qasr_language_name(size_t index);
QASR_API const char *qasr_language_code(size_t index);
/* The name of the language that text stands for, or NULL: it is none of those above, or could be one of several.
 * Understood are, with or without capitals and accents, names in English and in the language itself ("German",
 * "Deutsch", "русский"), codes of ISO 639 ("de", "deu", "ger"), tags of BCP 47 and locales ("de-AT", "zh-Hant-TW",
 * "pt_BR"). Chinese of Hong Kong and Macau ("zh-HK") is Cantonese. */
QASR_API const char *qasr_language_find(const char *text);

/* ---- devices ------------------------------------------------------------------------------ */

/* A device that a session can run on: the CPU, and those that the installed ggml back ends find. */
typedef struct qasr_device_info {
    size_t struct_size;
    char name[64];                    /* for qasr_session_options: "cpu", "Vulkan0" */
    char description[128];            /* of the hardware */
    char backend[32];                 /* what drives it: "qasr", or ggml's "Vulkan", "CUDA", ... */
    char kind[8];                     /* "cpu", "gpu", "igpu" (shares the memory of the host) */
    uint64_t free_bytes, total_bytes; /* of memory, within the limits of the container (CPU); 0: unknown */
    int flash_attention;              /* non-zero: never holds attention scores in memory */
    int maps_files;                   /* non-zero: reads aligned weights directly from the mapped file */
    char types[128]; /* weight types that it multiplies directly, "f32 f16 q8_0"; a session converts others when it
                        opens */
} qasr_device_info;
#define QASR_DEVICE_INFO_INIT QASR_INIT(qasr_device_info)

/* Device number index; 0 is the CPU. Start out from QASR_DEVICE_INFO_INIT. The first call loads the back ends. Error:
 * INVALID after the last. */
QASR_API qasr_status qasr_device_get(qasr_device_info *out, size_t index, qasr_error *err);

/* ---- sessions ----------------------------------------------------------------------------- */

#define QASR_LONGEST_SEGMENT_S 1200 /* the longest segment that the published models are made for */

/* Arithmetic of the encoder and of prefill. */
typedef enum qasr_precision {
    QASR_PRECISION_AUTO = 0, /* activations may be rounded to bfloat16, as in the reference implementation, and to int8
                                with a scale per 32 values for weights of 4 or 5 bits (docs/numerics.md) */
    QASR_PRECISION_F32       /* float32 throughout: slower on CPUs with bfloat16 or int8 instructions */
} qasr_precision;

typedef struct qasr_session_options {
    size_t struct_size;
    int n_threads;      /* 0: one per physical core that the process may use */
    const char *device; /* "cpu" (NULL); a name from qasr_device_get; a kind ("gpu", "metal", "vulkan", "cuda",
                           "hip"; "gpu:1" is the second one); or "auto": the first GPU with room for the model and
                           2 GiB of KV cache, else the CPU, and the log says why (docs/devices.md) */
    qasr_precision precision;
    int batch;           /* segments decoded together, 1 to 64. Affects speed and memory, not results (on a GPU,
                            only their last bits). 0: up to 8 whose KV caches take 2 GiB at most
                            (one alone may take more) */
    const char *kv_type; /* type of the KV cache: "f16" (NULL), "f32", or "q8_0" (half the size of f16; results
                            may differ slightly). Segments whose keys or values exceed it take "f32"
                            (qasr_segment.kv_widened) */
} qasr_session_options;
#define QASR_SESSION_OPTIONS_INIT QASR_INIT(qasr_session_options)

/* Errors: INVALID, UNSUPPORTED, NOMEM, DEVICE, IO (threads). */
QASR_API qasr_status qasr_session_open(qasr_session **out, qasr_model *model, const qasr_session_options *opt,
                                       qasr_error *err);
QASR_API void qasr_session_close(qasr_session *session);
QASR_API int qasr_session_threads(const qasr_session *session);
/* The device in use, "cpu" or the name of another, and the most memory taken from it so far: weights, KV cache and
 * activations, without mapped files. Sessions of a model share its weights on a device; they count in the session that
 * uploaded them. 0 on the CPU. */
QASR_API const char *qasr_session_device(const qasr_session *session);
QASR_API uint64_t qasr_session_device_bytes(const qasr_session *session);

/* ---- results ------------------------------------------------------------------------------- */

/* The text of all segments, joined; "" if there is none. */
QASR_API const char *qasr_result_text(const qasr_result *result);
/* Language(s) as the model named them, "English" or "Chinese,English"; "" if it named none. */
QASR_API const char *qasr_result_language(const qasr_result *result);

/* Why decoding of a segment stopped. */
typedef enum qasr_stop_reason {
    QASR_STOP_EOS = 0, /* the model ended its answer */
    QASR_STOP_LIMIT,   /* token limit: text is probably missing */
    QASR_STOP_LOOP,    /* the model repeated itself */
    QASR_STOP_EMPTY    /* no samples, or only silence: the model did not run */
} qasr_stop_reason;
QASR_API const char *qasr_stop_reason_name(qasr_stop_reason reason); /* "eos", "limit", "loop", "empty" */

/* How far the text of a segment can be trusted. A suspect answer is retried unless no_retry is set: first with the
 * segment trimmed to its speech, then in halves and quarters, which become segments of their own. */
typedef enum qasr_segment_status {
    QASR_SEGMENT_OK = 0,
    QASR_SEGMENT_RETRIED,       /* the first answer was suspect, this one is not */
    QASR_SEGMENT_SILENT,        /* silence: the model did not run */
    QASR_SEGMENT_SUSPECT_LOOP,  /* the model repeated itself */
    QASR_SEGMENT_SUSPECT_LIMIT, /* token limit */
    QASR_SEGMENT_SUSPECT_EMPTY, /* audible audio but no text */
    QASR_SEGMENT_SUSPECT_RATE   /* far too few or too many words for the duration of the speech */
} qasr_segment_status;
/* "ok", "retried", "silent", "suspect_loop", "suspect_limit", "suspect_empty", "suspect_rate" */
QASR_API const char *qasr_segment_status_name(qasr_segment_status status);

/* Audio is transcribed in segments, which cover it without gaps; short audio is one segment. Times count from the
 * beginning of the audio, or of the file. */
typedef struct qasr_segment {
    double start_s, end_s;
    double speech_start_s, speech_end_s; /* first and last speech in [start_s, end_s]; both start_s if there is none */
    const char *text;
    const char *language; /* as in qasr_result_language */
    qasr_segment_status status;
    qasr_stop_reason stop;
    int no_speech;      /* non-zero: there is no text, and that is not suspect */
    double omitted_s;   /* seconds left out of pauses: silence or steady noise of more than two seconds is shortened to
                           two, since models invent text for it. Times are those of the unshortened audio */
    int context_echoed; /* non-zero: the first answer began with the context (its first 40 letters, or all of a context
                           of 8 to 40), so this one was made without it, unless no_retry was set */
    size_t n_prompt_tokens, n_audio_tokens;
    size_t n_tokens;
    const int32_t *tokens;      /* [n_tokens], generated ids without the end token */
    size_t n_words;             /* 0 unless token_scores was set, and where repetitions were removed from the text */
    int has_token_scores;       /* non-zero: token_scores was set and the model ran */
    double avg_log_probability; /* of the tokens; NaN without scores or tokens */
    const struct qasr_segment_detail *detail; /* internal: words and scores, see the functions below */
    int kv_widened; /* non-zero: keys or values exceeded the type of the KV cache, so the segment was decoded again with
                       f32, which takes more time and memory; the text is right */
} qasr_segment;

/* A word: characters between spaces, including punctuation; in Chinese, Japanese and similar scripts each character
 * with closing punctuation after it and opening punctuation before it. */
typedef struct qasr_word {
    const char *text;
    double start_s, end_s; /* NaN: unknown, as in all words of this version */
    float confidence;      /* 0 to 1: product of the probabilities of the tokens that contain its characters */
} qasr_word;

/* How sure the model was of a token. */
typedef struct qasr_token_score {
    float log_probability; /* natural logarithm */
    float entropy;         /* in nats, of the distribution that the token was chosen from */
} qasr_token_score;

QASR_API size_t qasr_result_segment_count(const qasr_result *result);
/* These return NULL if index is out of range. Words and scores live as long as their segment. */
QASR_API const qasr_segment *qasr_result_segment(const qasr_result *result, size_t index);
QASR_API const qasr_word *qasr_segment_word(const qasr_segment *segment, size_t index);               /* of n_words */
QASR_API const qasr_token_score *qasr_segment_token_score(const qasr_segment *segment, size_t index); /* of n_tokens */

/* The stop reason of the first segment that did not stop with EOS, else EOS; EMPTY if there is no segment. Ignores
 * silent segments. */
QASR_API qasr_stop_reason qasr_result_stop_reason(const qasr_result *result);
/* Non-zero: the file ended early or was damaged, and the result covers what could be decoded; the log has a warning.
 * Always 0 for samples. */
QASR_API int qasr_result_audio_damaged(const qasr_result *result);
/* Damaged or missing parts of the file, in order: one line of text, NULL if index is out of range, and the range in
 * seconds of the file, which is silent, left out or changed. *to_s is *from_s if the length is unknown, as where a file
 * was cut off. */
QASR_API const char *qasr_result_damage(const qasr_result *result, size_t index, double *from_s, double *to_s);

/* Wall time of each phase. A decoding pass serves several segments, even of different clips; its time is divided
 * equally among them, so decode_s of all clips adds up to the time that passed. */
typedef struct qasr_timings {
    double audio_s; /* duration of the input */
    double mel_s, encode_s, prefill_s, decode_s;
    double total_s;          /* from receiving the clip to its result; clips overlap */
    size_t n_decode_steps;   /* decoding passes that served this clip; without a batch, tokens - 1 per segment */
    size_t n_decoded_tokens; /* tokens these passes gave this clip; the rate is n_decoded_tokens / decode_s */
} qasr_timings;
QASR_API const qasr_timings *qasr_result_timings(const qasr_result *result);

QASR_API void qasr_result_free(qasr_result *result);

/* ---- transcription ----------------------------------------------------------------------- */

/* Receives text in whole characters and in the order of the audio: by default segment by segment, once it is final;
 * with no_retry while it is decoded. Of segments decoded together, the first unfinished one shows its text as it comes,
 * later ones when it is their turn. */
typedef int (*qasr_text_fn)(void *user, const char *text);
/* Receives each segment of a clip, in order, once it is final; valid until the callback returns. All segments of a clip
 * come before its result, and before those of the next clip. */
typedef int (*qasr_segment_fn)(void *user, const qasr_segment *segment);
/* Receives the progress of the current clip whenever it grows: seconds transcribed from its beginning, and its
 * duration. */
typedef int (*qasr_seconds_fn)(void *user, double done_s, double total_s);

/* Called before each segment is encoded and before each token is decoded, to cancel at once: the other callbacks may
 * come as seldom as segments are finished. */
typedef int (*qasr_poll_fn)(void *user);

typedef enum qasr_encoder_attention {
    QASR_ENCODER_WINDOWS = 0, /* windows of 104 vectors (8 s), as in training */
    QASR_ENCODER_FULL         /* the whole segment, as in some other implementations */
} qasr_encoder_attention;

typedef struct qasr_transcribe_options {
    size_t struct_size;
    const char *language;        /* as in qasr_language_find; NULL: detect */
    const char *context;         /* words or text to expect; NULL: none. Costs time for each segment; the published
                                    models support about 10000 tokens of it */
    double max_segment_s;        /* longer audio is cut in pauses. 0: into segments of about qasr_model_segment_seconds,
                                    up to 4/3 of it where there is no pause. Otherwise segments are nearly this long;
                                    from QASR_LONGEST_SEGMENT_S on their pauses are not shortened */
    int max_new_tokens;          /* per segment; 0: derived from the duration */
    int no_retry;                /* non-zero: only mark suspect answers (qasr_segment_status) */
    int token_scores;            /* non-zero: give token scores and words. Slower, same tokens */
    qasr_text_fn on_text;        /* NULL: none */
    qasr_segment_fn on_segment;  /* NULL: none */
    qasr_seconds_fn on_progress; /* NULL: none */
    qasr_poll_fn on_poll;        /* NULL: none */
    void *user;                  /* passed to the callbacks above */
    qasr_encoder_attention encoder_attention;
    int ignore_eos;           /* non-zero: decode exactly max_new_tokens tokens, for measurements */
    const char *dump_tensors; /* safetensors file to write with mel, audio_embeds and first_logits of the first segment;
                                 NULL: none */
} qasr_transcribe_options;
#define QASR_TRANSCRIBE_OPTIONS_INIT QASR_INIT(qasr_transcribe_options)

/* Transcribes mono 16 kHz samples. Errors: INVALID (unknown language, non-finite samples), NOMEM, DEVICE, CANCELLED,
 * IO (dump). */
QASR_API qasr_status qasr_transcribe(qasr_result **out, qasr_session *session, const float *pcm, size_t n_samples,
                                     const qasr_transcribe_options *opt, qasr_error *err);

/* One of many clips, as samples or as a file. The library zeroes it before qasr_next_clip_fn fills it in. What the
 * pointers refer to must stay valid until qasr_clip_done_fn is called for the clip. */
typedef struct qasr_clip {
    const float *pcm; /* mono 16 kHz samples */
    size_t n_samples;
    const char *path;                /* or a file as in qasr_audio_load, read segment by segment in constant memory */
    const qasr_audio_options *audio; /* how to read the file; NULL: as qasr_audio_load does */
    void *user;                      /* yours */
    qasr_error error; /* status not QASR_OK: you could not provide this clip; qasr_clip_done_fn gets this error in its
                         turn */
} qasr_clip;

/* Fills in the next clip and returns a positive number. Returns 0 after the last clip, a negative number to cancel. */
typedef int (*qasr_next_clip_fn)(void *user, qasr_clip *clip);
/* Receives each clip once, in order, with its result, which is yours to free, or with NULL and an error that is valid
 * until the callback returns. */
typedef int (*qasr_clip_done_fn)(void *user, const qasr_clip *clip, qasr_result *result, const qasr_error *error);

/* Transcribes any number of clips; segments of different clips are decoded together. Holds at most 2 * batch clips at a
 * time. A clip that fails does not stop the others. Segments and text of a clip arrive before its result, and before
 * those of the next clip: they are for the first clip that done has not received. next and done get user, the callbacks
 * of opt get opt->user. A cancelled clip has no result. When a callback cancels or the call itself fails, done still
 * gets every clip that next provided, with that error, and its return value is ignored. A dump is of the first segment
 * of the first clip. Errors: INVALID (unknown language), NOMEM, CANCELLED. */
QASR_API qasr_status qasr_transcribe_many(qasr_session *session, const qasr_transcribe_options *opt,
                                          qasr_next_clip_fn next, qasr_clip_done_fn done, void *user, qasr_error *err);

#ifdef __cplusplus
}
#endif

#endif
