/* qasr transcribe: audio files in, text or JSON out. The model and the session are opened once; files are decoded
 * together and come out in their order; one that fails gets its line on stderr and the others go on. */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "languages.h"
#include "out.h"
#include "qasr/qasr.h"

typedef struct args {
    const char *model, *decoder_gguf, *mmproj, *language, *context, *output, *dump_tensors, *device;
    opt_files files;
    int decoder_weights, format, attention, precision, kv_type; /* indices into the lists below */
    int max_new_tokens, ignore_eos, n_threads, batch, timings, quiet, no_mmap, mlock;
    double max_piece_s;
} args;

/* In the order of qasr_decoder_weights, qasr_encoder_attention and qasr_precision. */
static const char *const decoder_weights[] = { "auto", "safetensors", "gguf", NULL };
static const char *const attentions[] = { "windows", "full", NULL };
static const char *const precisions[] = { "auto", "f32", NULL };
static const char *const kv_types[] = { "f16", "f32", "q8_0", NULL };
static const char *const format_names[] = { "txt", "json", NULL };
static const out_format *const formats[] = { &out_txt, &out_json };

static const opt opts[] = {
    { "model", 'm', "PATH", "model directory (config, tokenizer, safetensors, optionally a GGUF with the decoder) or a GGUF file",
      OPT_STRING, offsetof(args, model) },
    { "audio", 'a', "FILE", "audio file, '-' for standard input; may be repeated, names without --audio work too",
      OPT_FILE, offsetof(args, files) },
    { "language", 'l', "LANG", "spoken language, English name or ISO code (default: detected)", OPT_STRING,
      offsetof(args, language) },
    { "context", 'c', "TEXT", "words or text to expect", OPT_STRING, offsetof(args, context) },
    { "format", 'f', "FORMAT", "output format (default txt)", OPT_CHOICE, offsetof(args, format), format_names },
    { "output", 'o', "FILE", "write the result there instead of to standard output ('-')", OPT_STRING,
      offsetof(args, output) },
    { "timings", 0, NULL, "show times and peak memory on stderr", OPT_FLAG, offsetof(args, timings) },
    { "quiet", 'q', NULL, "do not name the files as they begin (several files, on a terminal)", OPT_FLAG, offsetof(args, quiet) },
    { "threads", 't', "N", "worker threads (default: one per physical core)", OPT_INT, offsetof(args, n_threads),
      NULL, 1, 1024 },
    { "batch", 'b', "N", "pieces of audio, of one file or several, that are decoded together; 1: off (default: up to 8 in 2 GiB)",
      OPT_INT, offsetof(args, batch), NULL, 1, 64 },
    { "kv-type", 0, "TYPE", "how keys and values are stored (default f16)", OPT_CHOICE, offsetof(args, kv_type), kv_types },
    { "device", 0, "DEVICE", "where to compute: cpu (default), auto, gpu, metal, vulkan, cuda, hip, or a name from 'qasr devices'",
      OPT_STRING, offsetof(args, device) },
    { "decoder-weights", 0, "KIND", "which decoder weights to use (default auto: a GGUF if there is one)", OPT_CHOICE,
      offsetof(args, decoder_weights), decoder_weights },
    { "decoder-gguf", 0, "NAME", "GGUF with the decoder, relative to the model directory or absolute", OPT_STRING,
      offsetof(args, decoder_gguf) },
    { "mmproj", 0, "FILE", "GGUF with the encoder for a llama.cpp text model (default: an mmproj*.gguf beside it)", OPT_STRING,
      offsetof(args, mmproj) },
    { "no-mmap", 0, NULL, "read the weights into memory instead of mapping their files", OPT_FLAG, offsetof(args, no_mmap) },
    { "mlock", 0, NULL, "lock the weights in memory", OPT_FLAG, offsetof(args, mlock) },
    { "encoder-attention", 0, "KIND", "attention of the encoder (default windows, as in training)", OPT_CHOICE,
      offsetof(args, attention), attentions },
    { "precision", 0, "KIND", "arithmetic of encoder and prompt (default auto: bfloat16 where it is faster, int8 with q4_0 and the like)", OPT_CHOICE,
      offsetof(args, precision), precisions },
    { "max-new-tokens", 0, "N", "token limit per piece (default: from its duration)", OPT_INT,
      offsetof(args, max_new_tokens), NULL, 1, 1000000 },
    { "ignore-eos", 0, NULL, "decode exactly --max-new-tokens tokens, for measuring", OPT_FLAG,
      offsetof(args, ignore_eos) },
    { "max-piece-seconds", 0, "N", "cut longer audio where it is quiet (default 1200)", OPT_NUMBER,
      offsetof(args, max_piece_s), NULL, 1, 1200 },
    { "dump-tensors", 0, "FILE", "write mel, audio_embeds, first_logits of the first piece as safetensors", OPT_STRING,
      offsetof(args, dump_tensors) },
};

