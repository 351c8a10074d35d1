/* Writes and reads clips as JSON lines (docs/evaluation.md has the keys). Numbers are written with all their digits, so
 * that a summary from the file is the same; scores are recomputed from the texts. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/file_lock.h"
#include "app/json_util.h"
#include "app/lines.h"
#include "app/message.h"
#include "app/out.h"
#include "cli/eval/eval.h"

/* ---- writing --------------------------------------------------------------------------------- */

static bool write_line(FILE *f, const char *path, json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(o);
    bool good = text && fprintf(f, "%s\n", text) > 0 && fflush(f) == 0;
    free(text);
    return good || message_fail("cannot write '%s': %s", path, errno ? strerror(errno) : "out of memory");
}

static json_t *settings_json(const eval_settings *s)
{
    json_t *o = json_object();
    for (size_t i = 0; i < s->n; i++)
        json_object_set_new(o, s->items[i].key, json_text(s->items[i].value));
    return o;
}

static json_t *segments_json(const qasr_result *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < qasr_result_segment_count(r); i++) {
        const qasr_segment *p = qasr_result_segment(r, i);
        json_t *o = json_object(), *ids = json_array();
        for (size_t k = 0; k < p->n_tokens; k++)
            json_array_append_new(ids, json_integer(p->tokens[k]));
        json_object_set_new(o, "tokens", ids);
        json_object_set_new(o, "stop_reason", json_text(qasr_stop_reason_name(p->stop)));
        json_array_append_new(list, o);
    }
    return list;
}

static void add_answer(json_t *o, const eval_answer *a, const qasr_score *s, const qasr_result *r)
{
    const struct {
        const char *key;
        uint64_t value;
    } counts[] = {
        { "words", s->words },           { "substitutions", s->substitutions },
        { "insertions", s->insertions }, { "deletions", s->deletions },
        { "characters", s->characters }, { "character_errors", s->character_errors },
    };
    json_object_set_new(o, "text", json_text(a->text));
    if (a->language)
        json_object_set_new(o, "language", json_text(a->language));
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        json_object_set_new(o, counts[i].key, json_integer((json_int_t)counts[i].value));
    if (!r)
        return;
    json_object_set_new(o, "looped", json_boolean(a->looped));
    json_object_set_new(o, "truncated", json_boolean(a->truncated));
    json_object_set_new(o, "segments", segments_json(r));
}

static json_t *teacher_forcing_json(const eval_teacher_forcing *f)
{
    if (!f->kl)
        return json_null();
    json_t *o = json_object(), *kl = json_array();
    for (size_t i = 0; i < f->n; i++)
        json_array_append_new(kl, json_real(f->kl[i]));
    json_object_set_new(o, "same_top1", json_integer((json_int_t)f->n_same));
    json_object_set_new(o, "nll", json_real(f->nll));
    json_object_set_new(o, "baseline_nll", json_real(f->baseline_nll));
    json_object_set_new(o, "kl", kl);
    return o;
}

/* The counts beside the baseline's text compare the answer with that text. */
static json_t *baseline_json(const eval_clip *c, const qasr_result *r)
{
    json_t *o = json_object();
    add_answer(o, &c->baseline, &c->to_baseline, r);
    json_object_set_new(o, "changed", json_boolean(c->changed));
    json_object_set_new(o, "first_same", json_integer((json_int_t)c->first_same));
    json_object_set_new(o, "first_ids", json_integer((json_int_t)c->first_n));
    json_object_set_new(o, "forced", teacher_forcing_json(&c->forced));
    return o;
}

