/* Transcribes clips in groups: the model's answers, the baseline's, then both models teacher-forced along the
 * baseline's answer, which completes a clip's metrics. Groups rather than all clips at once, so that results are
 * written early. */
#include <stdlib.h>
#include <string.h>

#include "app/message.h"
#include "app/progress.h"
#include "base/distribution.h"
#include "cli/eval/eval.h"

enum { DEFAULT_BATCH = 8, MAX_GROUP = 2 * 64, END_ID = -1 };

typedef struct group {
    eval_clip *clips[MAX_GROUP];
    qasr_result *results[MAX_GROUP], *baseline[MAX_GROUP];
    size_t n;
} group;

typedef struct runner {
    eval_job *job;
    qasr_transcribe_options options;
    group group;
    progress bar;
    uint64_t steps, n_steps; /* one per clip, or three with a baseline */
} runner;

/* ---- models ---------------------------------------------------------------------------------- */

static bool open_model(eval_model *m)
{
    qasr_error err;
    return (qasr_model_open(&m->model, m->path, &m->options, &err) == QASR_OK &&
            qasr_session_open(&m->session, m->model, &m->session_options, &err) == QASR_OK) ||
           message_fail("%s", err.message);
}

bool eval_open_models(eval_job *job)
{
    return open_model(&job->model) && (!job->baseline.path || open_model(&job->baseline));
}

static void close_model(eval_model *m)
{
    qasr_session_close(m->session);
    qasr_model_close(m->model);
}

void eval_close_models(eval_job *job)
{
    close_model(&job->model);
    close_model(&job->baseline);
}

