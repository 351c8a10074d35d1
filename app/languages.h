/* Names of languages as people write them. */
#ifndef QASR_APP_LANGUAGES_H
#define QASR_APP_LANGUAGES_H

#include <stdbool.h>

/* True if both name the same language (qasr_language_find); other languages compare as words, without surrounding white
 * space and case. */
bool languages_same(const char *a, const char *b);
/* True for languages whose texts are scored in characters, as they put no spaces between words: Chinese, Cantonese,
 * Japanese, Thai. By name or code. */
bool languages_by_character(const char *text);

#endif
