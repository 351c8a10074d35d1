/* JSON values that accept any input. */
#ifndef QASR_APP_JSON_UTIL_H
#define QASR_APP_JSON_UTIL_H

#include <stdint.h>
#include <stdio.h>

struct json_t; /* jansson.h: for the .c files */

/* A string; bytes that are not UTF-8 (file names may be anything) become '?'. NULL gives "". */
struct json_t *json_text(const char *s);
/* A number rounded to the given decimals; 0 if it is not finite. */
struct json_t *json_number(double x, int decimals);
/* The dimensions of a tensor as an array. */
struct json_t *json_shape(unsigned n_dims, const uint64_t shape[4]);
/* Indented, in order of insertion, UTF-8 unescaped, without a final newline. Errors show in ferror(f). */
void json_print(const struct json_t *value, FILE *f);

#endif
