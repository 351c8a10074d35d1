/* See outputs.h. */
#include "cli/transcribe/outputs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/message.h"
#include "app/out.h"

/* FOLDER/NAME without the extension, plus ".chN" for one of several channels. Free it. NULL without memory (printed).
 */
static char *stem_of(const outputs *o, const input *in)
{
    const char *name = strcmp(in->path, "-") == 0 ? "stdin" : in->name;
    const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name, *dot = strrchr(base, '.');
    const char *separator = o->folder[strlen(o->folder) - 1] == '/' ? "" : "/";
    int n = dot && dot > base ? (int)(dot - name) : (int)strlen(name);
    char channel[16] = "", *stem;
    if (in->channel)
        snprintf(channel, sizeof channel, ".ch%d", in->channel);
    if (asprintf(&stem, "%s%s%.*s%s", o->folder, separator, n, name, channel) >= 0)
        return stem;
    message_fail("out of memory");
    return NULL;
}

/* STEM.FORMAT. Free it. NULL without memory (printed). */
static char *path_of(const char *stem, const format_writer *format)
{
    char *path;
    if (asprintf(&path, "%s.%s", stem, format->name) >= 0)
        return path;
    message_fail("out of memory");
    return NULL;
}

/* ---- names ----------------------------------------------------------------------------------- */

typedef struct place {
    char *stem;
    const input *in;
} place;

static int by_stem(const void *a, const void *b)
{
    const place *x = a, *y = b;
    int order = strcmp(x->stem, y->stem);
    return order ? order : (x->in > y->in) - (x->in < y->in);
}

static bool in_same_folder(const char *a, const char *b)
{
    const char *x = strrchr(a, '/'), *y = strrchr(b, '/');
    const size_t n = x ? (size_t)(x - a) : 0, m = y ? (size_t)(y - b) : 0;
    return !x == !y && n == m && strncmp(a, b, n) == 0;
}

static bool fail_on_clash(const outputs *o, const place *a, const place *b)
{
    const char *x = a->in->path, *y = b->in->path, *format = format_all[__builtin_ctz(o->formats)]->name;
    if (strcmp(x, y) == 0)
        return message_fail("'%s' is given twice and would be written to '%s.%s' twice; give it once", x, a->stem,
                            format);
    return message_fail("'%s' and '%s' would both be written to '%s.%s'; rename one, or %s", x, y, a->stem, format,
                        in_same_folder(x, y) ? "transcribe them in two runs with different --output-dir"
                                             : "give a folder that contains both, with --recursive");
}

/* Sorts places. */
static bool all_differ(const outputs *o, place *places, size_t n)
{
    qsort(places, n, sizeof *places, by_stem);
    for (size_t i = 1; i < n; i++)
        if (strcmp(places[i - 1].stem, places[i].stem) == 0)
            return fail_on_clash(o, &places[i - 1], &places[i]);
    return true;
}

/* Creates the folders of a path, from the given length on. */
static bool make_folders(char *path, size_t from)
{
    struct stat st;
    for (char *slash = strchr(path + from, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        bool good =
            !*path || mkdir(path, 0777) == 0 || (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode));
        if (!good)
            message_fail("cannot create folder '%s': %s", path,
                         errno == EEXIST ? "a file of that name exists" : strerror(errno));
        *slash = '/';
        if (!good)
            return false;
    }
    return true;
}

static bool is_read(const outputs *o, const place *p, const char *path)
{
    bool is = out_is_same(path, p->in->path);
    for (size_t i = 0; i < sizeof o->texts / sizeof *o->texts; i++)
        is = is || out_is_same(path, o->texts[i]);
    return is;
}

/* The number of results that exist; negative if one is a file that is read or memory runs out (printed). */
static int count_existing(const outputs *o, const place *p)
{
    int n = 0;
    for (int i = 0; i < FORMAT_COUNT && n >= 0; i++) {
        char *path = o->formats >> i & 1 ? path_of(p->stem, format_all[i]) : NULL;
        if (!(o->formats >> i & 1))
            continue;
        if (!path || (is_read(o, p, path) && !message_fail("'%s' is an input file and would be overwritten", path)))
            n = -1;
        else
            n += access(path, F_OK) == 0;
        free(path);
    }
    return n;
}

/* *created: a stem in whose folder files can be created, which is tried once per folder; NULL: none yet. */
static bool can_write(const outputs *o, const place *p, const char **created)
{
    bool good = true;
    for (int i = 0; i < FORMAT_COUNT && good; i++) {
        char *path = o->formats >> i & 1 ? path_of(p->stem, format_all[i]) : NULL;
        if (!(o->formats >> i & 1))
            continue;
        const bool is_new = path && access(path, F_OK) != 0 && errno == ENOENT;
        good = path && ((is_new && *created && in_same_folder(*created, p->stem)) || out_check(path));
        *created = is_new ? p->stem : *created;
        free(path);
    }
    return good;
}

bool outputs_prepare(const outputs *o, inputs *in, bool skip_existing)
{
    place *places = calloc(in->n + 1, sizeof *places);
    size_t n = 0;
    bool good = places || message_fail("out of memory");
    for (size_t i = 0; good && i < in->n; i++)
        if (!in->items[i].error) {
            places[n] = (place){ stem_of(o, &in->items[i]), &in->items[i] };
            good = places[n++].stem != NULL;
        }
    const char *created = NULL;
    good = good && all_differ(o, places, n);
    for (size_t i = 0; good && i < n; i++) {
        int existing = count_existing(o, &places[i]);
        in->items[places[i].in - in->items].skip = skip_existing && existing == __builtin_popcount(o->formats);
        good = existing >= 0;
    }
    for (size_t i = 0; good && i < n; i++) /* last, so that a refused run leaves no folders behind */
        good = make_folders(places[i].stem, 1) && (places[i].in->skip || can_write(o, &places[i], &created));
    for (size_t i = 0; i < n; i++)
        free(places[i].stem);
    free(places);
    return good;
}

/* ---- results --------------------------------------------------------------------------------- */

static bool write_file(const char *path, const format_writer *format, const format_item *item)
{
    out to;
    if (!out_open(&to, path))
        return false;
    if (format_put_whole(to.f, format, item))
        return out_commit(&to);
    out_abort(&to);
    return false;
}

bool outputs_write(const outputs *o, const input *in, const format_item *item)
{
    char *stem = stem_of(o, in);
    bool good = stem != NULL;
    for (int i = 0; i < FORMAT_COUNT && good; i++) {
        char *path = o->formats >> i & 1 ? path_of(stem, format_all[i]) : NULL;
        if (o->formats >> i & 1)
            good = path && write_file(path, format_all[i], item);
        free(path);
    }
    free(stem);
    return good;
}
