/* See resume.h. */
#include "resume.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "lines.h"

static void mark(inputs *in, const char *file, int channel)
{
    for (size_t i = 0; i < in->n; i++)
        if (!in->items[i].error && in->items[i].channel == channel && strcmp(in->items[i].path, file) == 0)
            in->items[i].skip = true;
}

/* The line, that is; *ends_file: all of a file is in the lines up to it. */
static bool read_line(lines *l, inputs *in, bool *ends_file)
{
    json_t *o = lines_parse_object(l);
    if (!o)
        return false;
    const char *type = json_string_value(json_object_get(o, "type")), *file = json_string_value(json_object_get(o, "file"));
    *ends_file = type && strcmp(type, "file") == 0;
    bool good = (type && file && (*ends_file || strcmp(type, "segment") == 0)) ||
                lines_fail(l, "not a line of 'qasr transcribe --format jsonl': no 'type' of \"segment\" or \"file\", or no 'file'");
    if (good && *ends_file && json_object_get(o, "text"))
        mark(in, file, (int)json_integer_value(json_object_get(o, "channel")));
    json_decref(o);
    return good;
}

bool resume_read(const char *path, inputs *in, size_t *keep_bytes)
{
    lines l;
    *keep_bytes = 0;
    if (access(path, F_OK) != 0)
        return true;
    bool good = lines_open(&l, path);
    l.drop_torn = true;
    while (good && lines_next(&l)) {
        bool ends_file = false;
        good = read_line(&l, in, &ends_file);
        if (ends_file)
            *keep_bytes = l.end_bytes;
    }
    good = good && !l.failed;
    lines_close(&l);
    return good;
}