static void step(runner *r)
{
    r->steps++;
    progress_update(&r->bar, r->steps, r->n_steps);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* One model over the clips of the group. */
typedef struct pass {
    runner *r;
    qasr_result **results;
    size_t n_given, n_done;
    bool failed; /* printed */
} pass;

static int give_clip(void *user, qasr_clip *clip)
{
    pass *p = user;
    if (p->n_given == p->r->group.n)
        return 0;
    clip->path = p->r->group.clips[p->n_given++]->path;
    return 1;
}

static int keep_result(void *user, const qasr_clip *clip, qasr_result *result, const qasr_error *error)
{
    pass *p = user;
    if (error && !p->failed && error->status != QASR_E_CANCELLED)
        p->failed = !(strstr(error->message, clip->path) ? message_fail("%s", error->message)
                                                         : message_fail("'%s': %s", clip->path, error->message));
    p->results[p->n_done++] = result;
    step(p->r);
    return p->failed;
}

static bool transcribe(runner *r, const eval_model *m, qasr_result **results)
{
    qasr_error err;
    pass p = { .r = r, .results = results };
    qasr_status status = qasr_transcribe_many(m->session, &r->options, give_clip, keep_result, &p, &err);
    return !p.failed && (status == QASR_OK || message_fail("%s", err.message));
}

static bool copy_answer(eval_answer *a, const qasr_result *r)
{
    a->text = strdup(qasr_result_text(r));
    a->language = strdup(qasr_result_language(r));
    for (size_t i = 0; i < qasr_result_segment_count(r); i++) {
        a->looped = a->looped || qasr_result_segment(r, i)->stop == QASR_STOP_LOOP;
        a->truncated = a->truncated || qasr_result_segment(r, i)->stop == QASR_STOP_LIMIT;
    }
    return (a->text && a->language) || message_fail("out of memory");
}

/* The output ids of all segments, with END_ID where the model ended its answer. Free them. NULL without memory. */
static int32_t *output_ids(const qasr_result *r, size_t *n)
{
    size_t n_segments = qasr_result_segment_count(r), n_ids = n_segments;
    for (size_t i = 0; i < n_segments; i++)
        n_ids += qasr_result_segment(r, i)->n_tokens;
    int32_t *ids = malloc((n_ids + 1) * sizeof *ids);
    *n = 0;
    for (size_t i = 0; ids && i < n_segments; i++) {
        const qasr_segment *p = qasr_result_segment(r, i);
        for (size_t k = 0; k < p->n_tokens; k++)
            ids[(*n)++] = p->tokens[k];
        if (p->stop == QASR_STOP_EOS)
            ids[(*n)++] = END_ID;
    }
    return ids;
}

static bool compare_ids(eval_clip *c, const qasr_result *result, const qasr_result *baseline)
{
    size_t n, n_base, same = 0;
    int32_t *ids = output_ids(result, &n), *base = output_ids(baseline, &n_base);
    bool good = (ids && base) || message_fail("out of memory");
    if (good) {
        while (same < n && same < n_base && ids[same] == base[same])
            same++;
        c->changed = same < n || same < n_base;
        c->first_n = n_base < EVAL_FIRST ? n_base : EVAL_FIRST;
        c->first_same = same < c->first_n ? same : c->first_n;
    }
    free(ids);
    free(base);
    return good;
}

/* ---- teacher forcing ------------------------------------------------------------------------- */

/* Compares both models at their current position. token: the next one of the baseline's answer; negative: its end. */
static void compare_position(eval_teacher_forcing *f, const qasr_teacher_forcing *model,
                             const qasr_teacher_forcing *baseline, int32_t token)
{
    size_t n = qasr_teacher_forcing_vocabulary(baseline);
    const float *p = qasr_teacher_forcing_logits(baseline), *q = qasr_teacher_forcing_logits(model);
    size_t best = distribution_arg_max(p, n), wanted = token < 0 ? best : (size_t)token;
    f->kl[f->n++] = distribution_kl(p, q, n);
    f->n_same += distribution_arg_max(q, n) == best;
    f->nll -= distribution_log_prob(q, n, wanted);
    f->baseline_nll -= distribution_log_prob(p, n, wanted);
}

static bool walk(eval_teacher_forcing *f, qasr_teacher_forcing *model, qasr_teacher_forcing *baseline,
                 const qasr_segment *answer)
{
    qasr_error err;
    for (size_t i = 0; i < answer->n_tokens; i++) {
        compare_position(f, model, baseline, answer->tokens[i]);
        if (qasr_teacher_forcing_token(model, answer->tokens[i], &err) != QASR_OK ||
            qasr_teacher_forcing_token(baseline, answer->tokens[i], &err) != QASR_OK)
            return message_fail("%s", err.message);
    }
    if (answer->stop == QASR_STOP_EOS)
        compare_position(f, model, baseline, END_ID);
    return true;
}

static bool force_clip(runner *r, eval_clip *c, const float *pcm, size_t n_samples, const qasr_segment *answer)
{
    qasr_error err;
    qasr_teacher_forcing *model = NULL, *baseline = NULL;
    eval_job *job = r->job;
    bool good =
        (qasr_teacher_forcing_open(&model, job->model.session, pcm, n_samples, &r->options, &err) == QASR_OK &&
         qasr_teacher_forcing_open(&baseline, job->baseline.session, pcm, n_samples, &r->options, &err) == QASR_OK) ||
        message_fail("'%s': %s", c->path, err.message);
    if (good && qasr_teacher_forcing_vocabulary(model) != qasr_teacher_forcing_vocabulary(baseline))
        good = message_fail("model and baseline have vocabularies of %zu and %zu tokens, expected the same",
                            qasr_teacher_forcing_vocabulary(model), qasr_teacher_forcing_vocabulary(baseline));
    c->forced.kl = good ? malloc((answer->n_tokens + 1) * sizeof *c->forced.kl) : NULL;
    if (good && !c->forced.kl)
        good = message_fail("out of memory");
    good = good && walk(&c->forced, model, baseline, answer);
    qasr_teacher_forcing_close(model);
    qasr_teacher_forcing_close(baseline);
    return good;
}

/* The model heard all of the clip at once. */
static bool is_whole(const qasr_result *r)
{
    const qasr_segment *p = qasr_result_segment(r, 0);
    return p && qasr_result_segment_count(r) == 1 && p->omitted_s == 0;
}

/* Only if both transcribed the audio as one segment. */
static bool force(runner *r, eval_clip *c, const qasr_result *result, const qasr_result *baseline)
{
    qasr_error err;
    float *pcm;
    size_t n_samples;
    if (!is_whole(result) || !is_whole(baseline))
        return true;
    if (qasr_audio_load(&pcm, &n_samples, c->path, &err) != QASR_OK)
        return message_fail("%s", err.message);
    bool good = force_clip(r, c, pcm, n_samples, qasr_result_segment(baseline, 0));
    qasr_audio_free(pcm);
    return good;
}

/* ---- groups ---------------------------------------------------------------------------------- */

static bool finish_clip(runner *r, size_t i)
{
    const eval_job *job = r->job;
    eval_clip *c = r->group.clips[i];
    const qasr_result *result = r->group.results[i], *baseline = r->group.baseline[i];
    bool good = copy_answer(&c->answer, result);
    if (good && job->baseline.path) {
        good = copy_answer(&c->baseline, baseline) && compare_ids(c, result, baseline) && force(r, c, result, baseline);
        step(r);
    }
    return good && eval_score(c) &&
           (!job->details || details_write(job->details, job->details_path, c, result, baseline));
}

static bool run_group(runner *r)
{
    group *g = &r->group;
    bool good = transcribe(r, &r->job->model, g->results) &&
                (!r->job->baseline.path || transcribe(r, &r->job->baseline, g->baseline));
    for (size_t i = 0; good && i < g->n; i++)
        good = finish_clip(r, i);
    for (size_t i = 0; i < g->n; i++) {
        qasr_result_free(g->results[i]);
        qasr_result_free(g->baseline[i]);
    }
    *g = (group){ .n = 0 };
    return good;
}

bool eval_run(eval_job *job)
{
    const eval_set *set = job->set;
    const int batch = job->model.session_options.batch;
    size_t per_clip = job->baseline.path ? 3 : 1, max = 2 * (size_t)(batch ? batch : DEFAULT_BATCH);
    runner r = { .job = job, .options = job->options, .n_steps = per_clip * set->n };
    bool good = true;
    for (size_t i = 0; i < set->n; i++)
        r.steps += set->clips[i].done ? per_clip : 0;
    progress_begin(&r.bar, job->quiet);
    progress_count(&r.bar, "clips", per_clip, r.steps);
    for (size_t i = 0; good && i < set->n; i++) {
        if (!set->clips[i].done)
            r.group.clips[r.group.n++] = &set->clips[i];
        if (r.group.n == max || (i + 1 == set->n && r.group.n > 0))
            good = run_group(&r);
    }
    progress_end(&r.bar);
    return good;
}
