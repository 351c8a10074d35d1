/* libsndfile: names of sample formats, messages. Its reader is in reader.h. */
#ifndef QASR_AUDIO_SNDFILE_READER_H
#define QASR_AUDIO_SNDFILE_READER_H

#include "audio/reader.h"

/* The option raw. Error INVALID if it is none of "FORMAT:RATE:CHANNELS". */
qasr_status sndfile_read_raw(sample_format *format, int *rate, int *channels, const char *raw, qasr_error *err);
size_t sndfile_frame_bytes(sample_format format, int channels);
/* What it says of bytes that are no file that it knows. */
extern const char sndfile_unknown[];

#endif
