/* See transcribe.h. The model and the session are opened once; files are decoded together, and results come in input
 * order. A file that fails gets a line on stderr; the others continue. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/clip_name.h"
#include "app/file_lock.h"
#include "app/formats/formats.h"
#include "app/languages.h"
#include "app/message.h"
#include "app/metrics.h"
#include "app/out.h"
#include "app/progress.h"
#include "cli/cmd.h"
#include "cli/transcribe/outputs.h"
#include "cli/transcribe/resume.h"
#include "cli/transcribe/transcribe.h"
#include "cli/transcribe/transcribe_progress.h"
#include "qasr/qasr_tools.h"

typedef struct run {
    const transcribe_args *a;
    inputs *in;
    qasr_model *model;
    qasr_session *session;
    double load_s;
    outputs files;               /* with an output folder */
    const format_writer *format; /* without a folder: format of the stream */
    out stream;
    int lock;           /* of the stream, if it is a file that grows; else negative */
    resume resume;      /* existing content of the output file */
    size_t n_in_stream; /* files whose results it has */
    size_t next;        /* next input for the library */
    size_t current;     /* input of the next result */
    size_t n_done, n_failed, n_skipped, n_warned, n_written;
    double audio_s;
    transcribe_progress progress;
} run;

/* ---- warnings ------------------------------------------------------------- */

/* Missing or wrong text is always reported, whatever the format. */
static const char *const warnings[] = {
    [QASR_SEGMENT_SILENT] = "no audible sound, skipped",
    [QASR_SEGMENT_SUSPECT_LIMIT] =
        "token limit reached, text is probably missing; raise --max-new-tokens or use a shorter --segment",
    [QASR_SEGMENT_SUSPECT_LOOP] =
        "decoding stopped in a loop, text is probably missing; use a shorter --segment or set --language",
    [QASR_SEGMENT_SUSPECT_EMPTY] = "audible sound but no text: either there is no speech, or text is missing",
    [QASR_SEGMENT_SUSPECT_RATE] = "far too few or too many words for its duration, text is probably missing or wrong",
};

/* Nothing is lost, but the work was done twice. */
static void warn_about_cache(const run *s, const input *in, const qasr_result *r)
{
    const char *type = s->a->session_options.kv_type;
    size_t n = 0, n_segments = qasr_result_segment_count(r);
    for (size_t i = 0; i < n_segments; i++)
        n += qasr_result_segment(r, i)->kv_widened != 0;
    if (n)
        message_warn("'%s'%s: keys or values of %zu of %zu segments exceed %s, decoded again with a KV cache in f32; "
                     "'--kv-type f32' saves the first try",
                     in->path, clip_name_channel(in->channel).text, n, n_segments, type ? type : qasr_kv_type_name(0));
}

/* Prints warnings; returns the number of those that make a file suspect, which silence does not. */
static size_t warn(const run *s, const input *in, const qasr_result *r)
{
    const clip_channel channel = clip_name_channel(in->channel);
    size_t n = 0;
    double omitted_s = 0;
    for (size_t i = 0; i < qasr_result_segment_count(r); i++) {
        const qasr_segment *p = qasr_result_segment(r, i);
        const char *warning = (size_t)p->status < sizeof warnings / sizeof *warnings ? warnings[p->status] : NULL;
        if (warning)
            message_warn("'%s'%s from %.1f to %.1f s: %s", in->path, channel.text, p->start_s, p->end_s, warning);
        if (p->context_echoed)
            message_warn("'%s'%s from %.1f to %.1f s: the text began with the context%s", in->path, channel.text,
                         p->start_s, p->end_s, s->a->options.no_retry ? "" : ", transcribed again without it");
        n += warning && p->status != QASR_SEGMENT_SILENT;
        omitted_s += p->omitted_s;
    }
    if (omitted_s > 0)
        message_warn("'%s'%s: %.1f s of silence or steady noise left out of long pauses", in->path, channel.text,
                     omitted_s);
    warn_about_cache(s, in, r);
    if (qasr_result_segment_count(r) == 0) {
        message_warn("'%s'%s has no samples%s, nothing to transcribe", in->path, channel.text,
                     s->a->audio.start_s > 0 ? " after --start" : "");
        n++;
    }
    return n + (qasr_result_audio_damaged(r) != 0); /* already reported by the library */
}

