/* qasr transcribe: turns audio files into transcripts. This file defines the options and checks them. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "app/formats/formats.h"
#include "app/message.h"
#include "app/models.h"
#include "app/out.h"
#include "app/protect.h"
#include "cli/cmd.h"
#include "cli/shared_opts.h"
#include "cli/transcribe/transcribe.h"
#include "qasr/qasr_tools.h"

typedef transcribe_args args;

enum { MAX_CONTEXT_BYTES = 32768 }; /* about 10,000 tokens of English, the limit of the published models */

static const double DEFAULT_MIN_S = 1, MIN_S_UNSET = -1; /* of a subtitle */

/* In the order of qasr_encoder_attention. */
static const char *const attentions[] = { "windows", "full", NULL };

static const opt opts[] = {
    { "model", 'm', "MODEL",
      "model directory (config, tokenizer, safetensors, optionally a GGUF with the decoder), a GGUF file, or the "
      "name of a pulled model such as 0.6b (default: QASR_MODEL, else the most recently pulled one)",
      OPT_STRING, offsetof(args, model) },
    { "audio", 'a', "FILE",
      "audio file, folder, pattern, or '-' for standard input; may be repeated; --audio may be omitted", OPT_FILE,
      offsetof(args, files) },
    { "list", 0, "FILE", "file with one audio file name per line; '-': standard input", OPT_ONCE,
      offsetof(args, list) },
    { "list0", 0, "FILE", "the same, with a zero byte after each name, as 'find -print0' writes", OPT_ONCE,
      offsetof(args, list0) },
    { "recursive", 'r', NULL, "search folders recursively", OPT_FLAG, offsetof(args, recursive) },
    { "start", 0, "TIME", "skip the audio before this time: seconds, or as in 1:30, 1:02:03.5", OPT_TIME,
      offsetof(args, audio.start_s), NULL, 0, 1e9 },
    { "duration", 0, "TIME", "transcribe at most this much audio, in the same form", OPT_TIME,
      offsetof(args, audio.duration_s), NULL, 0.001, 1e9 },
    { "channel", 0, "N|mix|split",
      "which channel to transcribe: one, the mean of all (default), or each one separately", OPT_STRING,
      offsetof(args, channel) },
    { "track", 0, "N|LANG",
      "which audio track of a file with several: its number or its language (default: the default track)", OPT_STRING,
      offsetof(args, audio.track) },
    { "raw", 0, "FORMAT:RATE:CHANNELS",
      "the files are headerless samples, as in s16le:16000:1; also s8, u8, s24, s32, f32, f64 with le or be, ulaw, "
      "alaw",
      OPT_STRING, offsetof(args, audio.raw) },
    { "ffmpeg", 0, "PROGRAM",
      "program for formats that qasr itself cannot decode, such as m4a, mp4 and webm (default: ffmpeg, if it is on "
      "PATH); 'none': no program",
      OPT_STRING, offsetof(args, audio.ffmpeg) },
    { "language", 'l', "LANG",
      "spoken language, one of those below: its name, also in that language, or a code such as en, eng or en-US; auto: "
      "detected (default)",
      OPT_STRING, offsetof(args, options.language) },
    { "translate-warning", 0, NULL,
      "detect the language of the first 30 s of each file, and warn if it is not --language: the text may then be a "
      "translation",
      OPT_FLAG, offsetof(args, translate_warning) },
    { "context", 'c', "TEXT", "words or text to expect, at most 32768 bytes", OPT_STRING,
      offsetof(args, options.context) },
    { "context-file", 0, "FILE", "the same, from a file; '-': standard input", OPT_STRING,
      offsetof(args, context_file) },
    { "format", 'f', "FORMAT,...",
      "output formats; more than one needs --output-dir (default: the extension of --output, else txt)", OPT_SET,
      offsetof(args, formats), .choice = format_name },
    { "csv-bom", 0, NULL, "csv: begin with a byte order mark, so that Excel reads it as UTF-8", OPT_FLAG,
      offsetof(args, csv_bom) },
    OUTPUT_OPT(offsetof(args, output)),
    { "output-dir", 0, "DIR", "write one file per audio file and format to DIR", OPT_STRING,
      offsetof(args, output_dir) },
    { "skip-existing", 0, NULL, "skip files whose results are already in --output-dir", OPT_FLAG,
      offsetof(args, skip_existing) },
    { "resume", 0, NULL,
      "resume an interrupted run: with --output-dir, same as --skip-existing; with --output FILE.jsonl, after the last "
      "complete file",
      OPT_FLAG, offsetof(args, resume) },
    { "strict", 0, NULL, "count files with a warning (loop, token limit, no text, implausible word rate) as failed",
      OPT_FLAG, offsetof(args, strict) },
    { "max-line-width", 0, "N", "columns per subtitle line (default 42)", OPT_INT, offsetof(args, limits.max_width),
      NULL, 8, 500 },
    { "max-lines", 0, "N", "lines per subtitle (default 2)", OPT_INT, offsetof(args, limits.max_lines), NULL, 1, 20 },
    { "max-line-seconds", 0, "S", "longest duration of a subtitle (default 7)", OPT_TIME, offsetof(args, limits.max_s),
      NULL, 0.5, 600 },
    { "min-cue-seconds", 0, "S",
      "shortest duration of a subtitle, unless its neighbours or the audio leave less room (default 1)", OPT_TIME,
      offsetof(args, limits.min_s), NULL, 0, 60 },
    { "timings", 0, NULL, "show times and peak memory on stderr", OPT_FLAG, offsetof(args, timings) },
    QUIET_OPT(offsetof(args, quiet)),
    THREADS_OPT(offsetof(args, session_options.n_threads)),
    BATCH_OPT(offsetof(args, session_options.batch)),
    KV_TYPE_OPT(offsetof(args, session_options.kv_type)),
    DEVICE_OPT(offsetof(args, session_options.device)),
    DECODER_OPTS(offsetof(args, model_options)),
    { "mmproj", 0, "FILE", "GGUF with the encoder for a llama.cpp text model (default: an mmproj*.gguf beside it)",
      OPT_STRING, offsetof(args, model_options.mmproj) },
    MEMORY_OPTS(offsetof(args, model_options)),
    { "encoder-attention", 0, "KIND", "attention of the encoder (default windows, as in training)", OPT_CHOICE,
      offsetof(args, options.encoder_attention), attentions },
    PRECISION_OPT(offsetof(args, session_options.precision)),
    { "max-new-tokens", 0, "N", "token limit per segment (default: from its duration)", OPT_INT,
      offsetof(args, options.max_new_tokens), NULL, 1, 1000000 },
    { "ignore-eos", 0, NULL, "decode exactly --max-new-tokens tokens, for measurements", OPT_FLAG,
      offsetof(args, options.ignore_eos) },
    SEGMENT_OPT(offsetof(args, segment)),
    { "confidence", 0, NULL, "json, jsonl: log-probability and entropy of every token, confidence of every word",
      OPT_FLAG, offsetof(args, options.token_scores) },
    { "dump-tensors", 0, "FILE", "write mel, audio_embeds, first_logits of the first segment as safetensors",
      OPT_STRING, offsetof(args, options.dump_tensors) },
};