bool details_write(FILE *f, const char *path, const eval_clip *c, const qasr_result *result,
                   const qasr_result *baseline)
{
    json_t *o = json_object();
    json_object_set_new(o, "file", json_text(c->reference->file));
    json_object_set_new(o, "reference_language", json_text(c->reference->language));
    json_object_set_new(o, "reference", json_text(c->reference->text));
    add_answer(o, &c->answer, &c->score, result);
    if (c->baseline.text)
        json_object_set_new(o, "baseline", baseline_json(c, baseline));
    return write_line(f, path, o);
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool wrong(lines *in, const char *key, const char *expected)
{
    return lines_fail(in, "'%s' is not %s", key, expected);
}

static bool get_copy(lines *in, const json_t *o, const char *key, char **value)
{
    const char *text = json_string_value(json_object_get(o, key));
    if (!text)
        return wrong(in, key, "a string");
    *value = strdup(text);
    return *value || message_fail("out of memory");
}

static bool get_flag(lines *in, const json_t *o, const char *key, bool *value)
{
    const json_t *v = json_object_get(o, key);
    *value = json_is_true(v);
    return json_is_boolean(v) || wrong(in, key, "true or false");
}

/* Reads an integer from 0 to max. */
static bool get_count(lines *in, const json_t *o, const char *key, uint64_t max, uint64_t *value)
{
    const json_t *v = json_object_get(o, key);
    *value = (uint64_t)json_integer_value(v);
    return (json_is_integer(v) && json_integer_value(v) >= 0 && *value <= max) ||
           wrong(in, key, "a count consistent with the others");
}

static bool get_real(lines *in, const json_t *v, const char *key, double *value)
{
    *value = json_number_value(v);
    return (json_is_number(v) && *value >= 0) || wrong(in, key, "a number of at least 0");
}

static bool read_answer(lines *in, const json_t *o, eval_answer *a)
{
    return get_copy(in, o, "text", &a->text) && get_copy(in, o, "language", &a->language) &&
           get_flag(in, o, "looped", &a->looped) && get_flag(in, o, "truncated", &a->truncated);
}

static bool read_teacher_forcing(lines *in, const json_t *o, eval_teacher_forcing *f)
{
    const json_t *kl = json_object_get(o, "kl");
    if (json_is_null(o))
        return true;
    if (!json_is_array(kl))
        return wrong(in, "kl", "a list of numbers");
    f->kl = malloc((json_array_size(kl) + 1) * sizeof *f->kl);
    if (!f->kl)
        return message_fail("out of memory");
    for (; f->n < json_array_size(kl); f->n++)
        if (!get_real(in, json_array_get(kl, f->n), "kl", &f->kl[f->n]))
            return false;
    return get_count(in, o, "same_top1", f->n, &f->n_same) && get_real(in, json_object_get(o, "nll"), "nll", &f->nll) &&
           get_real(in, json_object_get(o, "baseline_nll"), "baseline_nll", &f->baseline_nll);
}

static bool read_baseline(lines *in, const json_t *o, eval_clip *c)
{
    return read_answer(in, o, &c->baseline) && get_flag(in, o, "changed", &c->changed) &&
           get_count(in, o, "first_ids", EVAL_FIRST, &c->first_n) &&
           get_count(in, o, "first_same", c->first_n, &c->first_same) &&
           read_teacher_forcing(in, json_object_get(o, "forced"), &c->forced);
}

/* Finds the clip of a line; *clip NULL if the set does not have it. order: the clips sorted by file name. */
static int by_file(const void *a, const void *b)
{
    const eval_clip *const *x = a, *const *y = b;
    return strcmp((*x)->reference->file, (*y)->reference->file);
}

static bool find_clip(lines *in, const json_t *o, eval_clip **order, size_t n, eval_clip **clip)
{
    const char *file = json_string_value(json_object_get(o, "file"));
    if (!file)
        return wrong(in, "file", "a string");
    file_text named = { .file = (char *)(uintptr_t)file };
    eval_clip key = { .reference = &named }, *key_at = &key;
    eval_clip **found = bsearch(&key_at, order, n, sizeof *order, by_file);
    *clip = found ? *found : NULL;
    return !found || !(*found)->done || lines_fail(in, "the audio file '%s' occurs twice", file);
}

static bool read_clip(lines *in, const json_t *o, const eval_set *set, eval_clip **order)
{
    eval_clip *c = NULL;
    if (!find_clip(in, o, order, set->n, &c))
        return false;
    return !c || (read_answer(in, o, &c->answer) &&
                  (!set->with_baseline || read_baseline(in, json_object_get(o, "baseline"), c)) && eval_score(c));
}

/* The first line: the existing results must have been made with the current settings. */
static bool check_settings(lines *in, const json_t *o, const eval_settings *s)
{
    json_t *now = settings_json(s);
    const json_t *then = json_object_get(o, "qasr_eval");
    const char *key, *good = "";
    json_t *value;
    if (!json_is_object(then))
        good = NULL;
    json_object_foreach(now, key, value)
    {
        const char *old = json_string_value(json_object_get(then, key));
        if (good && (!old || strcmp(old, json_string_value(value)) != 0)) {
            lines_fail(in, "made with %s '%s', but this run uses '%s'; use another details file", key,
                       old ? old : "none", json_string_value(value));
            json_decref(now);
            return false;
        }
    }
    bool same = good && json_object_size(then) == json_object_size(now);
    json_decref(now);
    return same || lines_fail(in, "not a details file of the same kind of evaluation; use another one");
}

/* Reads the existing lines. *keep: bytes of the complete lines. */
static bool read_details(lines *in, const eval_settings *settings, const eval_set *set, eval_clip **order, size_t *keep)
{
    in->drop_torn = true;
    while (lines_next(in)) {
        json_t *o = lines_parse_object(in);
        bool good = o && (in->number == 1 ? check_settings(in, o, settings) : read_clip(in, o, set, order));
        json_decref(o);
        if (!good)
            return false;
        *keep = in->end_bytes;
    }
    return !in->failed;
}

static bool load(const char *path, const eval_settings *settings, const eval_set *set, size_t *keep)
{
    lines in = { 0 };
    eval_clip **order = malloc(set->n * sizeof *order);
    bool good = order || message_fail("out of memory");
    for (size_t i = 0; good && i < set->n; i++)
        order[i] = &set->clips[i];
    if (good)
        qsort(order, set->n, sizeof *order, by_file);
    good = good && lines_open(&in, path) && read_details(&in, settings, set, order, keep);
    lines_close(&in);
    free(order);
    return good;
}

FILE *details_open(const char *path, bool resume, const eval_settings *settings, eval_set *set)
{
    int fd;
    size_t keep = 0;
    if (!file_lock_take(&fd, path, "qasr eval", path))
        return NULL;
    const bool has_content = out_has_content(path);
    if (has_content && !resume)
        message_fail("'%s' exists; continue it with --resume, or remove it first", path);
    if (has_content && (!resume || !load(path, settings, set, &keep))) {
        file_lock_release(&fd);
        return NULL;
    }
    FILE *f = ftruncate(fd, (off_t)keep) == 0 ? fdopen(fd, "a") : NULL;
    if (!f) {
        message_fail("cannot write '%s': %s", path, strerror(errno));
        file_lock_release(&fd);
        return NULL;
    }
    if (keep == 0) {
        json_t *first = json_object();
        json_object_set_new(first, "qasr_eval", settings_json(settings));
        if (!write_line(f, path, first)) {
            fclose(f);
            return NULL;
        }
    }
    return f;
}
