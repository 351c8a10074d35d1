/* Names of languages as people write them. */
#ifndef QASR_APP_LANGUAGES_H
#define QASR_APP_LANGUAGES_H

#include <stdbool.h>

/* The English name of a supported language, given its name or ISO code in any case, with or without surrounding white
 * space; NULL if unknown. */
const char *languages_find(const char *text);
/* True if both name the same language, by name or code; other languages compare as words. */
bool languages_same(const char *a, const char *b);
/* True for languages whose texts are scored in characters, as they put no spaces between words: Chinese, Cantonese,
 * Japanese, Thai. By name or code. */
bool languages_by_character(const char *text);

#endif