/* ---- usage ----------------------------------------------------------------------------------- */

static const char *language_name(const void *list, size_t i)
{
    (void)list;
    return qasr_language_name(i);
}

/* "Chinese (zh), English (en)", ... */
static void list_languages(char *text, size_t size)
{
    *text = 0;
    for (size_t i = 0; i < qasr_language_count(); i++) {
        size_t n = strlen(text);
        snprintf(text + n, size - n, "%s%s (%s)", i ? ", " : "", qasr_language_name(i), qasr_language_code(i));
    }
}

static int unknown_language(const char *text)
{
    char list[1024];
    const char *near = opt_nearest(text, language_name, NULL, qasr_language_count());
    if (near)
        return opt_usage_error(&cmd_transcribe, "unknown language '%s' (did you mean '%s'?)", text, near);
    list_languages(list, sizeof list);
    return opt_usage_error(&cmd_transcribe, "unknown language '%s', expected auto or one of %s", text, list);
}

static bool has_several(unsigned set) { return (set & (set - 1)) != 0; }

static bool is_dash(const char *name) { return name && strcmp(name, "-") == 0; }

/* The format named by a file's extension, as a set; 0: none. */
static unsigned format_of(const char *path)
{
    const char *dot = out_is_stdout(path) ? NULL : strrchr(path, '.');
    for (int i = 0; dot && i < FORMAT_COUNT; i++)
        if (strcasecmp(dot + 1, format_name((size_t)i)) == 0)
            return 1U << i;
    return 0;
}