typedef struct run_state {
    const args *a;
    qasr_model *model;
    qasr_session *session;
    double load_s;
    out out;
    size_t n_given, n_reported; /* files that were given to the library, that came back */
    size_t n_done;               /* of them, with a text */
} run_state;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- usage ----------------------------------------------------------------------------------- */

static const char *language_name(const void *list, size_t i)
{
    (void)list;
    return qasr_language_name(i);
}

static int unknown_language(const char *text)
{
    const char *near = opt_nearest(text, language_name, NULL, qasr_language_count());
    if (near)
        return opt_usage_error(&cmd_transcribe, "unknown language '%s' (did you mean '%s'?)", text, near);
    char list[1024] = "";
    for (size_t i = 0; i < qasr_language_count(); i++) {
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, "%s%s (%s)", i ? ", " : "", qasr_language_name(i), qasr_language_code(i));
    }
    return opt_usage_error(&cmd_transcribe, "unknown language '%s', expected one of %s", text, list);
}

/* True if a result written to path would overwrite a sound that is to be read. */
static bool is_audio_file(const args *a, const char *path)
{
    for (size_t i = 0; i < a->files.n; i++)
        if (out_is_input(path, a->files.names[i]))
            return true;
    return false;
}

static int check_args(const args *a)
{
    size_t n_stdin = 0;
    for (size_t i = 0; i < a->files.n; i++)
        n_stdin += strcmp(a->files.names[i], "-") == 0;
    if (!a->model)
        return opt_usage_error(&cmd_transcribe, "option '--model PATH' is missing");
    if (a->files.n == 0)
        return opt_usage_error(&cmd_transcribe, "no audio file given");
    if (n_stdin > 1)
        return opt_usage_error(&cmd_transcribe, "standard input ('-') can be read only once");
    if (a->decoder_gguf && a->decoder_weights == QASR_DECODER_SAFETENSORS)
        return opt_usage_error(&cmd_transcribe, "--decoder-gguf contradicts --decoder-weights safetensors");
    if (a->ignore_eos && !a->max_new_tokens)
        return opt_usage_error(&cmd_transcribe, "--ignore-eos needs --max-new-tokens");
    if (a->dump_tensors && a->files.n > 1)
        return opt_usage_error(&cmd_transcribe, "--dump-tensors takes one audio file, got %zu", a->files.n);
    if (is_audio_file(a, a->output))
        return opt_usage_error(&cmd_transcribe, "--output '%s' is an audio file to be read", a->output);
    if (is_audio_file(a, a->dump_tensors))
        return opt_usage_error(&cmd_transcribe, "--dump-tensors '%s' is an audio file to be read", a->dump_tensors);
    if (a->language && !languages_find(a->language))
        return unknown_language(a->language);
    return EXIT_DONE;
}

/* ---- one file -------------------------------------------------------------------------------- */

/* Text may be missing: never in silence, whatever the format. */
static void warn_of_piece(const args *a, const char *file, const qasr_piece *p)
{
    const char *what = NULL;
    if (p->stop == QASR_STOP_LIMIT && !a->ignore_eos)
        what = "the token limit was reached, text is probably missing; raise --max-new-tokens or lower "
               "--max-piece-seconds";
    else if (p->stop == QASR_STOP_LOOP)
        what = "decoding ran in a loop and was stopped, text is probably missing; lower --max-piece-seconds or give "
               "--language";
    if (what)
        fprintf(stderr, "qasr: warning: '%s' from %.1f to %.1f s: %s\n", file, p->start_s, p->end_s, what);
}

static void warn(const args *a, const char *file, const qasr_result *r)
{
    for (size_t i = 0; i < qasr_result_piece_count(r); i++)
        warn_of_piece(a, file, qasr_result_piece(r, i));
    if (qasr_result_stop_reason(r) == QASR_STOP_EMPTY)
        fprintf(stderr, "qasr: warning: '%s' holds no samples, there is nothing to transcribe\n", file);
}

static void print_timings(const run_state *s, const char *file, const qasr_timings *t)
{
    fprintf(stderr,
            "'%s': audio %.2f s, load %.3f s, mel %.3f s, encode %.3f s, prefill %.3f s, decode %.3f s "
            "(%.2f ms/token), total %.3f s, real-time factor %.3f, peak memory %.0f MiB, %d threads, cpu %s",
            file, t->audio_s, s->load_s, t->mel_s, t->encode_s, t->prefill_s, t->decode_s, out_ms_per_token(t),
            t->total_s, out_real_time_factor(t), out_peak_rss_mb(), qasr_session_threads(s->session),
            qasr_cpu_level());
    if (strcmp(qasr_session_device(s->session), "cpu") != 0)
        fprintf(stderr, ", device %s with %.0f MiB", qasr_session_device(s->session),
                (double)qasr_session_device_bytes(s->session) / (1 << 20));
    fputc('\n', stderr);
}

static qasr_transcribe_options transcribe_options(const args *a)
{
    qasr_transcribe_options options = QASR_TRANSCRIBE_OPTIONS_INIT;
    options.language = a->language;
    options.context = a->context;
    options.max_new_tokens = a->max_new_tokens;
    options.ignore_eos = a->ignore_eos;
    options.max_piece_s = a->max_piece_s;
    options.encoder_attention = (qasr_encoder_attention)a->attention;
    options.dump_tensors = a->dump_tensors;
    return options;
}

