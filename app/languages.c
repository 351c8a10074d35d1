/* See languages.h. */
#include "app/languages.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "qasr/qasr.h"

typedef struct word {
    char text[64];
} word;

/* Strips surrounding white space. */
static word trimmed(const char *text)
{
    word w;
    text += strspn(text, " \t");
    snprintf(w.text, sizeof w.text, "%s", text);
    for (size_t n = strlen(w.text); n > 0 && isspace((unsigned char)w.text[n - 1]); n--)
        w.text[n - 1] = 0;
    return w;
}

bool languages_by_character(const char *text)
{
    static const char *const codes[] = { "zh", "yue", "ja", "th" };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (languages_same(text, codes[i]))
            return true;
    return false;
}

bool languages_same(const char *a, const char *b)
{
    const char *name_a = qasr_language_find(a), *name_b = qasr_language_find(b);
    if (name_a || name_b)
        return name_a == name_b;
    word x = trimmed(a), y = trimmed(b);
    return strcasecmp(x.text, y.text) == 0;
}
