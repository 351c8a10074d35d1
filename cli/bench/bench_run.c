/* One run of 'qasr bench', in a separate process: turns a job into a sample. */
#include "cli/bench/bench.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/message.h"
#include "app/metrics.h"
#include "app/progress.h"

enum { RATE = 16000 };

static bool fail(const qasr_error *err)
{
    message_print(err->message);
    return false;
}

/* ---- audio ----------------------------------------------------------------------------------- */

/* Four syllables per second of a 140 Hz voice with some noise: speed does not depend on the words. */
static void make_signal(float *pcm, size_t n)
{
    const double turn = 2 * acos(-1);
    uint32_t seed = 1;
    for (size_t i = 0; i < n; i++) {
        double t = (double)i / RATE, voice = 0;
        for (int h = 1; h <= 12; h++)
            voice += sin(turn * fmod(140 * h * t, 1)) / h;
        seed = seed * 1664525u + 1013904223u;
        double noise = (double)(int32_t)seed / 2147483648.0;
        double loudness = 0.5 - 0.5 * cos(turn * fmod(4 * t, 1));
        pcm[i] = (float)(0.1 * loudness * (voice + 0.2 * noise));
    }
}

/* Free with free_audio. */
static bool get_audio(const bench_job *job, float **pcm, size_t *n)
{
    qasr_error err;
    if (job->audio)
        return qasr_audio_load(pcm, n, job->audio, &err) == QASR_OK || fail(&err);
    *n = (size_t)(job->seconds * RATE);
    *pcm = malloc(*n * sizeof **pcm);
    if (!*pcm)
        return message_fail("out of memory");
    make_signal(*pcm, *n);
    return true;
}

static void free_audio(const bench_job *job, float *pcm)
{
    if (job->audio)
        qasr_audio_free(pcm);
    else
        free(pcm);
}

/* ---- preparation ----------------------------------------------------------------------------- */

static qasr_status open_model(qasr_model **model, const bench_job *job, qasr_error *err)
{
    qasr_model_options options = job->model_options;
    options.decoder_weights = job->gguf           ? QASR_DECODER_GGUF
                              : job->variant->own ? QASR_DECODER_AUTO
                                                  : QASR_DECODER_SAFETENSORS;
    options.decoder_gguf = job->gguf;
    return qasr_model_open(model, job->model, &options, err);
}

static bool check_length(const char *file, size_t n)
{
    return (n > 0 && n <= (size_t)QASR_LONGEST_SEGMENT_S * RATE) ||
           message_fail("'%s' has %.1f s of audio, expected more than 0 and at most %d s", file, (double)n / RATE,
                        QASR_LONGEST_SEGMENT_S);
}

bool bench_check(const void *arg, FILE *result)
{
    const bench_job *job = arg;
    qasr_error err;
    qasr_model *model = NULL;
    float *pcm = NULL;
    size_t n = 0;
    (void)result;
    if (open_model(&model, job, &err) != QASR_OK)
        return fail(&err);
    bool good = get_audio(job, &pcm, &n) && (!job->audio || check_length(job->audio, n));
    free_audio(job, pcm);
    qasr_model_close(model);
    return good;
}

bool bench_limits(const void *arg, FILE *result)
{
    const bench_job *job = arg;
    qasr_error err;
    qasr_limits limits = QASR_LIMITS_INIT;
    if (qasr_measure_limits(&limits, job->session_options.n_threads, &err) != QASR_OK)
        return fail(&err);
    return fwrite(&limits, sizeof limits, 1, result) == 1;
}

static int on_progress(void *user, uint64_t done, uint64_t total, const char *what)
{
    (void)what;
    progress_update(user, done, total);
    return 0;
}

bool bench_quantize(const void *arg, FILE *result)
{
    const bench_job *job = arg;
    qasr_error err;
    progress bar;
    qasr_quantize_options options = QASR_QUANTIZE_OPTIONS_INIT;
    options.input = job->model;
    options.output = job->gguf;
    options.qtype = job->variant->qtype;
    options.quantize_embeddings = job->variant->quantize_embeddings;
    options.n_threads = job->session_options.n_threads;
    options.on_progress = on_progress;
    options.user = &bar;
    (void)result;
    progress_begin(&bar, false);
    qasr_status status = qasr_quantize(&options, NULL, &err);
    progress_end(&bar);
    return status == QASR_OK || fail(&err);
}

/* ---- a run ----------------------------------------------------------------------------------- */

/* Each copy is encoded and prefilled separately; a decoding pass shares weights, but not keys and values. */
static void fill_cost(bench_sample *s, const bench_job *job, const qasr_cost *w)
{
    uint64_t kv_bytes = w->kv_bytes_per_position * (w->n_prompt_tokens + (size_t)job->n_tokens / 2);
    s->weights_mb = (double)w->weights_bytes / 1e6;
    s->encode_gop = w->encode_gop * job->session_options.batch;
    s->prefill_gop = w->prefill_gop * job->session_options.batch;
    s->decode_gb =
        ((double)(w->decode_bytes_per_token - kv_bytes) / job->session_options.batch + (double)kv_bytes) / 1e9;
    snprintf(s->embedding_type, sizeof s->embedding_type, "%s", w->embedding_type);
    snprintf(s->encode_precision, sizeof s->encode_precision, "%s", w->encode_precision);
    snprintf(s->prefill_precision, sizeof s->prefill_precision, "%s", w->prefill_precision);
}

