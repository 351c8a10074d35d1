/* See verify.h. Audio is read segment by segment, in groups: one pass of each model over a group decodes its segments
 * together; then each segment is encoded and its answer forced on both models. */
#include "quantize/verify.h"

#include <math.h>
#include <string.h>

#include "base/distribution.h"
#include "base/mem.h"
#include "engine/segment.h"
#include "engine/segment_reader.h"
#include "engine/teacher_forcing.h"
#include "quantize/audio_files.h"
#include "quantize/calibration_session.h"

enum {
    GROUP = 16,
    ORIGINAL = 0,
    MADE,
    MODELS,
    STEPS = MODELS + 1
}; /* steps of a segment: transcribed twice, compared */

typedef struct passage {
    const char *path; /* of its file */
    float *pcm;       /* [n_samples] */
    size_t n_samples;
    qasr_result *results[MODELS];
} passage;

struct verifier {
    verify_options opt;
    audio_files files;
    size_t n_begun; /* files opened so far */
    segment_reader reader;
    bool reading; /* the reader is open */
    qasr_session *sessions[MODELS];
    bool with_encoder;
    passage group[GROUP];
    size_t n_group, n_steps;       /* of the group, done */
    double group_begin, group_end; /* its place in all of the audio */
    double cosine_sum, kl_sum;
    qasr_verification found;
};

/* ---- audio ----------------------------------------------------------------------------------- */

static qasr_status open_file(verifier *v, size_t i, qasr_error *err)
{
    qasr_audio_options audio;
    TRY(audio_read_options(&audio, NULL, err));
    const split_rule rule = split_rule_make(0, model_segment_seconds(v->opt.original->checkpoint));
    mem_free(v->reader.damages);
    v->reader = (segment_reader){ 0 };
    qasr_status status = segment_reader_open(&v->reader, v->files.paths[i], &audio, NULL, 0, rule, err);
    if (status != QASR_OK)
        segment_reader_close(&v->reader);
    return status;
}

/* Copies the reader's segment. */
static qasr_status take_segment(verifier *v, qasr_error *err)
{
    const split_segment *s = &v->reader.segment;
    passage *p = &v->group[v->n_group];
    *p = (passage){ .path = v->files.paths[v->n_begun - 1],
                    .n_samples = s->n_samples - timeline_omitted(&s->shortened) };
    TRY(MEM_ALLOC(&p->pcm, p->n_samples, err));
    timeline_copy_kept(&s->shortened, p->pcm, p->n_samples, v->reader.ready);
    v->n_group++;
    v->found.n_segments++;
    v->found.audio_s += (double)p->n_samples / AUDIO_RATE;
    return QASR_OK;
}

/* Reads on to the end of a segment, of a file, or of all audio. */
static qasr_status read_on(verifier *v, bool *more, qasr_error *err)
{
    *more = v->reading || v->n_begun < v->files.n;
    if (!*more)
        return QASR_OK;
    if (!v->reading) {
        TRY(open_file(v, v->n_begun++, err));
        v->reading = true;
    }
    TRY(segment_reader_next(&v->reader, v->opt.original->features, device_pool(v->sessions[ORIGINAL]->device), err));
    v->reading = v->reader.segment.n_samples > 0;
    if (v->reading && !v->reader.segment.silent)
        TRY(take_segment(v, err));
    if (v->reading)
        segment_reader_pass(&v->reader);
    return QASR_OK;
}

static void free_group(verifier *v)
{
    for (size_t i = 0; i < v->n_group; i++) {
        mem_free(v->group[i].pcm);
        for (int m = 0; m < MODELS; m++)
            engine_result_free(v->group[i].results[m]);
    }
    v->n_group = v->n_steps = 0;
}

/* The share of all audio that has been read, if files are of equal length. */
static double place(const verifier *v)
{
    const segment_reader *r = &v->reader;
    const double of_file = !v->reading ? 1 : r->n_total ? fmin((double)r->n_passed / (double)r->n_total, 1) : 0;
    return ((double)v->n_begun - 1 + of_file) / (double)v->files.n;
}

static qasr_status read_group(verifier *v, qasr_error *err)
{
    bool more = true;
    free_group(v);
    v->group_begin = v->group_end;
    while (more && v->n_group < GROUP)
        TRY(read_on(v, &more, err));
    v->group_end = place(v);
    return QASR_OK;
}

/* ---- progress -------------------------------------------------------------------------------- */

/* Non-zero: stop. */
static int poll(void *user)
{
    const verifier *v = user;
    const double part = (double)v->n_steps / (double)(STEPS * v->n_group);
    return v->opt.on_part(v->opt.user, v->group_begin + part * (v->group_end - v->group_begin));
}

static qasr_status step(verifier *v, qasr_error *err)
{
    v->n_steps++;
    return poll(v) ? error_set(err, QASR_E_CANCELLED, "verification was cancelled") : QASR_OK;
}