static void warn_about_translation(const run *s, const input *in)
{
    const char *detected = in->detected, *wanted = s->a->options.language;
    if (detected && *detected && !languages_same(detected, wanted))
        message_warn("'%s'%s sounds like %s, not %s as requested: the text may be a translation", in->path,
                     clip_name_channel(in->channel).text, detected, qasr_language_find(wanted));
}

static void print_timings(const run *s, const input *in, const qasr_timings *t)
{
    fputc('\'', stderr);
    clip_name_put(stderr, in->path, 0);
    fprintf(stderr,
            "'%s: audio %.2f s, load %.3f s, mel %.3f s, encode %.3f s, prefill %.3f s, decode %.3f s "
            "(%.2f ms/token), total %.3f s, real-time factor %.3f, peak memory %.0f MiB, %d threads, cpu %s",
            clip_name_channel(in->channel).text, t->audio_s, s->load_s, t->mel_s, t->encode_s, t->prefill_s,
            t->decode_s, metrics_ms_per_token(t), t->total_s, metrics_real_time_factor(t), metrics_peak_rss_mb(),
            qasr_session_threads(s->session), qasr_cpu_level());
    if (strcmp(qasr_session_device(s->session), "cpu") != 0)
        fprintf(stderr, ", device %s with %.0f MiB", qasr_session_device(s->session),
                (double)qasr_session_device_bytes(s->session) / (1 << 20));
    fputc('\n', stderr);
}

/* ---- results --------------------------------------------------------------------------------- */

static format_item item_of(const run *s, const input *in, const qasr_result *result, const qasr_error *error)
{
    return (format_item){ .file = in->path,
                          .channel = in->channel,
                          .detected = in->detected,
                          .limits = &s->a->limits,
                          .model = s->model,
                          .model_path = s->a->model,
                          .session = s->session,
                          .result = result,
                          .error = error ? error->message : NULL,
                          .load_s = s->load_s,
                          .index = s->n_in_stream,
                          .n_files = s->files.folder ? 1 : s->in->n - s->n_skipped,
                          .csv_bom = s->a->csv_bom };
}

/* False if a result is lost. A failed file has an entry only in a stream. */
static bool write_result(run *s, const input *in, const qasr_result *result, const qasr_error *error)
{
    const format_item item = item_of(s, in, result, error);
    if (s->files.folder)
        return error || outputs_write(&s->files, in, &item);
    bool good = format_put_result(s->stream.f, s->format, &item, !s->format->as_it_comes);
    s->n_in_stream++;
    return good && out_show(&s->stream);
}

/* Reports the result or the error of the next file in order. */
static void report(run *s, const input *in, const qasr_result *result, const qasr_error *error)
{
    progress_clear();
    bool good = write_result(s, in, result, error);
    size_t n_warnings = 0;
    if (good)
        resume_result(&s->resume, in, !error);
    if (error) {
        message_print(error->message);
    } else {
        const qasr_timings *t = qasr_result_timings(result);
        n_warnings = warn(s, in, result);
        warn_about_translation(s, in);
        if (s->a->timings)
            print_timings(s, in, t);
        s->audio_s += t->audio_s;
        s->n_written += good;
        s->n_warned += n_warnings > 0;
    }
    if (!error && good && !(s->a->strict && n_warnings > 0))
        s->n_done++;
    else
        s->n_failed++;
    transcribe_progress_file(&s->progress, in, error ? -1 : qasr_result_timings(result)->audio_s);
}

/* The first input from i on that is not skipped. */
static size_t next_to_read(const run *s, size_t i)
{
    while (i < s->in->n && s->in->items[i].skip)
        i++;
    return i;
}

static bool stream_is_lost(const run *s) { return !s->files.folder && ferror(s->stream.f); }

/* ---- callbacks of the library ------------------------------------------------------------------ */

static void describe(qasr_clip *clip, input *in)
{
    clip->path = in->path;
    clip->audio = &in->audio;
    clip->user = in;
    if (in->error) {
        clip->error.status = QASR_E_IO;
        snprintf(clip->error.message, sizeof clip->error.message, "%s", in->error);
    }
}