/* The copies of the audio and their results. */
typedef struct copies {
    const float *pcm;
    size_t n_samples;
    int n_left;
    qasr_timings sum;
    qasr_result *first; /* freed by the owner */
    qasr_error error;   /* of the first failed copy */
} copies;

static int next_copy(void *user, qasr_clip *clip)
{
    copies *c = user;
    if (c->n_left == 0)
        return 0;
    c->n_left--;
    clip->pcm = c->pcm;
    clip->n_samples = c->n_samples;
    return 1;
}

static int copy_done(void *user, const qasr_clip *clip, qasr_result *result, const qasr_error *error)
{
    copies *c = user;
    (void)clip;
    if (error && c->error.status == QASR_OK)
        c->error = *error;
    if (!result)
        return 1;
    const qasr_timings *t = qasr_result_timings(result);
    c->sum.audio_s = t->audio_s;
    c->sum.mel_s += t->mel_s;
    c->sum.encode_s += t->encode_s;
    c->sum.prefill_s += t->prefill_s;
    c->sum.decode_s += t->decode_s;
    c->sum.n_decoded_tokens += t->n_decoded_tokens;
    if (c->first)
        qasr_result_free(result);
    else
        c->first = result;
    return 0;
}

static int is_widened(const qasr_result *r)
{
    for (size_t i = 0; i < qasr_result_segment_count(r); i++)
        if (qasr_result_segment(r, i)->kv_widened)
            return 1;
    return 0;
}

static void fill_times(bench_sample *s, const qasr_timings *t)
{
    s->audio_s = t->audio_s;
    s->mel_s = t->mel_s;
    s->encode_s = t->encode_s;
    s->prefill_s = t->prefill_s;
    s->decode_ms = metrics_ms_per_token(t);
    s->total_s = t->total_s;
    s->peak_rss_mb = metrics_peak_rss_mb() * 1024 * 1024 / 1e6;
}

static qasr_status transcribe_copies(const bench_job *job, qasr_session *session, copies *c, qasr_error *err)
{
    qasr_transcribe_options options = QASR_TRANSCRIBE_OPTIONS_INIT;
    options.max_new_tokens = job->n_tokens;
    options.ignore_eos = 1;
    options.max_segment_s = QASR_LONGEST_SEGMENT_S;
    double start = progress_now_s();
    qasr_status status = qasr_transcribe_many(session, &options, next_copy, copy_done, c, err);
    c->sum.total_s = progress_now_s() - start;
    if (c->error.status == QASR_OK)
        return status;
    *err = c->error;
    return c->error.status;
}

/* Times are those of the last transcription; the work is counted after it. */
static qasr_status measure(const bench_job *job, qasr_session *session, const float *pcm, size_t n,
                           qasr_result **result, bench_sample *s, qasr_error *err)
{
    qasr_cost work = QASR_COST_INIT;
    copies c;
    qasr_status status = QASR_OK;
    for (int i = 0; i <= job->warm_up && status == QASR_OK; i++) {
        qasr_result_free(*result);
        c = (copies){ .pcm = pcm, .n_samples = n, .n_left = job->session_options.batch };
        status = transcribe_copies(job, session, &c, err);
        *result = c.first;
    }
    if (status == QASR_OK) {
        fill_times(s, &c.sum);
        s->kv_widened = is_widened(c.first);
        status = qasr_session_cost(session, n, (size_t)job->n_tokens, &work, err);
    }
    if (status == QASR_OK)
        fill_cost(s, job, &work);
    return status;
}

static bool write_result(const bench_sample *s, const char *text, FILE *f)
{
    size_t n = strlen(text);
    return fwrite(s, sizeof *s, 1, f) == 1 && fwrite(text, 1, n, f) == n;
}

bool bench_transcribe(const void *arg, FILE *to)
{
    const bench_job *job = arg;
    bench_sample s = { 0 };
    qasr_error err;
    qasr_model *model = NULL;
    qasr_session *session = NULL;
    qasr_result *result = NULL;
    float *pcm = NULL;
    size_t n = 0;
    if (!get_audio(job, &pcm, &n))
        return false;
    double start = progress_now_s();
    qasr_status status = open_model(&model, job, &err);
    if (status == QASR_OK)
        status = qasr_session_open(&session, model, &job->session_options, &err);
    s.load_s = progress_now_s() - start;
    if (status == QASR_OK)
        status = measure(job, session, pcm, n, &result, &s, &err);
    bool good = status == QASR_OK || fail(&err);
    if (good) {
        s.threads = qasr_session_threads(session);
        snprintf(s.device, sizeof s.device, "%s", qasr_session_device(session));
        s.device_mb = (double)qasr_session_device_bytes(session) / 1e6;
        snprintf(s.decoder_type, sizeof s.decoder_type, "%s", qasr_model_decoder_type(model));
        good = write_result(&s, qasr_result_text(result), to);
    }
    qasr_result_free(result);
    qasr_session_close(session);
    qasr_model_close(model);
    free_audio(job, pcm);
    return good;
}
