/* qasr score: compares existing transcripts with references; the metrics of 'qasr eval' that need no model. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/message.h"
#include "app/out.h"
#include "cli/cmd.h"
#include "cli/eval/eval.h"
#include "cli/shared_opts.h"

typedef struct args {
    const char *reference, *hypothesis, *exclude, *output;
    int limit, format;
} args;

static const eval_format formats[] = { eval_write_md, eval_write_json }; /* in the order of report_md_json */

static const opt opts[] = {
    { "ref", 0, "FILE", "references: a tab-separated table of file, language and text", OPT_STRING,
      offsetof(args, reference) },
    { "hyp", 0, "FILE",
      "transcripts: a table of file, text and optionally language, or JSON lines with these keys, as written by "
      "'qasr transcribe --format jsonl'",
      OPT_STRING, offsetof(args, hypothesis) },
    SELECT_OPTS(offsetof(args, exclude), offsetof(args, limit)),
    MD_JSON_OPT(offsetof(args, format)),
    OUTPUT_OPT(offsetof(args, output)),
};

/* ---- unmatched files ------------------------------------------------------------------------- */

/* The first names of some files, for a warning. */
typedef struct names {
    char text[512];
    size_t n, n_shown;
} names;

static void add_name(names *x, const char *name)
{
    size_t used = strlen(x->text);
    x->n++;
    if (x->n_shown + 1 < x->n || used + strlen(name) + 5 > sizeof x->text)
        return;
    snprintf(x->text + used, sizeof x->text - used, "%s'%s'", used ? ", " : "", name);
    x->n_shown++;
}

static void warn(const names *x, const char *what, const char *file)
{
    char more[64] = "";
    if (x->n_shown < x->n)
        snprintf(more, sizeof more, "%s%zu more", x->n_shown ? " and " : "", x->n - x->n_shown);
    if (x->n)
        message_warn("%s '%s': %s%s", what, file, x->text, more);
}

static void warn_about_extra(const text_list *references, const text_list *hypotheses, const args *a)
{
    names extra = { .n = 0 };
    for (size_t i = 0; i < hypotheses->n; i++)
        if (!texts_find(references, hypotheses->items[i].file))
            add_name(&extra, hypotheses->items[i].file);
    warn(&extra, "ignored, no reference in", a->reference);
}

/* ---- scoring --------------------------------------------------------------------------------- */

static bool have_languages(const text_list *hypotheses)
{
    for (size_t i = 0; i < hypotheses->n; i++)
        if (hypotheses->items[i].language)
            return true;
    return false;
}

/* A missing transcript counts as empty, with an empty language if others have one. */
static bool score_clip(eval_clip *c, const file_text *hypothesis, bool languages)
{
    c->answer.text = strdup(hypothesis ? hypothesis->text : "");
    const char *language = hypothesis ? hypothesis->language : languages ? "" : NULL;
    c->answer.language = language ? strdup(language) : NULL;
    if (!c->answer.text || (language && !c->answer.language))
        return message_fail("out of memory");
    return eval_score(c);
}

static bool score_all(eval_set *set, const text_list *hypotheses, const args *a)
{
    names missing = { .n = 0 };
    bool languages = have_languages(hypotheses);
    for (size_t i = 0; i < set->n; i++) {
        const char *file = set->clips[i].reference->file;
        const file_text *hypothesis = texts_find(hypotheses, file);
        if (!hypothesis)
            add_name(&missing, file);
        if (!score_clip(&set->clips[i], hypothesis, languages))
            return false;
    }
    warn(&missing, "counted as empty, missing in", a->hypothesis);
    return true;
}

static bool score(const args *a)
{
    text_list references = { 0 }, hypotheses = { 0 };
    eval_set set = { .n = 0 };
    eval_settings settings = { .n = 0 };
    eval_add_setting(&settings, "ref", a->reference);
    eval_add_setting(&settings, "hyp", a->hypothesis);
    bool good = texts_read_references(&references, a->reference) && texts_read_hypotheses(&hypotheses, a->hypothesis) &&
                eval_select(&set, &references, a->limit, a->exclude) && score_all(&set, &hypotheses, a);
    if (good) {
        warn_about_extra(&references, &hypotheses, a);
        good = eval_write(&set, &settings, formats[a->format], a->output);
    }
    eval_free(&set);
    texts_free(&references);
    texts_free(&hypotheses);
    return good;
}

static int run(int argc, char **argv)
{
    args a = { 0 };
    opt_result parsed = opt_parse(&cmd_score, &a, argc, argv);
    if (parsed != OPT_PARSED)
        return parsed == OPT_WRONG ? EXIT_USAGE : EXIT_DONE;
    if (!a.reference)
        return opt_usage_error(&cmd_score, "option '--ref FILE' is missing");
    if (!a.hypothesis)
        return opt_usage_error(&cmd_score, "option '--hyp FILE' is missing");
    if (out_is_same(a.output, a.reference) || out_is_same(a.output, a.hypothesis))
        return opt_usage_error(&cmd_score, "--output '%s' is also an input file", a.output);
    return score(&a) ? EXIT_DONE : EXIT_FAILED;
}

const command cmd_score = { "score",
                            "score transcripts against references",
                            "--ref FILE --hyp FILE [OPTIONS]",
                            "Counts the errors of transcripts that exist already, of any program. Rates in JSON are "
                            "fractions: 0.0178 is 1.78 %. docs/evaluation.md defines every metric.\n",
                            opts,
                            sizeof opts / sizeof opts[0],
                            run,
                            (const opt_example[]){ { "Score transcripts from JSON lines",
                                                     "qasr score --ref talks/refs.tsv --hyp talks.jsonl" },
                                                   { NULL, NULL } } };
