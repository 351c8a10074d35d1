/* Names of languages as people write them. */
#ifndef QASR_APP_LANGUAGES_H
#define QASR_APP_LANGUAGES_H

#include <stdbool.h>

/* The English name of a language of the model by its name or ISO code, without regard to case and surrounding white
 * space; NULL if it is none of them. */
const char *languages_find(const char *text);
/* True if both mean the same: by name or code, or the same word of another language. */
bool languages_same(const char *a, const char *b);

#endif
