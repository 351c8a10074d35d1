/* Transcripts as plain text: one line per file, with the file's name in front when there are several. */
#include "clip_name.h"
#include "out.h"

static bool item(FILE *f, const out_item *it)
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

const out_format out_txt = { "txt", true, false, NULL, NULL, item, NULL };