/* ---- texts ----------------------------------------------------------------------------------- */

/* One model over the segments of the group. */
typedef struct pass {
    verifier *v;
    int which;
    size_t n_given, n_done;
    qasr_error failure;
} pass;

/* What failed, if it was the new file: its path is a temporary one. */
static qasr_status blame(int which, const passage *p, const qasr_error *cause, qasr_error *err)
{
    const bool by_file = which == MADE && cause->status != QASR_E_CANCELLED && cause->status != QASR_E_NOMEM;
    return by_file ? error_set(err, cause->status, "the new file cannot transcribe '%.100s': %.300s", p->path,
                               cause->message)
                   : error_set(err, cause->status, "%s", cause->message);
}

static int give_segment(void *user, qasr_clip *clip)
{
    pass *p = user;
    if (p->n_given == p->v->n_group)
        return 0;
    const passage *from = &p->v->group[p->n_given++];
    clip->pcm = from->pcm;
    clip->n_samples = from->n_samples;
    return 1;
}

static int take_result(void *user, const qasr_clip *clip, qasr_result *result, const qasr_error *error)
{
    pass *p = user;
    passage *of = &p->v->group[p->n_done++];
    of->results[p->which] = result;
    if (error && p->failure.status == QASR_OK)
        blame(p->which, of, error, &p->failure);
    if (p->failure.status == QASR_OK)
        step(p->v, &p->failure);
    return p->failure.status != QASR_OK;
}

static qasr_status transcribe(verifier *v, int which, qasr_error *err)
{
    pass p = { .v = v, .which = which };
    qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    opt.max_segment_s = QASR_LONGEST_SEGMENT_S; /* the audio is cut already */
    opt.no_retry = 1;                           /* the answer must be that of the whole segment */
    opt.on_poll = poll;
    opt.user = v;
    qasr_status status = engine_transcribe_many(v->sessions[which], &opt, give_segment, take_result, &p, err);
    return p.failure.status == QASR_OK ? status : error_set(err, p.failure.status, "%s", p.failure.message);
}

static void compare_texts(verifier *v, const passage *p)
{
    const char *original = p->results[ORIGINAL]->text, *made = p->results[MADE]->text;
    v->found.n_changed += strcmp(original, made) != 0;
    v->found.n_lost += *original && !*made;
}

/* ---- encoder --------------------------------------------------------------------------------- */

/* *out [*n, *d], to be freed with mem_free. */
static qasr_status encode(qasr_session *s, const passage *p, float **out, size_t *n, size_t *d, qasr_error *err)
{
    const qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    const segment_job j = { .pcm = p->pcm, .n_samples = p->n_samples };
    job_options o;
    float *features = NULL;
    size_t n_frames;
    dmat embeds;
    qasr_status status;
    *out = NULL;
    TRY_GOTO(job_options_init(&o, s, &opt, err));
    TRY_GOTO(segment_features(&o, &j, &features, &n_frames, err));
    TRY_GOTO(encoder_run(s->encoder, &embeds, features, n_frames, false, err));
    *n = embeds.rows;
    *d = embeds.cols;
    TRY_GOTO(MEM_ALLOC(out, *n * *d, err));
    TRY_GOTO(device_read(s->device, *out, embeds, err));
done:
    mem_free(features);
    return status;
}

/* 0 if one is zero. */
static double cosine(const float *x, const float *y, size_t n)
{
    double xy = 0, xx = 0, yy = 0;
    for (size_t i = 0; i < n; i++) {
        xy += (double)x[i] * (double)y[i];
        xx += (double)x[i] * (double)x[i];
        yy += (double)y[i] * (double)y[i];
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

static void compare_vectors(verifier *v, const float *x, const float *y, size_t n, size_t d)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const double c = cosine(x + i * d, y + i * d, d);
        sum += c;
        v->found.cosine_lowest_vector = fmin(v->found.cosine_lowest_vector, c);
    }
    v->cosine_sum += sum;
    v->found.n_vectors += n;
    v->found.cosine_lowest = fmin(v->found.cosine_lowest, sum / (double)n);
}

static qasr_status compare_encoders(verifier *v, const passage *p, qasr_error *err)
{
    float *outputs[MODELS] = { NULL };
    size_t n = 0, d = 0;
    qasr_status status = QASR_OK;
    for (int m = 0; m < MODELS && status == QASR_OK; m++)
        status = encode(v->sessions[m], p, &outputs[m], &n, &d, err);
    if (status == QASR_OK)
        compare_vectors(v, outputs[ORIGINAL], outputs[MADE], n, d);
    for (int m = 0; m < MODELS; m++)
        mem_free(outputs[m]);
    return status;
}

/* ---- next-token distributions ------------------------------------------------------------------ */

