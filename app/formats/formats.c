/* The list of transcript formats, and code shared by their writers. */
#include "app/formats/formats.h"

#include <inttypes.h>

#include "app/formats/cues.h"
#include "app/message.h"

const format_writer *const format_all[FORMAT_COUNT] = {
    [FORMAT_TXT] = &format_txt, [FORMAT_JSON] = &format_json, [FORMAT_JSONL] = &format_jsonl,
    [FORMAT_SRT] = &format_srt, [FORMAT_VTT] = &format_vtt,   [FORMAT_TSV] = &format_tsv,
    [FORMAT_CSV] = &format_csv, [FORMAT_LRC] = &format_lrc,
};

const char *format_name(size_t i) { return i < FORMAT_COUNT ? format_all[i]->name : NULL; }

bool format_put_result(FILE *f, const format_writer *format, const format_item *item, bool with_segments)
{
    bool good = true;
    size_t n = with_segments && format->segment && item->result ? qasr_result_segment_count(item->result) : 0;
    for (size_t i = 0; good && i < n; i++)
        good = format->segment(f, item, qasr_result_segment(item->result, i));
    good = good && (!format->item || format->item(f, item));
    return good || message_fail("out of memory");
}

void format_begin(FILE *f, const format_writer *format, size_t n_files, bool csv_bom)
{
    if (csv_bom && format == &format_csv)
        fputs("\xEF\xBB\xBF", f);
    if (format->begin)
        format->begin(f, n_files);
}

bool format_put_whole(FILE *f, const format_writer *format, const format_item *item)
{
    format_begin(f, format, 1, item->csv_bom);
    bool good = format_put_result(f, format, item, true);
    if (format->end)
        format->end(f, 1);
    return good;
}

static bool put_subtitles(const qasr_segment *p, const subtitle_limits *limits, subtitle_fn show, void *user)
{
    const bool is_known = p->speech_end_s > p->speech_start_s;
    return subtitle_break(p->text, is_known ? p->speech_start_s : p->start_s, is_known ? p->speech_end_s : p->end_s,
                          limits, show, user);
}

bool format_subtitles(const format_item *item, const subtitle_limits *limits, subtitle_fn show, void *user)
{
    cues all = { 0 };
    bool good = true;
    const size_t n = item->result ? qasr_result_segment_count(item->result) : 0;
    for (size_t i = 0; good && i < n; i++)
        good = put_subtitles(qasr_result_segment(item->result, i), limits, cues_add, &all) && !all.no_memory;
    if (n > 0)
        cues_stretch(&all, limits->min_s, qasr_result_segment(item->result, 0)->start_s,
                     qasr_result_segment(item->result, n - 1)->end_s);
    for (size_t i = 0; good && i < all.n; i++)
        show(user, all.list[i].start_s, all.list[i].end_s, all.list[i].lines);
    cues_free(&all);
    return good;
}

static uint64_t milliseconds(double seconds)
{
    return seconds > 0 && seconds < 1e12 ? (uint64_t)(1000 * seconds + 0.5) : 0;
}

static void put_time(FILE *f, uint64_t ms, char mark)
{
    fprintf(f, "%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64 "%c%03" PRIu64, ms / 3600000, ms / 60000 % 60, ms / 1000 % 60,
            mark, ms % 1000);
}

void format_put_times(FILE *f, double start_s, double end_s, char mark)
{
    const uint64_t start = milliseconds(start_s), end = milliseconds(end_s);
    put_time(f, start, mark);
    fputs(" --> ", f);
    put_time(f, end > start ? end : start + 1, mark);
    fputc('\n', f);
}
