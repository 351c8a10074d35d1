/* See resume.h. */
#include "cli/transcribe/resume.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "app/json_util.h"
#include "app/lines.h"
#include "app/message.h"
#include "app/out.h"

/* ---- names ----------------------------------------------------------------------------------- */

/* An input, under the name stored in its lines. */
typedef struct entry {
    char *path, *stored; /* both normalized; in stored, bytes that are not UTF-8 are '?' */
    input *in;
    bool ambiguous; /* another file has the same stored name: the lines could belong to either */
} entry;

typedef struct names {
    entry *list; /* [n], sorted by stored name, channel, position */
    size_t n;
} names;

/* The path without "." components and redundant slashes. Free it. NULL without memory. */
static char *plain_path(const char *path)
{
    char *plain = strdup(path), *to = plain;
    for (const char *from = path; plain && *from; from += *from == '/') {
        const size_t n = strcspn(from, "/");
        const bool stays = n > 1 || (n == 1 && *from != '.');
        if (stays)
            memcpy(to, from, n);
        to += stays ? n : 0;
        if (from[n] && (stays || (n == 0 && from == path)))
            *to++ = '/';
        from += n;
    }
    if (plain)
        *to = 0;
    return plain;
}

static char *stored_path(const char *plain)
{
    json_t *text = json_text(plain);
    char *stored = text ? strdup(json_string_value(text)) : NULL;
    json_decref(text);
    return stored;
}

static int compare_names(const char *a, int a_channel, const char *b, int b_channel)
{
    const int order = strcmp(a, b);
    return order ? order : (a_channel > b_channel) - (a_channel < b_channel);
}

static int by_name(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    const int order = compare_names(x->stored, x->in->channel, y->stored, y->in->channel);
    return order ? order : (x->in > y->in) - (x->in < y->in);
}

static void names_free(names *by)
{
    for (size_t i = 0; by->list && i < by->n; i++) {
        free(by->list[i].path);
        free(by->list[i].stored);
    }
    free(by->list);
    *by = (names){ 0 };
}

