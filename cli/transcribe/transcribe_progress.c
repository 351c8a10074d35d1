/* See transcribe_progress.h. */
#include "cli/transcribe/transcribe_progress.h"

#include <stdio.h>
#include <sys/stat.h>

#include "app/clip_name.h"

/* Distance between two lines without a terminal: a tenth of all audio, but at least LINE_MIN_S. In audio, not in time,
 * so that the number of lines does not depend on the machine. */
static const double LINE_PART = 0.1, LINE_MIN_S = 300;

/* Seconds of all files to be read, by their headers; negative if one is unknown, as for formats that only ffmpeg reads.
 */
static double count_seconds(const inputs *in)
{
    double total_s = 0;
    for (size_t i = 0; i < in->n; i++) {
        const input *item = &in->items[i];
        qasr_audio_info info = QASR_AUDIO_INFO_INIT;
        struct stat st;
        if (item->skip || item->error)
            continue;
        qasr_audio_options audio = item->audio;
        audio.ffmpeg = NULL;
        if (stat(item->path, &st) != 0)
            continue;
        qasr_status status =
            S_ISREG(st.st_mode) ? qasr_audio_probe(&info, item->path, &audio, NULL) : QASR_E_UNSUPPORTED;
        if (status == QASR_E_UNSUPPORTED || (status == QASR_E_FORMAT && item->audio.ffmpeg) || info.duration_s < 0)
            return -1;
        total_s += status == QASR_OK ? info.duration_s : 0;
    }
    return total_s;
}

void transcribe_progress_begin(transcribe_progress *p, const inputs *in, bool quiet)
{
    *p = (transcribe_progress){ .begin_s = progress_now_s() };
    progress_begin(&p->bar, quiet);
    progress_lines(&p->bar, quiet, "");
    for (size_t i = 0; i < in->n; i++)
        p->n_files += !in->items[i].skip;
    p->total_s = p->bar.shown ? count_seconds(in) : -1;
}

double transcribe_progress_elapsed(const transcribe_progress *p) { return progress_now_s() - p->begin_s; }

static double speed(const transcribe_progress *p)
{
    const double elapsed_s = transcribe_progress_elapsed(p);
    return elapsed_s > 0 ? (p->done_s + p->segment_s) / elapsed_s : 0;
}

/* No line at the end, which prints its own messages. */
static bool line_is_due(transcribe_progress *p)
{
    const double done_s = p->done_s + p->segment_s, part_s = LINE_PART * p->total_s;
    if (done_s - p->line_s < (part_s > LINE_MIN_S ? part_s : LINE_MIN_S) || (p->total_s > 0 && done_s >= p->total_s))
        return false;
    p->line_s = done_s;
    return true;
}

static void draw(transcribe_progress *p)
{
    char text[96];
    const double done_s = p->done_s + p->segment_s, times = speed(p);
    const size_t file = p->n_ended < p->n_files ? p->n_ended + 1 : p->n_files;
    if (!(p->bar.lines ? line_is_due(p) : progress_is_due(&p->bar)))
        return;
    if (p->total_s > 0) {
        double left_s = done_s < p->total_s ? p->total_s - done_s : 0;
        snprintf(text, sizeof text, "file %zu/%zu  %.0f/%.0f s  %.1fx", file, p->n_files, done_s, p->total_s, times);
        progress_draw(&p->bar, 1 - left_s / p->total_s, times > 0 ? left_s / times : -1, text);
    } else {
        snprintf(text, sizeof text, "file %zu/%zu  %.0f s  %.1fx", file, p->n_files, done_s, times);
        if (p->bar.lines)
            fprintf(stderr, "%s\n", text);
        else
            progress_draw(&p->bar, (double)p->n_ended / (double)p->n_files, -1, text);
    }
}

void transcribe_progress_segment(transcribe_progress *p, double seconds)
{
    p->segment_s += seconds;
    draw(p);
}

void transcribe_progress_file(transcribe_progress *p, const input *in, double seconds)
{
    const bool failed = seconds < 0;
    p->n_ended++;
    p->done_s += failed ? 0 : seconds;
    p->segment_s = 0;
    if (!p->bar.lines) {
        draw(p);
        return;
    }
    p->line_s = p->done_s;
    if (p->n_files < 2)
        return;
    fprintf(stderr, "[%zu/%zu] ", p->n_ended, p->n_files);
    clip_name_put(stderr, in->path, in->channel);
    if (failed)
        fputs(": failed\n", stderr);
    else
        fprintf(stderr, ": %.1f s, %.1fx\n", seconds, speed(p));
}

void transcribe_progress_end(transcribe_progress *p) { progress_end(&p->bar); }
