/* Transcripts as plain text: one line per file, with the file's name in front when there are several. */
#include "out.h"

static bool item(FILE *f, const out_item *it)
{
    if (!it->result)
        return true;
    if (it->n_files > 1 && it->channel)
        fprintf(f, "%s channel %d: ", it->file, it->channel);
    else if (it->n_files > 1)
        fprintf(f, "%s: ", it->file);
    fprintf(f, "%s\n", qasr_result_text(it->result));
    return true;
}

const out_format out_txt = { "txt", true, false, NULL, NULL, item, NULL };
