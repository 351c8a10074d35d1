/* The languages that the model names in its answers and accepts in the prompt. */
#include <string.h>

#include "base/error.h"
#include "text/text.h"
#include "text/utf8.h"

enum { NAME_BYTES_MAX = 10, DISTANCE_MAX = 2 };

static const language languages[] = {
    { "Chinese", "zh" }, { "English", "en" }, { "Cantonese", "yue" }, { "Arabic", "ar" },     { "German", "de" },
    { "French", "fr" },  { "Spanish", "es" }, { "Portuguese", "pt" }, { "Indonesian", "id" }, { "Italian", "it" },
    { "Korean", "ko" },  { "Russian", "ru" }, { "Thai", "th" },       { "Vietnamese", "vi" }, { "Japanese", "ja" },
    { "Turkish", "tr" }, { "Hindi", "hi" },   { "Malay", "ms" },      { "Dutch", "nl" },      { "Swedish", "sv" },
    { "Danish", "da" },  { "Finnish", "fi" }, { "Polish", "pl" },     { "Czech", "cs" },      { "Filipino", "fil" },
    { "Persian", "fa" }, { "Greek", "el" },   { "Romanian", "ro" },   { "Hungarian", "hu" },  { "Macedonian", "mk" },
};

size_t lang_count(void) { return ARRAY_LEN(languages); }

const language *lang_at(size_t index) { return index < ARRAY_LEN(languages) ? &languages[index] : NULL; }

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

static bool equals_ignoring_case(const char *name, const char *text, size_t n)
{
    if (strlen(name) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (lower(name[i]) != lower(text[i]))
            return false;
    return true;
}

const language *lang_find(const char *name_or_code)
{
    size_t n = strlen(name_or_code);
    const char *text = utf8_trim(name_or_code, &n);
    for (size_t i = 0; i < ARRAY_LEN(languages); i++)
        if (equals_ignoring_case(languages[i].name, text, n) || equals_ignoring_case(languages[i].code, text, n))
            return &languages[i];
    return NULL;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Edit distance between name and text, which has at most NAME_BYTES_MAX + DISTANCE_MAX bytes. */
static size_t edit_distance(const char *name, const char *text, size_t n)
{
    /* Distance between the first i letters of name and the first j of text. */
    size_t row[NAME_BYTES_MAX + DISTANCE_MAX + 1];
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; name[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t substituted = diagonal + (lower(name[i - 1]) != lower(text[j - 1]));
            diagonal = row[j];
            row[j] = least(substituted, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[n];
}

const language *lang_nearest(const char *text)
{
    size_t n = strlen(text);
    text = utf8_trim(text, &n);
    if (n > NAME_BYTES_MAX + DISTANCE_MAX)
        return NULL;
    const language *nearest = NULL;
    size_t best = DISTANCE_MAX + 1;
    for (size_t i = 0; i < ARRAY_LEN(languages); i++) {
        size_t distance = edit_distance(languages[i].name, text, n);
        if (distance < best) {
            best = distance;
            nearest = &languages[i];
        }
    }
    return nearest;
}
