/* Limits and constants of the GGUF container, shared by reader and writer. */
#ifndef QASR_WEIGHTS_GGUF_FORMAT_H
#define QASR_WEIGHTS_GGUF_FORMAT_H

enum {
    GGUF_ALIGNMENT = 32, /* default */
    GGUF_MAX_NAME = 63,  /* bytes of a tensor name, as in ggml */
};

#define GGUF_ALIGNMENT_KEY "general.alignment"
#define GGUF_SPLIT_NO_KEY "split.no" /* in the parts of a model in several files; see gguf_parts.c */
#define GGUF_SPLIT_COUNT_KEY "split.count"
#define GGUF_SPLIT_TENSORS_KEY "split.tensors.count"
#define GGUF_STT_PREFIX "stt.qwen3_asr." /* prefix of the keys in transcribe.cpp's layout */
#define GGUF_TYPE_IMATRIX "imatrix"      /* general.type of calibration statistics */

#endif