/* The index of the first entry of that name, or where it would be. */
static size_t find_first(const names *by, const char *stored, int channel)
{
    size_t begin = 0, end = by->n;
    while (begin < end) {
        const size_t middle = begin + (end - begin) / 2;
        const entry *e = &by->list[middle];
        if (compare_names(e->stored, e->in->channel, stored, channel) < 0)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

static bool has_name(const names *by, size_t i, const char *stored, int channel)
{
    return i < by->n && compare_names(by->list[i].stored, by->list[i].in->channel, stored, channel) == 0;
}

static void find_ambiguous(names *by)
{
    for (size_t first = 0, next; first < by->n; first = next) {
        const entry *e = &by->list[first];
        bool differ = false;
        for (next = first; has_name(by, next, e->stored, e->in->channel); next++)
            differ = differ || strcmp(by->list[next].path, e->path) != 0;
        for (size_t i = first; i < next; i++)
            by->list[i].ambiguous = differ;
    }
}

/* False without memory (printed). */
static bool names_of(names *by, inputs *in)
{
    *by = (names){ calloc(in->n + 1, sizeof *by->list), in->n };
    bool good = by->list != NULL;
    for (size_t i = 0; good && i < in->n; i++) {
        entry *e = &by->list[i];
        e->in = &in->items[i];
        e->path = plain_path(e->in->path);
        e->stored = e->path ? stored_path(e->path) : NULL;
        good = e->stored != NULL;
    }
    if (!good)
        return message_fail("out of memory");
    qsort(by->list, by->n, sizeof *by->list, by_name);
    find_ambiguous(by);
    return true;
}

/* ---- lines ----------------------------------------------------------------------------------- */

typedef struct reader {
    lines in;
    names by;
    resume *r;
    bool strict;
    /* The input whose lines are being read: */
    size_t n_segments;
    bool suspect;
} reader;

static bool add_old(resume *r, const resume_lines *old)
{
    if (r->n == r->capacity) {
        const size_t capacity = r->capacity ? 2 * r->capacity : 16;
        resume_lines *list = realloc(r->old, capacity * sizeof *list);
        if (!list)
            return message_fail("out of memory");
        r->old = list;
        r->capacity = capacity;
    }
    r->old[r->n++] = *old;
    return true;
}

/* Handles o, the last line of an input. False without memory (printed). */
static bool end_file(reader *rd, const json_t *o, const char *file)
{
    const int channel = (int)json_integer_value(json_object_get(o, "channel"));
    const bool has_text = json_object_get(o, "text") != NULL;
    const bool has_warning = rd->suspect || rd->n_segments == 0 || json_is_true(json_object_get(o, "audio_damaged"));
    const bool is_done = has_text && !(rd->strict && has_warning);
    char *stored = plain_path(file);
    if (!stored)
        return message_fail("out of memory");
    const size_t first = find_first(&rd->by, stored, channel);
    bool good = true;
    if (has_name(&rd->by, first, stored, channel) && !rd->by.list[first].ambiguous) {
        for (size_t i = first; is_done && has_name(&rd->by, i, stored, channel); i++)
            rd->by.list[i].in->skip = !rd->by.list[i].in->error;
        const resume_lines old = { rd->by.list[first].in, rd->r->keep_bytes, rd->in.end_bytes, has_text, false };
        good = is_done || add_old(rd->r, &old);
    }
    free(stored);
    rd->r->keep_bytes = rd->in.end_bytes;
    rd->n_segments = 0;
    rd->suspect = false;
    return good;
}

static void add_segment(reader *rd, const json_t *o)
{
    const char *status = json_string_value(json_object_get(o, "status"));
    rd->n_segments++;
    rd->suspect = rd->suspect || (status && strncmp(status, "suspect_", 8) == 0);
}

static bool read_line(reader *rd)
{
    json_t *o = lines_parse_object(&rd->in);
    if (!o)
        return false;
    const char *type = json_string_value(json_object_get(o, "type")),
               *file = json_string_value(json_object_get(o, "file"));
    const bool is_end = type && strcmp(type, "file") == 0, is_segment = type && strcmp(type, "segment") == 0;
    bool good = (file && (is_end || is_segment)) ||
                lines_fail(&rd->in, "not a line written by 'qasr transcribe --format jsonl': no 'type' of \"segment\" "
                                    "or \"file\", or no 'file'");
    if (good && is_end)
        good = end_file(rd, o, file);
    else if (good)
        add_segment(rd, o);
    json_decref(o);
    return good;
}

/* ---- the file -------------------------------------------------------------------------------- */

bool resume_read(resume *r, const char *path, inputs *in, bool strict)
{
    reader rd = { .r = r, .strict = strict };
    if (!out_has_content(path))
        return true;
    bool good = names_of(&rd.by, in) && lines_open(&rd.in, path);
    rd.in.drop_torn = true;
    while (good && lines_next(&rd.in))
        good = read_line(&rd);
    good = good && !rd.in.failed;
    for (size_t i = 0; i < r->n; i++)
        r->old[i].replaced = r->old[i].in->skip; /* by a run that was interrupted */
    lines_close(&rd.in);
    names_free(&rd.by);
    return good;
}

void resume_result(resume *r, const input *in, bool has_text)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->old[i].in == in)
            r->old[i].replaced = has_text || !r->old[i].has_text;
}

/* Copies bytes from the current position up to end. */
static bool copy_until(FILE *from, FILE *to, size_t end)
{
    char bytes[65536];
    for (size_t at = (size_t)ftello(from), n; at < end; at += n) {
        n = fread(bytes, 1, end - at < sizeof bytes ? end - at : sizeof bytes, from);
        if (n == 0)
            return feof(from);
        fwrite(bytes, 1, n, to);
    }
    return true;
}

static bool copy_rest(const resume *r, FILE *from, FILE *to)
{
    bool good = true;
    for (size_t i = 0; good && i < r->n; i++)
        if (r->old[i].replaced)
            good = copy_until(from, to, r->old[i].begin) && fseeko(from, (off_t)r->old[i].end, SEEK_SET) == 0;
    return good && copy_until(from, to, (size_t)-1);
}

bool resume_finish(const resume *r, const char *path)
{
    size_t n_replaced = 0;
    out to;
    for (size_t i = 0; i < r->n; i++)
        n_replaced += r->old[i].replaced;
    if (n_replaced == 0)
        return true;
    FILE *from = fopen(path, "r");
    if (!from)
        return message_fail("cannot open '%s': %s", path, strerror(errno));
    bool good = out_open(&to, path);
    if (good && copy_rest(r, from, to.f)) {
        good = out_commit(&to);
    } else if (good) {
        good = message_fail("cannot read '%s': %s", path, strerror(errno));
        out_abort(&to);
    }
    fclose(from);
    return good;
}

void resume_free(resume *r)
{
    free(r->old);
    *r = (resume){ 0 };
}