static void compare_position(verifier *v, qasr_teacher_forcing *const forced[MODELS])
{
    const double kl = distribution_kl(teacher_forcing_logits(forced[ORIGINAL]), teacher_forcing_logits(forced[MADE]),
                                      teacher_forcing_vocabulary(forced[ORIGINAL]));
    v->kl_sum += kl;
    v->found.kl_max = fmax(v->found.kl_max, kl);
    v->found.n_positions++;
}

/* Along the original's answer, and its end. */
static qasr_status walk(verifier *v, qasr_teacher_forcing *const forced[MODELS], const qasr_segment *answer,
                        qasr_error *err)
{
    for (size_t i = 0; i < answer->n_tokens; i++) {
        compare_position(v, forced);
        for (int m = 0; m < MODELS; m++)
            TRY(teacher_forcing_token(forced[m], answer->tokens[i], err));
    }
    if (answer->stop == QASR_STOP_EOS)
        compare_position(v, forced);
    return QASR_OK;
}

static qasr_status compare_distributions(verifier *v, const passage *p, qasr_error *err)
{
    const qasr_transcribe_options opt = QASR_TRANSCRIBE_OPTIONS_INIT;
    qasr_teacher_forcing *forced[MODELS] = { NULL };
    qasr_status status = QASR_OK;
    assert(p->results[ORIGINAL]->n_segments == 1);
    for (int m = 0; m < MODELS && status == QASR_OK; m++)
        status = teacher_forcing_open(&forced[m], v->sessions[m], p->pcm, p->n_samples, &opt, err);
    if (status == QASR_OK)
        status = walk(v, forced, &p->results[ORIGINAL]->segments[0], err);
    for (int m = 0; m < MODELS; m++)
        teacher_forcing_close(forced[m]);
    return status;
}

/* ---- all of it --------------------------------------------------------------------------------- */

static qasr_status compare_group(verifier *v, qasr_error *err)
{
    qasr_error cause = { .status = QASR_OK };
    for (int m = 0; m < MODELS; m++)
        TRY(transcribe(v, m, err));
    for (size_t i = 0; i < v->n_group; i++) {
        const passage *p = &v->group[i];
        compare_texts(v, p);
        if ((v->with_encoder && compare_encoders(v, p, &cause) != QASR_OK) ||
            compare_distributions(v, p, &cause) != QASR_OK)
            return blame(MADE, p, &cause, err); /* the original has already transcribed it */
        TRY(step(v, err));
    }
    return QASR_OK;
}

static qasr_status compare_all(verifier *v, qasr_error *err)
{
    do {
        TRY(read_group(v, err));
        if (v->n_group > 0)
            TRY(compare_group(v, err));
    } while (v->n_group == GROUP);
    if (v->found.n_segments == 0)
        return error_set(err, QASR_E_INVALID, "the audio holds no sound: nothing to verify the file on");
    return QASR_OK;
}

static double mean(double sum, size_t n) { return n ? sum / (double)n : 0; }

qasr_status verifier_run(verifier *v, const qasr_model *made, bool with_encoder, qasr_verification *out,
                         qasr_error *err)
{
    const qasr_model *models[MODELS] = { v->opt.original, made };
    v->with_encoder = with_encoder;
    v->found = (qasr_verification){ .with_encoder = with_encoder, .cosine_lowest = 1, .cosine_lowest_vector = 1 };
    qasr_status status = QASR_OK;
    for (int m = 0; m < MODELS && status == QASR_OK; m++)
        status = calibration_session_of(&v->sessions[m], models[m], v->opt.n_threads, err);
    if (status == QASR_OK)
        status = compare_all(v, err);
    free_group(v);
    for (int m = 0; m < MODELS; m++) {
        engine_session_close(v->sessions[m]);
        v->sessions[m] = NULL;
    }
    *out = v->found;
    out->cosine_mean = with_encoder ? mean(v->cosine_sum, v->found.n_vectors) : 1;
    out->kl_mean = mean(v->kl_sum, v->found.n_positions);
    return status;
}

static qasr_status find_audio(verifier *v, qasr_error *err)
{
    TRY(audio_files_find(&v->files, v->opt.audio, v->opt.n_audio, 0, err));
    for (size_t i = 0; i < v->files.n; i++) {
        TRY(open_file(v, i, err));
        segment_reader_close(&v->reader);
    }
    return QASR_OK;
}

qasr_status verifier_create(verifier **out, const verify_options *opt, qasr_error *err)
{
    verifier *v;
    TRY(MEM_CALLOC(&v, 1, err));
    v->opt = *opt;
    qasr_status status = find_audio(v, err);
    if (status != QASR_OK) {
        verifier_free(v);
        return status;
    }
    *out = v;
    return QASR_OK;
}

void verifier_free(verifier *v)
{
    if (!v)
        return;
    segment_reader_close(&v->reader);
    mem_free(v->reader.damages);
    audio_files_free(&v->files);
    mem_free(v);
}
