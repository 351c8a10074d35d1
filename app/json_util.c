/* See json_util.h. */
#include "app/json_util.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

json_t *json_text(const char *s)
{
    json_t *text = json_string(s ? s : "");
    char *copy = text ? NULL : strdup(s);
    if (copy) {
        for (char *c = copy; *c; c++)
            if ((unsigned char)*c >= 0x80)
                *c = '?';
        text = json_string(copy);
        free(copy);
    }
    return text;
}

json_t *json_number(double x, int decimals)
{
    double scale = pow(10, decimals);
    return json_real(isfinite(x) ? round(x * scale) / scale : 0);
}

json_t *json_shape(unsigned n_dims, const uint64_t shape[4])
{
    json_t *list = json_array();
    for (unsigned d = 0; d < n_dims && d < 4; d++)
        json_array_append_new(list, json_integer((json_int_t)shape[d]));
    return list;
}

void json_print(const json_t *value, FILE *f) { json_dumpf(value, f, JSON_INDENT(2) | JSON_REAL_PRECISION(15)); }
