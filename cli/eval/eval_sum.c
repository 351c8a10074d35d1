/* Computes metrics from clips (docs/evaluation.md). */
#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/languages.h"
#include "app/message.h"
#include "cli/eval/eval.h"
#include "cli/eval/stats.h"

void eval_add_setting(eval_settings *s, const char *key, const char *value)
{
    if (value && s->n < sizeof s->items / sizeof s->items[0])
        s->items[s->n++] = (eval_setting){ key, value };
}

/* ---- clips ----------------------------------------------------------------------------------- */

bool eval_select(eval_set *set, const text_list *references, int limit, const char *exclude)
{
    set->clips = calloc(references->n + 1, sizeof *set->clips);
    if (!set->clips)
        return message_fail("out of memory");
    for (size_t i = 0; i < references->n && (limit == 0 || set->n < (size_t)limit); i++)
        if (!exclude || fnmatch(exclude, references->items[i].file, 0) != 0)
            set->clips[set->n++].reference = &references->items[i];
    return set->n > 0 || message_fail("no references%s", exclude && references->n ? " left after --exclude" : "");
}

static void free_answer(eval_answer *a)
{
    free(a->text);
    free(a->language);
}

void eval_free(eval_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        free_answer(&set->clips[i].answer);
        free_answer(&set->clips[i].baseline);
        free(set->clips[i].forced.kl);
        free(set->clips[i].path);
    }
    free(set->clips);
    *set = (eval_set){ 0 };
}

static bool score(qasr_score *s, const eval_clip *clip, const char *reference)
{
    qasr_error err;
    *s = (qasr_score)QASR_SCORE_INIT;
    return qasr_score_text(s, reference, clip->answer.text, &err) == QASR_OK ||
           message_fail("'%s': %s", clip->reference->file, err.message);
}

bool eval_score(eval_clip *clip)
{
    clip->done = score(&clip->score, clip, clip->reference->text) &&
                 (!clip->baseline.text || score(&clip->to_baseline, clip, clip->baseline.text));
    return clip->done;
}

/* ---- ratios ---------------------------------------------------------------------------------- */

static uint64_t word_errors(const qasr_score *s) { return s->substitutions + s->insertions + s->deletions; }

static stats_ratio wer_of(const eval_clip *c) { return (stats_ratio){ word_errors(&c->score), c->score.words }; }
static stats_ratio cer_of(const eval_clip *c)
{
    return (stats_ratio){ c->score.character_errors, c->score.characters };
}
static stats_ratio normalized_of(const eval_clip *c)
{
    return (stats_ratio){ c->score.normalized_errors, c->score.normalized_characters };
}
static bool counts_characters(const eval_clip *c) { return languages_by_character(c->reference->language); }
static stats_ratio error_of(const eval_clip *c) { return counts_characters(c) ? normalized_of(c) : wer_of(c); }
static stats_ratio casing_of(const eval_clip *c) { return (stats_ratio){ c->score.cased_right, c->score.cased_words }; }
static stats_ratio exact_of(const eval_clip *c) { return (stats_ratio){ c->score.exact, 1 }; }
static stats_ratio wer_to_baseline_of(const eval_clip *c)
{
    return (stats_ratio){ word_errors(&c->to_baseline), c->to_baseline.words };
}
static stats_ratio cer_to_baseline_of(const eval_clip *c)
{
    return (stats_ratio){ c->to_baseline.character_errors, c->to_baseline.characters };
}
static stats_ratio top1_of(const eval_clip *c) { return (stats_ratio){ c->forced.n_same, c->forced.n }; }
static stats_ratio first_of(const eval_clip *c) { return (stats_ratio){ c->first_same, c->first_n }; }

/* F1 = 2 right / (2 right + missing + extra). */
static stats_ratio punctuation_of(const eval_clip *c)
{
    uint64_t right = 2 * c->score.marks_right;
    return (stats_ratio){ right, right + c->score.marks_missing + c->score.marks_extra };
}

static stats_ratio language_of(const eval_clip *c)
{
    const char *wanted = c->reference->language;
    if (!*wanted || !c->answer.language)
        return (stats_ratio){ 0, 0 };
    return (stats_ratio){ languages_same(wanted, c->answer.language), 1 };
}

static stats_ratio kl_of(const eval_clip *c)
{
    stats_ratio sum = { 0, c->forced.n };
    for (size_t i = 0; i < c->forced.n; i++)
        sum.part += c->forced.kl[i];
    return sum;
}

typedef stats_ratio (*ratio_fn)(const eval_clip *clip);
static const struct {
    ratio_fn of;
    size_t value, interval;
} ratios[] = {
    /* interval 0: none */
    { error_of, offsetof(eval_metrics, error_rate), offsetof(eval_metrics, error_rate_ci) },
    { wer_of, offsetof(eval_metrics, wer), offsetof(eval_metrics, wer_ci) },
    { cer_of, offsetof(eval_metrics, cer), offsetof(eval_metrics, cer_ci) },
    { normalized_of, offsetof(eval_metrics, cer_normalized), 0 },
    { language_of, offsetof(eval_metrics, language_accuracy), 0 },
    { punctuation_of, offsetof(eval_metrics, punctuation_f1), 0 },
    { casing_of, offsetof(eval_metrics, casing_accuracy), 0 },
    { exact_of, offsetof(eval_metrics, exact), 0 },
    { wer_to_baseline_of, offsetof(eval_metrics, wer_to_baseline), 0 },
    { cer_to_baseline_of, offsetof(eval_metrics, cer_to_baseline), 0 },
    { top1_of, offsetof(eval_metrics, top1), 0 },
    { first_of, offsetof(eval_metrics, first), 0 },
    { kl_of, offsetof(eval_metrics, kl_mean), offsetof(eval_metrics, kl_mean_ci) },
};

