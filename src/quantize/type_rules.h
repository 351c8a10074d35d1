/* Types given by the user by tensor name: patterns in, the type for a name out; the last matching pattern wins. */
#ifndef QASR_QUANTIZE_TYPE_RULES_H
#define QASR_QUANTIZE_TYPE_RULES_H

#include <stdbool.h>

#include "qasr/qasr_tools.h"
#include "quant/quant.h"

typedef struct type_rules type_rules;

/* patterns [n] and the names of their types [n], as in qasr_quantize_options, must live as long. Errors: INVALID (a
 * pattern that is not a regular expression, unknown type), NOMEM. */
qasr_status type_rules_create(type_rules **out, const char *const *patterns, const char *const *types, size_t n,
                              qasr_error *err);
void type_rules_free(type_rules *r); /* NULL is fine */
/* The last rule whose pattern matches name; it is marked as used. *pattern is NULL if there is none. Errors:
 * UNSUPPORTED (the search takes too long), NOMEM. */
qasr_status type_rules_find(type_rules *r, const char *name, const char **pattern, quant_type *type, qasr_error *err);
/* Error: INVALID (a pattern that matched no name). */
qasr_status type_rules_check_used(const type_rules *r, qasr_error *err);

/* The type with this name, if this library writes it. Error: INVALID, with the list of names; what: its subject
 * ("embedding type"), more: appended to the list. */
qasr_status type_from_name(quant_type *type, const char *name, const char *what, const char *more, qasr_error *err);

#endif
