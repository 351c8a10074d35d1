/* A segment of a transcript as JSON: the same keys in every format that has them. */
#ifndef QASR_APP_FORMATS_SEGMENT_JSON_H
#define QASR_APP_FORMATS_SEGMENT_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "qasr/qasr.h"

struct json_t; /* jansson.h: for the .c files */

/* Adds what is known of a segment to an object; with scores what the model thought of its answer. */
void segment_json_add(struct json_t *o, const qasr_segment *p);
struct json_t *segment_json_tokens(const int32_t *ids, size_t n);

#endif
