/* See columns.h. */
#include "app/columns.h"

#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

int columns_of(const char *text)
{
    int width = 0;
    for (size_t n = strlen(text); n > 0;) {
        utf8proc_int32_t cp;
        const utf8proc_ssize_t got = utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)n, &cp);
        const size_t used = got > 0 ? (size_t)got : 1;
        width += got > 0 ? utf8proc_charwidth(cp) : 1;
        text += used;
        n -= used;
    }
    return width;
}

void columns_pad(const char *text, int width)
{
    const int left = width - columns_of(text);
    printf("%s%*s", text, left > 0 ? left : 0, "");
}
