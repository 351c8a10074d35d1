/* See one_line.h. */
#include "app/one_line.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Bytes of the separator at the start of text: C0 and C1 controls, U+2028, U+2029; 0: it is none. */
static size_t separator_bytes(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    if (p[0] < 0x20 || p[0] == 0x7F)
        return 1;
    if (p[0] == 0xC2 && p[1] >= 0x80 && p[1] < 0xA0)
        return 2;
    return strncmp(text, "\xE2\x80\xA8", 3) == 0 || strncmp(text, "\xE2\x80\xA9", 3) == 0 ? 3 : 0;
}

void one_line_put(FILE *f, const char *text)
{
    bool in_run = false;
    while (*text) {
        const size_t n = separator_bytes(text);
        if (!n || !in_run)
            fputc(n ? ' ' : *text, f);
        in_run = n > 0;
        text += n ? n : 1;
    }
}
