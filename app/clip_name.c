/* See clip_name.h. */
#include "app/clip_name.h"

char clip_name_byte(char c) { return (unsigned char)c < 0x20 || c == 0x7F ? '?' : c; }

clip_channel clip_name_channel(int channel)
{
    clip_channel c = { "" };
    if (channel)
        snprintf(c.text, sizeof c.text, " channel %d", channel);
    return c;
}

void clip_name_put(FILE *f, const char *file, int channel)
{
    for (; *file; file++)
        fputc(clip_name_byte(*file), f);
    fputs(clip_name_channel(channel).text, f);
}
