/* libsndfile: names of sample formats, messages. Its reader is in reader.h. */
#ifndef QASR_AUDIO_SNDFILE_READER_H
#define QASR_AUDIO_SNDFILE_READER_H

#include "audio/reader.h"

/* The option raw. Error INVALID if it is none of "FORMAT:RATE:CHANNELS". */
qasr_status sndfile_read_raw(sample_format *format, int *rate, int *channels, const char *raw, qasr_error *err);
size_t sndfile_frame_bytes(sample_format format, int channels);
/* The last error of an SNDFILE, without a final stop. NULL: of the last one that could not be opened. */
void sndfile_text(char *to, size_t size, void *file);

#endif