static int give_file(void *user, qasr_clip *clip)
{
    run *s = user;
    s->next = next_to_read(s, s->next);
    if (progress_interrupted())
        return -1;
    if (s->next == s->in->n)
        return 0;
    describe(clip, &s->in->items[s->next++]);
    return 1;
}

static int finish_file(void *user, const qasr_clip *clip, qasr_result *result, const qasr_error *error)
{
    run *s = user;
    const input *in = clip->user;
    if (!error || error->status != QASR_E_CANCELLED) { /* else the output is no longer wanted */
        report(s, in, result, error);
        s->current = next_to_read(s, (size_t)(in - s->in->items) + 1);
    }
    qasr_result_free(result);
    return stream_is_lost(s);
}

static int show_segment(void *user, const qasr_segment *segment)
{
    run *s = user;
    if (!s->files.folder && s->format->as_it_comes) {
        const format_item item = item_of(s, &s->in->items[s->current], NULL, NULL);
        progress_clear();
        s->format->segment(s->stream.f, &item, segment);
        out_show(&s->stream);
    }
    transcribe_progress_segment(&s->progress, segment->end_s - segment->start_s);
    return stream_is_lost(s) || progress_interrupted();
}

static int check_interrupt(void *user)
{
    (void)user;
    return progress_interrupted();
}

/* ---- language detection before the run ---------------------------------------------------------------- */

enum { DETECTION_TOKENS = 12 };       /* "language English<asr_text>" and a few more */
static const double DETECTION_S = 30; /* a segment of usual length */

static int give_beginning(void *user, qasr_clip *clip)
{
    const int given = give_file(user, clip);
    if (given > 0) {
        input *in = clip->user;
        if (!(in->audio.duration_s > 0 && in->audio.duration_s < DETECTION_S))
            in->audio.duration_s = DETECTION_S;
    }
    return given;
}

static int keep_language(void *user, const qasr_clip *clip, qasr_result *result, const qasr_error *error)
{
    run *s = user;
    input *in = clip->user;
    (void)error; /* the run reports it */
    in->audio.duration_s = s->a->audio.duration_s;
    in->detected = result ? strdup(qasr_result_language(result)) : NULL;
    qasr_result_free(result);
    return 0;
}

static void detect_languages(run *s)
{
    qasr_transcribe_options options = s->a->options;
    options.language = NULL;
    options.max_new_tokens = DETECTION_TOKENS;
    options.no_retry = 1;
    options.dump_tensors = NULL;
    options.on_poll = check_interrupt;
    qasr_transcribe_many(s->session, &options, give_beginning, keep_language, s, NULL);
    s->next = 0;
}

/* ---- all files ------------------------------------------------------------------------------- */

static qasr_status open_all(run *s, qasr_error *err)
{
    double start = progress_now_s();
    qasr_status status = qasr_model_open(&s->model, s->a->model, &s->a->model_options, err);
    if (status == QASR_OK)
        status = qasr_session_open(&s->session, s->model, &s->a->session_options, err);
    s->load_s = progress_now_s() - start;
    return status;
}

static void transcribe_files(run *s)
{
    qasr_transcribe_options options = s->a->options;
    qasr_error err;
    options.on_poll = check_interrupt;
    options.on_segment = show_segment;
    options.user = s;
    qasr_status status = qasr_transcribe_many(s->session, &options, give_file, finish_file, s, &err);
    for (; status != QASR_OK && status != QASR_E_CANCELLED && s->current < s->in->n;
         s->current = next_to_read(s, s->current + 1))
        report(s, &s->in->items[s->current], NULL, &err); /* inputs not reached */
}

static void print_done(const run *s, const char *more)
{
    const double elapsed_s = transcribe_progress_elapsed(&s->progress);
    fprintf(stderr, "%zu of %zu files done%s", s->n_done, s->in->n, more);
    if (s->audio_s > 0)
        fprintf(stderr, ": %.1f s of audio in %.1f s, %.1fx", s->audio_s, elapsed_s,
                elapsed_s > 0 ? s->audio_s / elapsed_s : 0);
    fputc('\n', stderr);
}