static int give_file(void *user, qasr_clip *clip)
{
    run_state *s = user;
    const opt_files *files = &s->a->files;
    if (s->n_given == files->n)
        return 0;
    clip->path = files->names[s->n_given++];
    if (files->n > 1 && !s->a->quiet && isatty(STDERR_FILENO))
        fprintf(stderr, "[%zu/%zu] %s\n", s->n_given, files->n, clip->path);
    return 1;
}

/* The next file in order has its result, or its error. */
static void report_file(run_state *s, const qasr_result *result, const qasr_error *error)
{
    const args *a = s->a;
    size_t index = s->n_reported++;
    const char *file = a->files.names[index];
    out_item item = { file, s->model, a->model, s->session, result, error ? error->message : NULL, s->load_s, index, a->files.n };
    formats[a->format]->item(s->out.f, &item);
    if (error) {
        cmd_print_error(error->message);
        return;
    }
    if (!s->out.path)
        out_flush_stdout(); /* text shows up as it is ready; a failure ends the run */
    warn(a, file, result);
    if (a->timings)
        print_timings(s, file, qasr_result_timings(result));
    s->n_done++;
}

static int finish_file(void *user, const qasr_clip *clip, qasr_result *result, const qasr_error *error)
{
    run_state *s = user;
    (void)clip;
    if (!error || error->status != QASR_E_CANCELLED) /* nobody reads the output any more */
        report_file(s, result, error);
    qasr_result_free(result);
    return ferror(s->out.f);
}

/* ---- all files ------------------------------------------------------------------------------- */

static qasr_status open_all(run_state *s, qasr_error *err)
{
    double start = now_s();
    qasr_model_options model_options = QASR_MODEL_OPTIONS_INIT;
    model_options.decoder_weights = (qasr_decoder_weights)s->a->decoder_weights;
    model_options.decoder_gguf = s->a->decoder_gguf;
    model_options.mmproj = s->a->mmproj;
    model_options.no_mmap = s->a->no_mmap;
    model_options.mlock = s->a->mlock;
    qasr_session_options session_options = QASR_SESSION_OPTIONS_INIT;
    session_options.n_threads = s->a->n_threads;
    session_options.precision = (qasr_precision)s->a->precision;
    session_options.device = s->a->device;
    session_options.batch = s->a->batch;
    session_options.kv_type = kv_types[s->a->kv_type];
    qasr_status status = qasr_model_open(&s->model, s->a->model, &model_options, err);
    if (status == QASR_OK)
        status = qasr_session_open(&s->session, s->model, &session_options, err);
    s->load_s = now_s() - start;
    return status;
}

/* False if a file failed or the result could not be written. */
static bool transcribe_all(run_state *s)
{
    const args *a = s->a;
    const out_format *format = formats[a->format];
    qasr_transcribe_options options = transcribe_options(a);
    qasr_error err;
    format->begin(s->out.f, a->files.n);
    qasr_status status = qasr_transcribe_many(s->session, &options, give_file, finish_file, s, &err);
    while (status != QASR_OK && status != QASR_E_CANCELLED && s->n_reported < a->files.n)
        report_file(s, NULL, &err); /* those that were not reached */
    format->end(s->out.f, a->files.n);
    if (s->n_done > 0 || !s->out.path)
        return out_commit(&s->out) && s->n_done == a->files.n;
    out_abort(&s->out); /* no file went well: leave none behind */
    return false;
}

static int transcribe(const args *a)
{
    run_state s = { .a = a };
    qasr_error err;
    bool good = false;
    if (!out_open(&s.out, a->output))
        return EXIT_FAILED;
    if (open_all(&s, &err) == QASR_OK) {
        good = transcribe_all(&s);
    } else {
        cmd_print_error(err.message);
        out_abort(&s.out);
    }
    qasr_session_close(s.session);
    qasr_model_close(s.model);
    return good ? EXIT_DONE : EXIT_FAILED;
}

static int run(int argc, char **argv)
{
    args a = { 0 };
    int status;
    opt_result parsed = opt_parse(&cmd_transcribe, &a, argc, argv);
    if (parsed != OPT_PARSED)
        status = parsed == OPT_WRONG ? EXIT_USAGE : EXIT_DONE;
    else
        status = check_args(&a);
    if (parsed == OPT_PARSED && status == EXIT_DONE)
        status = transcribe(&a);
    opt_files_free(&a.files);
    return status;
}

const command cmd_transcribe = {
    "transcribe", "turn speech into text", "--model PATH FILE... [OPTIONS]",
    "Text goes to standard output, one line per file (with several files: 'FILE: TEXT').\n"
    "The environment variable QASR_CPU=scalar|avx2|avxvnni|avx512|avx512vnni|amx (on ARM: scalar|neon|dotprod|i8mm) masks higher CPU levels.\n",
    opts, sizeof opts / sizeof opts[0], run
};
