/* Reads the parts of the files that hold given tensors into memory, replacing the mapping, or locks them in memory. */
#include <stdlib.h>

#include "base/mem.h"
#include "weights/container.h"

static int by_begin(const void *a, const void *b)
{
    const file_range *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

/* Joins adjacent ranges. Returns how many remain, at least 1 if n was. */
static size_t join_ranges(file_range *ranges, size_t n)
{
    size_t n_out = 0;
    qsort(ranges, n, sizeof *ranges, by_begin);
    for (size_t i = 0; i < n; i++) {
        file_range *last = n_out > 0 ? &ranges[n_out - 1] : NULL;
        if (!last || ranges[i].begin > last->end)
            ranges[n_out++] = ranges[i];
        else if (ranges[i].end > last->end)
            last->end = ranges[i].end;
    }
    return n_out;
}

/* Lists the pages of a file that hold the tensors, in as few ranges as possible; out has room for n. Returns the number
 * of ranges. */
static size_t list_ranges(file_range *out, const weights *w, unsigned file, const wtensor *const *tensors, size_t n)
{
    const file_map *map = &w->files[file].map;
    size_t page = file_page_bytes(), n_out = 0;
    for (size_t i = 0; i < n; i++) {
        if (tensors[i]->file != file || tensors[i]->n_bytes == 0)
            continue;
        size_t begin = (size_t)((const unsigned char *)tensors[i]->data - map->data);
        size_t end = size_round_up(begin + (size_t)tensors[i]->n_bytes, page);
        out[n_out++] = (file_range){ begin / page * page, end < map->size ? end : map->size };
    }
    return join_ranges(out, n_out);
}

qasr_status weights_copy(weights *w, const wtensor *const *tensors, size_t n, qasr_error *err)
{
    file_range *ranges;
    TRY(MEM_ALLOC(&ranges, n, err));
    qasr_status status = QASR_OK;
    for (unsigned f = 0; f < w->n_files && status == QASR_OK; f++)
        status = file_map_copy(&w->files[f].map, w->files[f].path, ranges, list_ranges(ranges, w, f, tensors, n), err);
    mem_free(ranges);
    return status;
}

qasr_status weights_lock(const weights *w, const wtensor *const *tensors, size_t n, uint64_t *n_bytes, int *refused,
                         qasr_error *err)
{
    file_range *ranges;
    TRY(MEM_ALLOC(&ranges, n, err));
    for (unsigned f = 0; f < w->n_files; f++) {
        size_t n_ranges = list_ranges(ranges, w, f, tensors, n);
        for (size_t i = 0; i < n_ranges; i++) {
            *n_bytes += ranges[i].end - ranges[i].begin;
            int why = file_map_lock(&w->files[f].map, ranges[i]);
            *refused = why ? why : *refused;
        }
    }
    mem_free(ranges);
    return QASR_OK;
}
