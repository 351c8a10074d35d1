/* FLAC files: each begins with "fLaC" and a STREAMINFO of 34 bytes, and ends where the next one begins. */
#include <string.h>

#include "audio/links.h"

enum { STREAMINFO_END = 42, TOTAL = 21 /* 36 bits, of which the first 4 are in this byte */ };

int64_t flac_forget_length(unsigned char *p, size_t n)
{
    if (n < STREAMINFO_END || memcmp(p, "fLaC", 4) != 0 || (p[4] & 0x7F) != 0 || read_big_endian(p + 5, 3) != 34)
        return -1;
    const int64_t total = (int64_t)(read_big_endian(p + TOTAL, 5) & 0xFFFFFFFFF);
    p[TOTAL] &= 0xF0;
    memset(p + TOTAL + 1, 0, 4);
    return total;
}

qasr_status flac_find(links *l, window *w, uint64_t *at, qasr_error *err)
{
    unsigned char head[STREAMINFO_END];
    const unsigned char *p = window_get(w, *at, sizeof head);
    if (!p)
        return QASR_OK;
    memcpy(head, p, sizeof head);
    const int64_t total = flac_forget_length(head, sizeof head);
    if (total < 0)
        return QASR_OK;
    uint64_t end = *at + sizeof head;
    while (end < w->end && !links_begin_at(w, end)) {
        const uint64_t next = window_find(w, end + 1, w->end, "fLaC", 4);
        end = next;
    }
    audio_link *new;
    TRY(links_add(&new, l, LINK_FLAC, err));
    new->n_frames = total > 0 ? total : -1;
    TRY(links_add_head(l, head, sizeof head, err));
    TRY(links_add_range(l, *at + sizeof head, end, err));
    *at = end;
    return QASR_OK;
}
