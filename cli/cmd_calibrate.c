/* qasr calibrate: turns audio into a GGUF file of statistics for the quantizer. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/message.h"
#include "app/models.h"
#include "app/progress.h"
#include "cli/cmd.h"
#include "cli/shared_opts.h"
#include "qasr/qasr_tools.h"

typedef struct args {
    qasr_calibrate_options options;
    opt_files files;
    int quiet;
} args;

static const opt opts[] = {
    { "model", 'm', "DIR", "model directory with safetensors, or the name of a pulled model", OPT_STRING,
      offsetof(args, options.model) },
    { "audio", 'a', "PATH",
      "audio file, folder of audio files, or list of them; may be repeated; --audio may be omitted", OPT_FILE,
      offsetof(args, files) },
    { "output", 'o', "FILE", "the .gguf file to write", OPT_STRING, offsetof(args, options.output) },
    { "covariance", 'c', NULL, "also store covariances of the inputs: better quantization, much larger file", OPT_FLAG,
      offsetof(args, options.covariance) },
    THREADS_OPT(offsetof(args, options.n_threads)),
    { "max-memory", 0, "MB",
      "memory for the statistics; if they need more, the audio is read several times (default 2048)", OPT_INT,
      offsetof(args, options.max_memory_mb), NULL, 1, 1 << 20 },
    { "limit", 'n', "N", "use only the first N audio files", OPT_INT, offsetof(args, options.limit), NULL, 1,
      1000000000 },
    OVERWRITE_OPT(offsetof(args, options.overwrite)),
    QUIET_OPT(offsetof(args, quiet)),
};

static int on_progress(void *user, uint64_t done, uint64_t total, const char *what)
{
    (void)what;
    progress_update(user, done, total);
    return progress_interrupted();
}

static void print_report(const args *a, const qasr_calibrate_report *r)
{
    printf("%zu clip%s in %zu segment%s, %.1f s of audio, %zu pass%s\n", r->n_clips, r->n_clips == 1 ? "" : "s",
           r->n_segments, r->n_segments == 1 ? "" : "s", r->audio_s, r->n_passes, r->n_passes == 1 ? "" : "es");
    printf("%zu matrices; rows: encoder %" PRIu64 ", decoder %" PRIu64 ", head %" PRIu64 "\n", r->n_matrices,
           r->encoder_rows, r->decoder_rows, r->answer_rows);
    printf("wrote '%s': %.1f MB in %.1f s\n", a->options.output, (double)r->file_bytes / 1e6, r->seconds);
}

static int calibrate(args *a)
{
    progress bar;
    qasr_error err;
    qasr_calibrate_report report = QASR_CALIBRATE_REPORT_INIT;
    a->options.audio = a->files.names;
    a->options.n_audio = a->files.n;
    a->options.on_progress = on_progress;
    a->options.user = &bar;
    progress_catch_signals();
    progress_begin(&bar, a->quiet);
    progress_count(&bar, "clips", 1, 0);
    qasr_status status = qasr_calibrate(&a->options, &report, &err);
    progress_end(&bar);
    if (status != QASR_OK) {
        message_print(err.message);
        return EXIT_FAILED;
    }
    if (!a->quiet)
        print_report(a, &report);
    return EXIT_DONE;
}

static int check_args(const args *a)
{
    if (a->files.n == 0)
        return opt_usage_error(&cmd_calibrate, "no audio file given");
    if (!a->options.output)
        return opt_usage_error(&cmd_calibrate, "option '--output FILE' is missing");
    return EXIT_DONE;
}

static int run(int argc, char **argv)
{
    args a = { .options = QASR_CALIBRATE_OPTIONS_INIT };
    char *model = NULL;
    int status;
    opt_result parsed = opt_parse(&cmd_calibrate, &a, argc, argv);
    if (parsed != OPT_PARSED)
        status = parsed == OPT_WRONG ? EXIT_USAGE : EXIT_DONE;
    else
        status = check_args(&a);
    if (parsed == OPT_PARSED && status == EXIT_DONE)
        status = overwrite_check(a.options.output, a.options.overwrite)
                     ? models_resolve(&cmd_calibrate, &model, a.options.model)
                     : EXIT_FAILED;
    a.options.model = model;
    if (parsed == OPT_PARSED && status == EXIT_DONE)
        status = calibrate(&a);
    opt_files_free(&a.files);
    free(model);
    return status;
}

const command cmd_calibrate = {
    "calibrate",
    "collect activation statistics for better quantization",
    "[--model MODEL] --output FILE AUDIO... [OPTIONS]",
    "Transcribes recordings with an unquantized model and writes statistics of the inputs of each matrix, which 'qasr "
    "quantize --calibration' uses to reduce the effect of rounding errors. The output has the format of llama.cpp's "
    "imatrix files (docs/format.md).\n"
    "AUDIO is an audio file, a folder, or a list: a .txt file with one path per line, or a .tsv file with the header "
    "'file', 'language', 'text' and paths relative to its folder. Long audio is cut into segments of at most 30 s.\n",
    opts,
    sizeof opts / sizeof opts[0],
    run,
    (const opt_example[]){
        { "Collect statistics from a folder of recordings", "qasr calibrate -m model talks -o stats.gguf" },
        { NULL, NULL } }
};
