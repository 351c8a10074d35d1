/* See texts.h. */
#include "cli/eval/texts.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/lines.h"
#include "app/message.h"

enum { MAX_COLUMNS = 64 };
enum { FILE_COLUMN, LANGUAGE_COLUMN, TEXT_COLUMN, N_COLUMNS };
static const char *const column_names[N_COLUMNS] = { "file", "language", "text" };

typedef struct reader {
    text_list *list;
    lines in;
    size_t capacity;
    bool need_language;
    int place[N_COLUMNS]; /* of the columns; negative: absent */
    size_t n_columns;
} reader;

/* ---- a list ---------------------------------------------------------------------------------- */

void texts_free(text_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->items[i].file);
        free(list->items[i].language);
        free(list->items[i].text);
    }
    free(list->items);
    free(list->by_name);
    *list = (text_list){ 0 };
}

/* Copies; language may be NULL. */
static bool add(reader *r, const char *file, const char *language, const char *text)
{
    text_list *l = r->list;
    if (!*file)
        return lines_fail(&r->in, "the name of the audio file is empty");
    if (l->n == r->capacity) {
        size_t capacity = r->capacity ? 2 * r->capacity : 64;
        file_text *items = realloc(l->items, capacity * sizeof *items);
        if (!items)
            return message_fail("out of memory");
        l->items = items;
        r->capacity = capacity;
    }
    file_text *item = &l->items[l->n++];
    *item = (file_text){ strdup(file), language ? strdup(language) : NULL, strdup(text), r->in.number };
    return (item->file && item->text && (item->language || !language)) || message_fail("out of memory");
}

/* Ties are ordered by position. */
static int by_name(const void *a, const void *b)
{
    const file_text *const *x = a, *const *y = b;
    int order = strcmp((*x)->file, (*y)->file);
    return order ? order : (*x > *y) - (*x < *y);
}

static bool sort_names(text_list *list, const char *path)
{
    const file_text **order = malloc((list->n + 1) * sizeof *order);
    list->by_name = malloc((list->n + 1) * sizeof *list->by_name);
    bool good = (order && list->by_name) || message_fail("out of memory");
    for (size_t i = 0; good && i < list->n; i++)
        order[i] = &list->items[i];
    if (good)
        qsort(order, list->n, sizeof *order, by_name);
    for (size_t i = 0; good && i < list->n; i++) {
        list->by_name[i] = (size_t)(order[i] - list->items);
        if (i > 0 && strcmp(order[i - 1]->file, order[i]->file) == 0)
            good = message_fail("'%s' line %zu: the audio file '%s' is already on line %zu", path, order[i]->line,
                                order[i]->file, order[i - 1]->line);
    }
    free(order);
    return good;
}

const file_text *texts_find(const text_list *list, const char *file)
{
    size_t low = 0, high = list->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const file_text *item = &list->items[list->by_name[middle]];
        int order = strcmp(file, item->file);
        if (order == 0)
            return item;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* ---- tab-separated --------------------------------------------------------------------------- */

/* Splits the line at its tabs into fields [MAX_COLUMNS]. Returns their number, or 0 if there are too many (printed). */
static size_t split(reader *r, char *line, char **fields)
{
    size_t n = 0;
    for (char *p = line; p; n++) {
        if (n == MAX_COLUMNS) {
            lines_fail(&r->in, "more than %d columns", MAX_COLUMNS);
            return 0;
        }
        fields[n] = p;
        p = strchr(p, '\t');
        if (p)
            *p++ = 0;
    }
    return n;
}

static bool read_header(reader *r)
{
    char *fields[MAX_COLUMNS];
    r->n_columns = split(r, r->in.text, fields);
    if (r->n_columns == 0)
        return false;
    for (int c = 0; c < N_COLUMNS; c++) {
        r->place[c] = -1;
        for (size_t i = 0; i < r->n_columns; i++)
            if (strcmp(fields[i], column_names[c]) == 0)
                r->place[c] = (int)i;
        if (r->place[c] < 0 && (c != LANGUAGE_COLUMN || r->need_language))
            return lines_fail(&r->in,
                              "no column '%s'; expected a header with the columns file, %stext, separated by tabs",
                              column_names[c], r->need_language ? "language, " : "");
    }
    return true;
}

static bool read_row(reader *r)
{
    char *fields[MAX_COLUMNS];
    size_t n = split(r, r->in.text, fields);
    if (n == 0)
        return false;
    if (n != r->n_columns)
        return lines_fail(&r->in, "%zu column%s, expected %zu as in the header, separated by tabs", n,
                          n == 1 ? "" : "s", r->n_columns);
    const int *at = r->place;
    return add(r, fields[at[FILE_COLUMN]], at[LANGUAGE_COLUMN] < 0 ? NULL : fields[at[LANGUAGE_COLUMN]],
               fields[at[TEXT_COLUMN]]);
}

/* ---- JSON lines ------------------------------------------------------------------------------ */

/* Reads a string; *value is NULL if the key is absent. False if it is not a string, or is required (printed). */
static bool get_string(reader *r, const json_t *o, int column, const char **value)
{
    const json_t *v = json_object_get(o, column_names[column]);
    *value = json_string_value(v);
    if (*value || (!v && column == LANGUAGE_COLUMN))
        return true;
    return lines_fail(&r->in, v ? "'%s' is not a string" : "no key '%s'; expected file, text and optionally language",
                      column_names[column]);
}

/* Lines to skip: the first one of 'qasr eval --details', and the segments and failed files of 'qasr transcribe --format
 * jsonl'. */
static bool is_skipped(const json_t *o)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    return json_object_get(o, "qasr_eval") || (type && (strcmp(type, "segment") == 0 || json_object_get(o, "error")));
}

static bool read_object(reader *r)
{
    const char *value[N_COLUMNS];
    json_t *o = lines_parse_object(&r->in);
    bool good = o != NULL;
    if (good && !is_skipped(o)) {
        for (int c = 0; good && c < N_COLUMNS; c++)
            good = get_string(r, o, c, &value[c]);
        good = good && add(r, value[FILE_COLUMN], value[LANGUAGE_COLUMN], value[TEXT_COLUMN]);
    }
    json_decref(o);
    return good;
}

/* ---- files ----------------------------------------------------------------------------------- */

static bool read_all(reader *r, bool may_be_json)
{
    bool is_json = false, first = true;
    while (lines_next(&r->in)) {
        if (!*r->in.text)
            continue;
        if (first)
            is_json = may_be_json && r->in.text[0] == '{';
        bool good = is_json ? read_object(r) : first ? read_header(r) : read_row(r);
        if (!good)
            return false;
        first = false;
    }
    return !r->in.failed && (!first || message_fail("'%s' is empty, expected a header with the columns file, %stext",
                                                    r->in.path, r->need_language ? "language, " : ""));
}

static bool read_list(text_list *list, const char *path, bool need_language)
{
    reader r = { .list = list, .need_language = need_language };
    *list = (text_list){ 0 };
    bool good = lines_open(&r.in, path) && read_all(&r, !need_language) && sort_names(list, path);
    lines_close(&r.in);
    if (!good)
        texts_free(list);
    return good;
}

bool texts_read_references(text_list *list, const char *path) { return read_list(list, path, true); }
bool texts_read_hypotheses(text_list *list, const char *path) { return read_list(list, path, false); }
