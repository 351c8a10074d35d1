/* Parses all JSON files: returns the Jansson tree of a JSON object, or an error with file, line and column. Duplicate
 * keys in an object are rejected. */
#ifndef QASR_BASE_JSON_FILE_H
#define QASR_BASE_JSON_FILE_H

#include "base/buf.h"
#include "base/error.h"

struct json_t; /* jansson.h */

/* Parses text [len]; path is for messages. Free *root with json_decref; it is NULL after an error. Errors: FORMAT (not
 * JSON, not an object), NOMEM. */
qasr_status json_file_parse(struct json_t **root, const char *text, size_t len, const char *path, qasr_error *err);
/* Reads a file into text, which the caller initialized with the maximum size, and parses it. Errors: as above; IO,
 * FORMAT (file too large). */
qasr_status json_file_read(struct json_t **root, buf *text, const char *path, qasr_error *err);

const char *json_file_jansson_version(void);

#endif