/* How often standard input would be read, not counting names in lists. */
static size_t count_stdin(const args *a)
{
    size_t n = (size_t)is_dash(a->list) + is_dash(a->context_file);
    for (size_t i = 0; i < a->files.n; i++)
        n += is_dash(a->files.names[i]);
    return n;
}

static int fail_on_stdin(void)
{
    return opt_usage_error(&cmd_transcribe, "standard input ('-') can be read only once");
}

/* Checks that do not need the files. */
static int check_options(args *a)
{
    const command *c = &cmd_transcribe;
    const bool is_lines = a->formats == 1U << FORMAT_JSONL && !out_is_stdout(a->output);
    if (a->list0 && a->list != a->list0)
        return opt_usage_error(c, "--list contradicts --list0");
    if (a->files.n == 0 && !a->list)
        return opt_usage_error(c, "no audio file given");
    if (a->model_options.decoder_gguf && a->model_options.decoder_weights == QASR_DECODER_SAFETENSORS)
        return opt_usage_error(c, "--decoder-gguf contradicts --decoder-weights safetensors");
    if (a->options.ignore_eos && !a->options.max_new_tokens)
        return opt_usage_error(c, "--ignore-eos needs --max-new-tokens");
    if (a->options.context && a->context_file)
        return opt_usage_error(c, "--context contradicts --context-file");
    if (count_stdin(a) > 1)
        return fail_on_stdin();
    if (a->output && a->output_dir)
        return opt_usage_error(c, "--output contradicts --output-dir");
    if (a->output_dir && !*a->output_dir)
        return opt_usage_error(c, "the name of --output-dir is empty");
    if (!out_is_stdout(a->output) && protect_is_audio_name(a->output))
        return opt_usage_error(c,
                               "--output '%s' has the extension of an audio or video file, expected one of a text file "
                               "such as .txt or .srt",
                               a->output);
    if (a->options.dump_tensors && protect_is_audio_name(a->options.dump_tensors))
        return opt_usage_error(c,
                               "--dump-tensors '%s' has the extension of an audio or video file, expected one such as "
                               ".safetensors",
                               a->options.dump_tensors);
    if (has_several(a->formats) && !a->output_dir)
        return opt_usage_error(c, "several formats need --output-dir");
    if (a->csv_bom && !(a->formats >> FORMAT_CSV & 1))
        return opt_usage_error(c, "--csv-bom needs --format csv");
    if (a->limits.min_s > a->limits.max_s)
        return opt_usage_error(c, "--min-cue-seconds %g is more than --max-line-seconds %g", a->limits.min_s,
                               a->limits.max_s);
    if (a->skip_existing && !a->output_dir)
        return opt_usage_error(c, "--skip-existing needs --output-dir");
    if (a->resume && !a->output_dir && !is_lines)
        return opt_usage_error(c, "--resume needs --output-dir, or --output with a file of format jsonl");
    if (a->options.language && !qasr_language_find(a->options.language))
        return unknown_language(a->options.language);
    if (a->translate_warning && !a->options.language)
        return opt_usage_error(c, "--translate-warning needs --language with a language");
    return segment_set(c, a->segment, &a->options) ? EXIT_DONE : EXIT_USAGE;
}

/* "N", "mix", "split"; false if it is none of them (printed). */
static bool read_channel(args *a)
{
    char *end;
    if (!a->channel || strcasecmp(a->channel, "mix") == 0)
        return true;
    a->split_channels = strcasecmp(a->channel, "split") == 0;
    if (a->split_channels)
        return true;
    errno = 0;
    long n = strtol(a->channel, &end, 10);
    a->audio.channel = (int)n;
    if (*a->channel >= '0' && *a->channel <= '9' && !*end && !errno && n >= 1 && n <= 256)
        return true;
    opt_usage_error(&cmd_transcribe, "--channel '%s': expected a number from 1 to 256, mix, or split", a->channel);
    return false;
}

