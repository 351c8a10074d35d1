/* Lists of texts: references, and transcripts as a table or as JSON lines. */
#include <string.h>

#include "cli/eval/texts.h"
#include "fuzz.h"

static void check_list(text_list *list, bool read)
{
    for (size_t i = 0; read && i < list->n; i++) {
        const file_text *item = &list->items[i];
        FUZZ_CHECK(*item->file && item->text && item->line > 0);
        FUZZ_CHECK(texts_find(list, item->file) == item);
    }
    if (read)
        texts_free(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    text_list list;
    const char *path = fuzz_file("refs.tsv", data, size);
    check_list(&list, texts_read_references(&list, path));
    check_list(&list, texts_read_hypotheses(&list, path));
    return 0;
}
