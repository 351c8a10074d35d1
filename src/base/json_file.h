/* The one reader of JSON files: a JSON object in, Jansson's tree or an error with file, line and column out. Keys that
 * occur twice in an object are refused. */
#ifndef QASR_BASE_JSON_FILE_H
#define QASR_BASE_JSON_FILE_H

#include "base/buf.h"
#include "base/error.h"

struct json_t; /* jansson.h */

/* Parses text [len]; path is for messages. *root is released with json_decref; it is NULL after an error. Errors:
 * FORMAT (not JSON, not an object), NOMEM. */
qasr_status json_file_parse(struct json_t **root, const char *text, size_t len, const char *path, qasr_error *err);
/* Reads a file into text, which is initialized with the maximum size, and parses it. Errors: as above; IO, FORMAT (the
 * file is too large). */
qasr_status json_file_read(struct json_t **root, buf *text, const char *path, qasr_error *err);

const char *json_file_jansson_version(void);

#endif
