/* Rows of option tables that several commands share, so that an option has one name, one help text and one set of
 * values everywhere. A row takes the offset of the field that it fills: offsetof(args, session.n_threads). */
#ifndef QASR_CLI_SHARED_OPTS_H
#define QASR_CLI_SHARED_OPTS_H

#include <stdbool.h>
#include <stddef.h>

#include "app/opt.h"
#include "qasr/qasr_tools.h"

/* ---- models and sessions --------------------------------------------------------------------- */

extern const char *const decoder_weights_names[]; /* in the order of qasr_decoder_weights, ends with NULL */
extern const char *const precision_names[];       /* in the order of qasr_precision, ends with NULL */

/* Two rows; model: offset of a qasr_model_options. */
#define DECODER_OPTS(model)                                                                                            \
    { "decoder-weights",                                                                                               \
      0,                                                                                                               \
      "KIND",                                                                                                          \
      "which decoder weights to use (default auto: a GGUF if there is one)",                                           \
      OPT_CHOICE,                                                                                                      \
      (model) + offsetof(qasr_model_options, decoder_weights),                                                         \
      decoder_weights_names },                                                                                         \
    {                                                                                                                  \
        "decoder-gguf", 0, "NAME", "GGUF with the decoder, relative to the model directory or absolute", OPT_STRING,   \
            (model) + offsetof(qasr_model_options, decoder_gguf)                                                       \
    }

/* Two rows; model: offset of a qasr_model_options. */
#define MEMORY_OPTS(model)                                                                                             \
    { "no-mmap", 0,                                                                                                    \
      NULL,      "read the weights into memory instead of mapping their files",                                        \
      OPT_FLAG,  (model) + offsetof(qasr_model_options, no_mmap) },                                                    \
    {                                                                                                                  \
        "mlock", 0, NULL, "lock the weights in memory", OPT_FLAG, (model) + offsetof(qasr_model_options, mlock)        \
    }

/* int */
#define THREADS_OPT(field)                                                                                             \
    {                                                                                                                  \
        "threads", 't', "N", "worker threads (default: one per physical core)", OPT_INT, field, NULL, 1, 1024          \
    }

/* int */
#define BATCH_OPT(field)                                                                                               \
    {                                                                                                                  \
        "batch", 'b', "N",                                                                                             \
            "audio segments, of one or several files, to decode together; 1: off (default: up to 8 in 2 GiB)",         \
            OPT_INT, field, NULL, 1, 64                                                                                \
    }

#define DEVICE_KINDS "gpu, metal, vulkan, cuda, hip"
/* const char * */
#define DEVICE_OPT(field)                                                                                              \
    {                                                                                                                  \
        "device", 0, "DEVICE",                                                                                         \
            "where to compute: cpu (default), auto, " DEVICE_KINDS ", or a name from 'qasr devices'", OPT_STRING,      \
            field                                                                                                      \
    }

/* const char * */
#define KV_TYPE_OPT(field)                                                                                             \
    {                                                                                                                  \
        "kv-type", 0, "TYPE", "type of the KV cache (default f16)", OPT_NAME, field, .choice = qasr_kv_type_name       \
    }

/* qasr_precision */
#define PRECISION_OPT(field)                                                                                           \
    {                                                                                                                  \
        "precision", 0, "KIND",                                                                                        \
            "arithmetic of encoder and prefill (default auto: bfloat16 where it is faster, int8 with q4_0 and the "    \
            "like)",                                                                                                   \
            OPT_CHOICE, field, precision_names                                                                         \
    }

/* ---- segments -------------------------------------------------------------------------------- */

/* const char *, for segment_set. */
#define SEGMENT_OPT(field)                                                                                             \
    {                                                                                                                  \
        "segment", 0, "N",                                                                                             \
            "cut long audio at pauses: into segments of at most N seconds, auto (default): about 30, as suits the "    \
            "model, "                                                                                                  \
            "or off",                                                                                                  \
            OPT_STRING, field                                                                                          \
    }

/* "auto" (NULL), "off", or seconds. False if it is none of them (printed). */
bool segment_set(const command *cmd, const char *text, qasr_transcribe_options *options);

/* ---- output ---------------------------------------------------------------------------------- */

/* Formats of reports. */
enum { REPORT_TEXT, REPORT_JSON };
extern const char *const report_txt_json[], *const report_md_json[]; /* in that order, end with NULL */

/* int: REPORT_TEXT or REPORT_JSON */
#define TXT_JSON_OPT(letter, field)                                                                                    \
    {                                                                                                                  \
        "format", letter, "FORMAT", "output format (default txt)", OPT_CHOICE, field, report_txt_json                  \
    }
#define MD_JSON_OPT(field)                                                                                             \
    {                                                                                                                  \
        "format", 'f', "FORMAT", "output format (default md)", OPT_CHOICE, field, report_md_json                       \
    }

/* const char * */
#define OUTPUT_OPT(field)                                                                                              \
    {                                                                                                                  \
        "output", 'o', "FILE", "write results to FILE instead of standard output ('-')", OPT_STRING, field             \
    }

/* int */
#define OVERWRITE_OPT(field)                                                                                           \
    {                                                                                                                  \
        "force", 'f', NULL, "replace an existing output file", OPT_FLAG, field                                         \
    }
/* Before any work: false if a file is there that must not be replaced (printed). */
bool overwrite_check(const char *output, int overwrite);
#define QUIET_OPT(field)                                                                                               \
    {                                                                                                                  \
        "quiet", 'q', NULL, "no progress, no summary", OPT_FLAG, field                                                 \
    }

/* ---- lists of clips -------------------------------------------------------------------------- */

/* Two rows: const char *, int. */
#define SELECT_OPTS(exclude, limit)                                                                                    \
    { "exclude", 0, "GLOB", "skip matching files, as in '*-long-*'", OPT_STRING, exclude },                            \
    {                                                                                                                  \
        "limit", 0, "N", "use only the first N of the remaining files", OPT_INT, limit, NULL, 1, 1e9                   \
    }

#endif