static int check_audio_options(args *a)
{
    qasr_error err;
    if (!read_channel(a))
        return EXIT_USAGE;
    if (qasr_audio_check(&a->audio, &err) != QASR_OK)
        return opt_usage_error(&cmd_transcribe, "%s", err.message);
    return EXIT_DONE;
}

/* ---- context --------------------------------------------------------------------------------- */

/* False if the file cannot be read or is too long (printed). */
static bool read_context(args *a)
{
    const char *name = is_dash(a->context_file) ? "standard input" : a->context_file;
    FILE *f = is_dash(a->context_file) ? stdin : fopen(a->context_file, "r");
    if (!f)
        return message_fail("cannot open '%s': %s", name, strerror(errno));
    a->context_text = calloc(MAX_CONTEXT_BYTES + 2, 1);
    errno = 0;
    size_t n = a->context_text ? fread(a->context_text, 1, MAX_CONTEXT_BYTES + 1, f) : 0;
    bool good = a->context_text && !ferror(f);
    if (!good)
        message_fail("cannot read '%s': %s", name, strerror(a->context_text ? errno : ENOMEM));
    else if (strlen(a->context_text) != n)
        good = message_fail("'%s' has a zero byte, expected text", name);
    if (f != stdin)
        fclose(f);
    while (good && n > 0 && strchr("\r\n", a->context_text[n - 1]))
        a->context_text[--n] = 0;
    a->options.context = a->context_text;
    return good;
}

static int check_context(args *a)
{
    if (a->context_file && !read_context(a))
        return EXIT_FAILED;
    if (a->options.context && strlen(a->options.context) > MAX_CONTEXT_BYTES)
        return opt_usage_error(&cmd_transcribe,
                               "the context has more than %d bytes; keep the names and terms that matter",
                               MAX_CONTEXT_BYTES);
    return EXIT_DONE;
}

/* ---- defaults -------------------------------------------------------------------------------- */

static args default_args(void)
{
    args a = { .model_options = QASR_MODEL_OPTIONS_INIT,
               .session_options = QASR_SESSION_OPTIONS_INIT,
               .options = QASR_TRANSCRIBE_OPTIONS_INIT,
               .audio = QASR_AUDIO_OPTIONS_INIT,
               .limits = { .max_width = 42, .max_lines = 2, .max_s = 7, .min_s = MIN_S_UNSET } };
    a.audio.ffmpeg = "ffmpeg";
    return a;
}