static void print_summary(const run *s)
{
    char more[96] = "";
    const size_t n = s->in->n;
    size_t used = 0;
    const struct {
        size_t n;
        const char *what;
    } counts[] = { { s->n_failed, "failed" }, { s->n_skipped, "skipped" }, { s->n_warned, "with warnings" } };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (counts[i].n)
            used += (size_t)snprintf(more + used, sizeof more - used, ", %zu %s", counts[i].n, counts[i].what);
    if (progress_interrupted())
        message_fail("interrupted: %zu of %zu files done%s", s->n_done, n, more);
    else if (n > 1 && !s->a->quiet)
        print_done(s, more);
    if (!s->a->quiet)
        left_out_print(&s->in->left_out);
}

/* False if results are lost. */
static bool transcribe_all(run *s)
{
    if (s->a->translate_warning)
        detect_languages(s);
    transcribe_progress_begin(&s->progress, s->in, s->a->quiet);
    s->current = next_to_read(s, 0);
    const size_t n_files = s->in->n - s->n_skipped;
    if (!s->files.folder)
        format_begin(s->stream.f, s->format, n_files, s->a->csv_bom);
    transcribe_files(s);
    transcribe_progress_end(&s->progress);
    if (s->files.folder)
        return true;
    if (s->format->end)
        s->format->end(s->stream.f, n_files);
    if (s->n_written > 0 || !s->stream.path || s->stream.as_it_comes)
        return out_commit(&s->stream);
    out_abort(&s->stream); /* no file succeeded: leave no output */
    return true;
}

/* Opens a file of JSON lines, alone: of two runs that resume it at once, one would lose its lines. */
static bool open_lines(run *s)
{
    const transcribe_args *a = s->a;
    if (!out_check(a->output) ||
        (!out_is_special(a->output) && !file_lock_take(&s->lock, a->output, "qasr transcribe", a->output)))
        return false;
    if (a->resume && !resume_read(&s->resume, a->output, s->in, a->strict))
        return false;
    if (!a->resume && out_has_content(a->output))
        return message_fail("'%s' exists; continue it with --resume, or remove it first", a->output);
    return out_open_lines(&s->stream, a->output, s->resume.keep_bytes);
}

/* Opens the output, and finds the results that exist already. False on error (printed). */
static bool open_output(run *s)
{
    const transcribe_args *a = s->a;
    bool good;
    s->files = (outputs){ a->output_dir, a->formats, { a->list, a->context_file } };
    s->format = format_all[__builtin_ctz(a->formats)];
    if (a->output_dir)
        good = outputs_prepare(&s->files, s->in, a->skip_existing || a->resume);
    else if (s->format == &format_jsonl && !out_is_stdout(a->output))
        good = open_lines(s);
    else
        good = out_open(&s->stream, a->output);
    for (size_t i = 0; i < s->in->n; i++)
        s->n_skipped += s->in->items[i].skip;
    return good;
}

static int exit_status(const run *s, bool good)
{
    if (!good)
        return EXIT_FAILED;
    if (s->n_done + s->n_skipped == s->in->n)
        return EXIT_DONE;
    return s->n_done + s->n_skipped == 0 ? EXIT_ALL_FAILED : EXIT_FAILED;
}

int transcribe_run(const transcribe_args *a, inputs *in)
{
    run s = { .a = a, .in = in, .lock = -1 };
    qasr_error err;
    bool good = false;
    if (!open_output(&s)) {
        resume_free(&s.resume);
        file_lock_release(&s.lock);
        return EXIT_FAILED;
    }
    progress_catch_signals();
    if (s.n_skipped == in->n) { /* the model is not needed */
        transcribe_progress_begin(&s.progress, in, a->quiet);
        good = s.stream.f ? out_commit(&s.stream) : true;
        print_summary(&s);
    } else if (open_all(&s, &err) == QASR_OK) {
        good = transcribe_all(&s);
        print_summary(&s);
    } else {
        message_print(err.message);
        out_abort(&s.stream);
    }
    good = good && resume_finish(&s.resume, a->output);
    resume_free(&s.resume);
    file_lock_release(&s.lock);
    qasr_session_close(s.session);
    qasr_model_close(s.model);
    return exit_status(&s, good);
}
