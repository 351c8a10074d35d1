/* Transcripts as plain text: one line per file, which starts with the file's name if there are several. */
#include "app/clip_name.h"
#include "app/formats/formats.h"
#include "app/one_line.h"

static bool item(FILE *f, const format_item *it)
{
    if (!it->result)
        return true;
    if (it->n_files > 1) {
        clip_name_put(f, it->file, it->channel);
        fputs(": ", f);
    }
    one_line_put(f, qasr_result_text(it->result));
    fputc('\n', f);
    return true;
}

const format_writer format_txt = { "txt", true, false, NULL, NULL, item, NULL };
