/* See type_rules.h. Patterns are PCRE2 regular expressions, searched anywhere in the canonical name. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "quantize/type_rules.h"

#include <pcre2.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"

enum {
    MAX_MATCH_STEPS = 1000000, /* names are short: only an expression built to be slow reaches this */
    MAX_LIST_BYTES = 1024
};

typedef struct type_rule {
    pcre2_code *code;
    const char *pattern;
    quant_type type;
    bool used;
} type_rule;

struct type_rules {
    type_rule *rules;
    size_t n;
    pcre2_match_data *match;
    pcre2_match_context *limits;
};

static qasr_status unknown_type(const char *name, const char *what, const char *more, qasr_error *err)
{
    buf list;
    buf_init(&list, MAX_LIST_BYTES);
    qasr_status status = QASR_OK;
    for (int t = 0; t < QUANT_TYPE_COUNT && status == QASR_OK; t++)
        if (quant_get((quant_type)t)->quantize)
            status = buf_printf(&list, err, "%s%s", list.len ? ", " : "", quant_get((quant_type)t)->name);
    if (status == QASR_OK)
        status =
            error_set(err, QASR_E_INVALID, "unknown %s '%s', expected one of %s%s", what, name, buf_str(&list), more);
    buf_free(&list);
    return status;
}

qasr_status type_from_name(quant_type *type, const char *name, const char *what, const char *more, qasr_error *err)
{
    int found = quant_from_name(name);
    if (found < 0 || !quant_get((quant_type)found)->quantize)
        return unknown_type(name, what, more, err);
    *type = (quant_type)found;
    return QASR_OK;
}

static qasr_status compile(type_rule *r, const char *pattern, const char *type, qasr_error *err)
{
    int code;
    PCRE2_SIZE at;
    PCRE2_UCHAR text[128];
    if (!pattern || !type)
        return error_set(err, QASR_E_INVALID, "a tensor type lacks its %s", pattern ? "type" : "pattern");
    TRY(type_from_name(&r->type, type, "tensor type", "", err));
    r->pattern = pattern;
    r->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, 0, &code, &at, NULL);
    if (r->code)
        return QASR_OK;
    pcre2_get_error_message(code, text, sizeof text);
    return error_set(err, QASR_E_INVALID, "pattern '%s' is not a regular expression: %s at character %zu", pattern,
                     (const char *)text, (size_t)at);
}

static qasr_status fill(type_rules *r, const char *const *patterns, const char *const *types, size_t n, qasr_error *err)
{
    TRY(MEM_CALLOC(&r->rules, n, err));
    r->match = pcre2_match_data_create(1, NULL);
    r->limits = pcre2_match_context_create(NULL);
    if (!r->match || !r->limits)
        return error_set(err, QASR_E_NOMEM, "out of memory for a regular expression");
    pcre2_set_match_limit(r->limits, MAX_MATCH_STEPS);
    for (; r->n < n; r->n++)
        TRY(compile(&r->rules[r->n], patterns[r->n], types[r->n], err));
    return QASR_OK;
}

qasr_status type_rules_create(type_rules **out, const char *const *patterns, const char *const *types, size_t n,
                              qasr_error *err)
{
    type_rules *r;
    TRY(MEM_CALLOC(&r, 1, err));
    qasr_status status = fill(r, patterns, types, n, err);
    if (status != QASR_OK) {
        type_rules_free(r);
        return status;
    }
    *out = r;
    return QASR_OK;
}

void type_rules_free(type_rules *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n; i++)
        pcre2_code_free(r->rules[i].code);
    pcre2_match_data_free(r->match);
    pcre2_match_context_free(r->limits);
    mem_free(r->rules);
    mem_free(r);
}

static qasr_status matches(bool *out, const type_rules *r, const type_rule *rule, const char *name, qasr_error *err)
{
    int found = pcre2_match(rule->code, (PCRE2_SPTR)name, strlen(name), 0, 0, r->match, r->limits);
    *out = found >= 0;
    if (found >= 0 || found == PCRE2_ERROR_NOMATCH)
        return QASR_OK;
    return error_set(err, QASR_E_UNSUPPORTED, "pattern '%s' takes too long to match against '%s'; use a simpler one",
                     rule->pattern, name);
}

qasr_status type_rules_find(type_rules *r, const char *name, const char **pattern, quant_type *type, qasr_error *err)
{
    *pattern = NULL;
    for (size_t i = 0; r && i < r->n; i++) {
        bool found;
        TRY(matches(&found, r, &r->rules[i], name, err));
        if (!found)
            continue;
        r->rules[i].used = true;
        *pattern = r->rules[i].pattern;
        *type = r->rules[i].type;
    }
    return QASR_OK;
}

qasr_status type_rules_check_used(const type_rules *r, qasr_error *err)
{
    for (size_t i = 0; r && i < r->n; i++)
        if (!r->rules[i].used)
            return error_set(err, QASR_E_INVALID,
                             "pattern '%s' matches no tensor that is written; a dry run lists the names",
                             r->rules[i].pattern);
    return QASR_OK;
}
