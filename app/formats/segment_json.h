/* A segment of a transcript as JSON, with the same keys in all JSON formats. */
#ifndef QASR_APP_FORMATS_SEGMENT_JSON_H
#define QASR_APP_FORMATS_SEGMENT_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "qasr/qasr.h"

struct json_t; /* jansson.h: for the .c files */

/* Adds a segment's fields to an object, including confidence if the segment has scores. */
void segment_json_add(struct json_t *o, const qasr_segment *p);
struct json_t *segment_json_tokens(const int32_t *ids, size_t n);

#endif
