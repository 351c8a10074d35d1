/* Transcripts as plain text: one line per file, which starts with the file's name if there are several. */
#include "app/clip_name.h"
#include "app/formats/formats.h"

static bool item(FILE *f, const format_item *it)
{
    if (!it->result)
        return true;
    if (it->n_files > 1) {
        clip_name_put(f, it->file, it->channel);
        fputs(": ", f);
    }
    fprintf(f, "%s\n", qasr_result_text(it->result));
    return true;
}

const format_writer format_txt = { "txt", true, false, NULL, NULL, item, NULL };
