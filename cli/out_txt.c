/* Transcripts as plain text: one line per file, with the file's name in front when there are several. */
#include "out.h"

static void begin(FILE *f, size_t n_files)
{
    (void)f;
    (void)n_files;
}

static void item(FILE *f, const out_item *it)
{
    if (!it->result)
        return;
    if (it->n_files > 1)
        fprintf(f, "%s: ", it->file);
    fprintf(f, "%s\n", qasr_result_text(it->result));
}

const out_format out_txt = { "txt", begin, item, begin };