/* items [n] is scratch. */
static void measure_ratios(eval_metrics *m, const eval_clip *const *clips, size_t n, stats_ratio *items)
{
    for (size_t r = 0; r < sizeof ratios / sizeof ratios[0]; r++) {
        stats_ratio sum = { 0, 0 };
        for (size_t i = 0; i < n; i++) {
            items[i] = ratios[r].of(clips[i]);
            sum.part += items[i].part;
            sum.whole += items[i].whole;
        }
        *(double *)((char *)m + ratios[r].value) = stats_ratio_value(sum);
        if (ratios[r].interval)
            stats_interval((double *)((char *)m + ratios[r].interval), items, n);
    }
}

/* ---- other metrics --------------------------------------------------------------------------- */

static eval_unit unit_of(const eval_clip *const *clips, size_t n)
{
    size_t n_characters = 0;
    for (size_t i = 0; i < n; i++)
        n_characters += counts_characters(clips[i]);
    return n_characters == 0 ? EVAL_WORD : n_characters == n ? EVAL_CHARACTER : EVAL_MIXED;
}

static void count_flags(eval_metrics *m, const eval_clip *c)
{
    m->clips++;
    m->empty += c->answer.text[strspn(c->answer.text, " \t\r\n")] == 0;
    m->looped += c->answer.looped;
    m->truncated += c->answer.truncated;
    m->changed += c->changed;
    m->forced_clips += c->forced.kl != NULL;
    m->positions += c->forced.n;
}

/* kl [m->positions] is scratch. */
static void measure_teacher_forcing(eval_metrics *m, const eval_clip *const *clips, size_t n_clips, double *kl)
{
    size_t n = 0;
    double difference = 0;
    for (size_t i = 0; i < n_clips; i++) {
        const eval_teacher_forcing *f = &clips[i]->forced;
        for (size_t k = 0; k < f->n; k++)
            kl[n++] = f->kl[k];
        difference += f->nll - f->baseline_nll;
    }
    m->perplexity_ratio = n ? exp(difference / (double)n) : NAN;
    m->kl_p95 = stats_quantile(kl, n, 0.95);
    m->kl_max = stats_quantile(kl, n, 1);
}

static bool measure(eval_metrics *m, const eval_clip *const *clips, size_t n)
{
    *m = (eval_metrics){ .error_unit = unit_of(clips, n) };
    for (size_t i = 0; i < n; i++)
        count_flags(m, clips[i]);
    stats_ratio *items = malloc((n + 1) * sizeof *items);
    double *kl = malloc((m->positions + 1) * sizeof *kl);
    bool good = items && kl;
    if (good) {
        measure_ratios(m, clips, n, items);
        measure_teacher_forcing(m, clips, n, kl);
    }
    free(items);
    free(kl);
    return good;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* The name of a clip's language in the report; NULL: the reference has none. */
static const char *language_name(const eval_clip *c)
{
    const char *known = qasr_language_find(c->reference->language);
    return known ? known : *c->reference->language ? c->reference->language : NULL;
}

static bool in_row(const eval_row *row, const eval_clip *c)
{
    const char *name = language_name(c);
    return !row->name || (name && languages_same(row->name, name));
}

static bool add_row(eval_report *r, const char *name)
{
    eval_row *rows = realloc(r->rows, (r->n_rows + 1) * sizeof *rows);
    if (!rows)
        return false;
    r->rows = rows;
    r->rows[r->n_rows++] = (eval_row){ .name = name };
    return true;
}

static bool add_rows(eval_report *r, const eval_set *set)
{
    if (!add_row(r, NULL))
        return false;
    for (size_t i = 0; i < set->n; i++) {
        size_t k = 1;
        while (k < r->n_rows && !in_row(&r->rows[k], &set->clips[i]))
            k++;
        if (k == r->n_rows && language_name(&set->clips[i]) && !add_row(r, language_name(&set->clips[i])))
            return false;
    }
    return true;
}

bool eval_summarize(eval_report *report, const eval_set *set, const eval_settings *settings)
{
    *report = (eval_report){ .settings = settings, .with_model = set->with_model, .with_baseline = set->with_baseline };
    const eval_clip **clips = malloc(set->n * sizeof *clips);
    bool good = clips && add_rows(report, set);
    for (size_t r = 0; good && r < report->n_rows; r++) {
        size_t n = 0;
        for (size_t i = 0; i < set->n; i++)
            if (in_row(&report->rows[r], &set->clips[i]))
                clips[n++] = &set->clips[i];
        good = measure(&report->rows[r].metrics, clips, n);
    }
    free(clips);
    if (!good)
        free(report->rows);
    return good || message_fail("out of memory");
}
