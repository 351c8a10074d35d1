/* See left_out.h. */
#include "cli/transcribe/left_out.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "app/clip_name.h"

void left_out_kind(left_out *l, const char *kind)
{
    l->n_files++;
    for (size_t i = 0; i < l->n_kinds && i < LEFT_OUT_KINDS; i++)
        if (strcmp(l->kinds[i], kind) == 0)
            return;
    if (l->n_kinds < LEFT_OUT_KINDS)
        snprintf(l->kinds[l->n_kinds], sizeof l->kinds[0], "%s", kind);
    l->n_kinds++;
}

void left_out_file(left_out *l, const char *name)
{
    char kind[sizeof l->kinds[0]];
    const char *dot = strrchr(name, '.');
    snprintf(kind, sizeof kind, "%s", dot && dot > name && dot[1] ? dot : "without extension");
    for (char *c = kind; *c; c++)
        *c = clip_name_byte((char)tolower((unsigned char)*c));
    left_out_kind(l, kind);
}

static void print_count(const char **separator, size_t n, const char *one, const char *several)
{
    if (n > 0)
        fprintf(stderr, "%s%zu %s", *separator, n, n == 1 ? one : several);
    *separator = n > 0 ? ", " : *separator;
}

void left_out_print(const left_out *l)
{
    const char *separator = "left out: ";
    print_count(&separator, l->n_files, "file", "files");
    for (size_t i = 0; i < l->n_kinds && i < LEFT_OUT_KINDS; i++)
        fprintf(stderr, "%s%s", i ? ", " : " (", l->kinds[i]);
    if (l->n_kinds > 0)
        fputs(l->n_kinds > LEFT_OUT_KINDS ? " and others)" : ")", stderr);
    print_count(&separator, l->n_subfolders, "subfolder (--recursive searches it)",
                "subfolders (--recursive searches them)");
    print_count(&separator, l->n_links, "link to a folder", "links to folders");
    if (l->n_files + l->n_subfolders + l->n_links > 0)
        fputc('\n', stderr);
}