/* Replaces the words that stand for a default or for nothing. */
static void interpret_words(args *a)
{
    if (a->options.language && strcasecmp(a->options.language, "auto") == 0)
        a->options.language = NULL;
    if (strcasecmp(a->audio.ffmpeg, "none") == 0)
        a->audio.ffmpeg = NULL;
    if (a->limits.min_s < 0)
        a->limits.min_s = a->limits.max_s < DEFAULT_MIN_S ? a->limits.max_s : DEFAULT_MIN_S;
    a->list_by_zero = a->list0 != NULL;
    if (!a->list)
        a->list = a->list0;
    if (!a->formats)
        a->formats = format_of(a->output);
    if (!a->formats)
        a->formats = 1U << FORMAT_TXT;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* True if writing to path would overwrite a file that is read. */
static bool is_input(const args *a, const inputs *in, const char *path)
{
    bool is = out_is_same(path, a->list) || out_is_same(path, a->context_file);
    for (size_t i = 0; i < in->n; i++)
        is = is || out_is_same(path, in->items[i].path);
    return is;
}

static int check_files(const args *a, const inputs *in)
{
    const command *c = &cmd_transcribe;
    size_t n_stdin = (size_t)is_dash(a->list) + is_dash(a->context_file);
    const char *format = format_name((size_t)__builtin_ctz(a->formats));
    for (size_t i = 0; i < in->n; i++)
        n_stdin += is_dash(in->items[i].path);
    if (in->n == 0)
        return opt_usage_error(c, "no audio file given: '%s' lists none", a->list);
    if (n_stdin > 1)
        return fail_on_stdin();
    if (inputs_have_stdin(in) && (a->split_channels || a->translate_warning))
        return opt_usage_error(c, "%s needs a file: standard input can be read only once",
                               a->split_channels ? "--channel split" : "--translate-warning");
    if (a->options.dump_tensors && in->n > 1)
        return opt_usage_error(c, "--dump-tensors takes one audio file, got %zu", in->n);
    if (!a->output_dir && in->n > 1 && !format_all[__builtin_ctz(a->formats)]->holds_many)
        return opt_usage_error(c, "--format %s takes a single file, got %zu; use --output-dir", format, in->n);
    if (is_input(a, in, a->output))
        return opt_usage_error(c, "--output '%s' is also an input file", a->output);
    if (is_input(a, in, a->options.dump_tensors))
        return opt_usage_error(c, "--dump-tensors '%s' is also an input file", a->options.dump_tensors);
    if (out_is_same(a->output, a->options.dump_tensors))
        return opt_usage_error(c, "--dump-tensors '%s' is also --output", a->options.dump_tensors);
    if (a->options.dump_tensors && !protect_allows_dump(a->options.dump_tensors))
        return opt_usage_error(c, "--dump-tensors '%s' exists and is not an earlier dump; choose another name",
                               a->options.dump_tensors);
    return out_can_write(a->options.dump_tensors) ? EXIT_DONE : EXIT_FAILED;
}

static int transcribe(args *a, inputs *in)
{
    if (!inputs_collect(in, &a->files, a->list, a->list_by_zero, a->recursive != 0))
        return EXIT_FAILED;
    inputs_set_audio(in, &a->audio);
    int status = check_files(a, in);
    if (status == EXIT_DONE && a->split_channels) {
        if (!inputs_split_channels(in))
            return EXIT_FAILED;
        status = check_files(a, in);
    }
    char *model = NULL;
    if (status == EXIT_DONE)
        status = models_resolve(&cmd_transcribe, &model, a->model);
    a->model = model;
    if (status == EXIT_DONE)
        status = transcribe_run(a, in);
    free(model);
    return status;
}

static int run(int argc, char **argv)
{
    args a = default_args();
    inputs in = { 0 };
    opt_result parsed = opt_parse(&cmd_transcribe, &a, argc, argv);
    int status = parsed == OPT_WRONG ? EXIT_USAGE : EXIT_DONE;
    if (parsed == OPT_PARSED) {
        interpret_words(&a);
        status = check_options(&a);
        status = status == EXIT_DONE ? check_audio_options(&a) : status;
        status = status == EXIT_DONE ? check_context(&a) : status;
        status = status == EXIT_DONE ? transcribe(&a, &in) : status;
    }
    opt_files_free(&a.files);
    inputs_free(&in);
    free(a.context_text);
    return status;
}

static const char *list_languages_in_help(void)
{
    static char text[1200] = "languages: ";
    const size_t n = strlen("languages: ");
    list_languages(text + n, sizeof text - n - 1);
    strcat(text, "\n");
    return text;
}

/* Exit statuses and CPU levels. */
static const char *exit_and_levels(void)
{
    static char text[400];
    size_t n = (size_t)snprintf(text, sizeof text, "%sQASR_CPU=LEVEL limits the CPU level:", cmd_exit_status_line());
    for (size_t i = 0; qasr_cpu_level_name(i) && n < sizeof text; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s %s", i ? "," : "", qasr_cpu_level_name(i));
    if (n + 1 < sizeof text)
        strcpy(text + n, "\n");
    return text;
}

const command cmd_transcribe = {
    "transcribe",
    "turn speech into text",
    "[--model MODEL] FILE... [OPTIONS]",
    "Transcribes recordings of any length and format, one after another. Text goes to standard output, one line per "
    "file (with several files: 'FILE: TEXT').\n",
    opts,
    sizeof opts / sizeof opts[0],
    run,
    (const opt_example[]){
        { "Transcribe a recording", "qasr transcribe talk.wav" },
        { "Write subtitles", "qasr transcribe talk.wav -o talk.srt" },
        { "Transcribe a folder and its subfolders, as text and subtitles; the same again resumes",
          "qasr transcribe talks -r --output-dir texts -f txt,srt --resume" },
        { "Transcribe files with any names to JSON lines",
          "find talks -name '*.wav' -print0 | qasr transcribe --list0 - -o talks.jsonl" },
        { "Set the language, and give names to expect", "qasr transcribe talk.wav -l English -c 'Sophia, Helsinki'" },
        { NULL, NULL } },
    list_languages_in_help,
    exit_and_levels
};
