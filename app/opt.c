/* Options: fills a command's struct from its table and argv. */
#include "app/opt.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "app/message.h"

enum {
    MAX_OPTS = 64,
    MAX_WORD = 48,    /* longest word that gets a suggestion */
    FIRST_LONG = 256, /* getopt value of table entry 0; letters stay below */
    HELP_COLUMN = 31,
    HELP_WIDTH = 96
};

int opt_usage_error(const command *cmd, const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "qasr: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "; see 'qasr help%s%s'\n", cmd ? " " : "", cmd ? cmd->name : "");
    return EXIT_USAGE;
}

/* ---- suggestions ----------------------------------------------------------------------------- */

/* Levenshtein distance, ASCII case ignored; both at most MAX_WORD long. */
static size_t distance(const char *a, const char *b)
{
    size_t row[MAX_WORD + 1], n = strlen(b);
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t change = diagonal + (strncasecmp(&a[i - 1], &b[j - 1], 1) != 0);
            size_t edit = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < edit ? change : edit;
        }
    }
    return row[n];
}

/* The only entry that begins with a word, or NULL. */
static const char *only_longer(const char *word, const char *(*get)(const void *list, size_t i), const void *list,
                               size_t n)
{
    const char *found = NULL;
    for (size_t i = 0; i < n; i++) {
        const char *name = get(list, i);
        if (strncasecmp(name, word, strlen(word)) != 0)
            continue;
        if (found && strcmp(found, name) != 0)
            return NULL;
        found = name;
    }
    return found;
}

const char *opt_nearest(const char *word, const char *(*get)(const void *list, size_t i), const void *list, size_t n)
{
    const char *best = only_longer(word, get, list, n);
    if (best)
        return best;
    size_t best_distance = 3;
    for (size_t i = 0; i < n && strlen(word) <= MAX_WORD; i++) {
        const char *name = get(list, i);
        size_t d = strlen(name) <= MAX_WORD ? distance(word, name) : best_distance;
        if (d < best_distance && d < strlen(name)) {
            best = name;
            best_distance = d;
        }
    }
    return best;
}

static const char *option_name(const void *list, size_t i) { return ((const opt *)list)[i].name; }

bool opt_has_choices(const opt *o) { return o->type == OPT_CHOICE || o->type == OPT_NAME || o->type == OPT_SET; }

const char *opt_choice(const opt *o, size_t i) { return o->choice ? o->choice(i) : o->choices[i]; }

/* ---- help ------------------------------------------------------------------------------------ */

/* Prints text [n] from the given column on, where the cursor is, broken at spaces. */
static void print_wrapped(const char *text, size_t n, int column)
{
    const size_t width = HELP_WIDTH - (size_t)column;
    while (n > width) {
        size_t cut = width;
        while (cut > 0 && text[cut] != ' ')
            cut--;
        if (cut == 0)
            cut = width;
        printf("%.*s\n%*s", (int)cut, text, column, "");
        const size_t taken = cut + (text[cut] == ' ');
        text += taken;
        n -= taken;
    }
    printf("%.*s\n", (int)n, text);
}

static void print_paragraphs(const char *text)
{
    for (size_t n; *text; text += n + (text[n] == '\n')) {
        n = strcspn(text, "\n");
        print_wrapped(text, n, 0);
    }
}

const opt opt_help = { .name = "help", .letter = 'h', .help = "show this text" };

const char *opt_help_text(const opt *o, char *text, size_t size)
{
    size_t n = (size_t)snprintf(text, size, "%s", o->help);
    if (opt_has_choices(o))
        for (size_t i = 0; opt_choice(o, i) && n < size; i++)
            n += (size_t)snprintf(text + n, size - n, "%s%s", i ? ", " : ": ", opt_choice(o, i));
    return text;
}

static void print_option(const opt *o)
{
    char text[OPT_HELP_MAX], letter[] = { '-', o->letter, ',', ' ', 0 };
    int at = printf("  %s--%s%s%s", o->letter ? letter : "    ", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
    if (at >= HELP_COLUMN - 1) {
        printf("\n");
        at = 0;
    }
    printf("%*s", HELP_COLUMN - at, "");
    opt_help_text(o, text, sizeof text);
    print_wrapped(text, strlen(text), HELP_COLUMN);
}

void opt_print_help(const command *cmd)
{
    printf("qasr %s - %s\n\nusage: qasr %s %s\n\noptions:\n", cmd->name, cmd->summary, cmd->name, cmd->usage);
    for (size_t i = 0; i < cmd->n_opts; i++)
        print_option(&cmd->opts[i]);
    print_option(&opt_help);
    const char *const texts[] = { cmd->notes, cmd->more ? cmd->more() : NULL, cmd->help_end ? cmd->help_end() : NULL };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i]) {
            printf("\n");
            print_paragraphs(texts[i]);
        }
}

/* ---- values ---------------------------------------------------------------------------------- */

/* All of text is a number in decimal. */
static bool read_number(const char *text, double *value)
{
    char *end;
    errno = 0;
    if (text[strspn(text, " \t+-.0123456789eE")]) /* strtod also takes hexadecimal, inf and nan */
        return false;
    const double number = strtod(text, &end);
    if (end == text || *end || errno)
        return false;
    *value = number;
    return true;
}

bool opt_read_time(const char *text, double *seconds)
{
    double sum = 0;
    const char *part = text;
    for (int n_colons = 0;; n_colons++) {
        const size_t n = strspn(part, "0123456789");
        const bool is_last = part[n] != ':';
        double value;
        if (n_colons == 0 && is_last)
            return read_number(text, seconds);
        if (n == 0 || (n_colons > 0 && (n > 2 || atoi(part) >= 60)) || (!is_last && n_colons == 2))
            return false;
        if (is_last) {
            if ((part[n] && (part[n] != '.' || part[n + 1 + strspn(part + n + 1, "0123456789")])) ||
                !read_number(part, &value))
                return false;
            *seconds = 60 * sum + value;
            return true;
        }
        sum = 60 * sum + strtod(part, NULL);
        part += n + 1;
    }
}

static bool set_time(const command *cmd, const opt *o, double *field, const char *text)
{
    double value;
    if (opt_read_time(text, &value) && value >= o->min && value <= o->max) {
        *field = value;
        return true;
    }
    opt_usage_error(cmd, "--%s '%s': expected seconds from %.10g to %.10g, also as 1:30 or 1:02:03.5", o->name, text,
                    o->min, o->max);
    return false;
}

bool opt_read_size(const char *text, uint64_t *bytes)
{
    static const char units[] = "kmgt";
    char number[32];
    const size_t n = strcspn(text, "kmgtKMGT");
    double value;
    if (n == 0 || n >= sizeof number || !text[n])
        return false;
    memcpy(number, text, n);
    number[n] = 0;
    const char *unit = strchr(units, tolower((unsigned char)text[n])), *rest = text + n + 1;
    const bool is_binary = strcasecmp(rest, "ib") == 0;
    if ((!is_binary && *rest && strcasecmp(rest, "b") != 0) || !read_number(number, &value) || !(value >= 0))
        return false;
    value *= pow(is_binary ? 1024 : 1000, (double)(unit - units + 1));
    if (value >= 0x1p63)
        return false;
    *bytes = (uint64_t)value;
    return true;
}

static bool set_size(const command *cmd, const opt *o, uint64_t *field, const char *text)
{
    uint64_t value;
    if (opt_read_size(text, &value) && (double)value >= o->min && (double)value <= o->max) {
        *field = value;
        return true;
    }
    opt_usage_error(cmd, "--%s '%s': expected a size from %.10g to %.10g GB with its unit, as in 4G, 1.5GB or 512MiB",
                    o->name, text, o->min / 1e9, o->max / 1e9);
    return false;
}

static bool set_number(const command *cmd, const opt *o, void *field, const char *text)
{
    double value;
    if (!read_number(text, &value) || (o->type == OPT_INT && value != floor(value)) ||
        !(value >= o->min && value <= o->max)) {
        opt_usage_error(cmd, "--%s '%s': expected a %snumber from %.10g to %.10g", o->name, text,
                        o->type == OPT_INT ? "whole " : "", o->min, o->max);
        return false;
    }
    if (o->type == OPT_INT)
        *(int *)field = (int)value;
    else
        *(double *)field = value;
    return true;
}

/* The choice that a word of n bytes names; negative: none. */
static int find_choice(const opt *o, const char *word, size_t n)
{
    for (int i = 0; opt_choice(o, (size_t)i); i++)
        if (strncasecmp(opt_choice(o, (size_t)i), word, n) == 0 && !opt_choice(o, (size_t)i)[n])
            return i;
    return -1;
}

static bool not_a_choice(const command *cmd, const opt *o, const char *text)
{
    char allowed[256] = "";
    for (size_t i = 0; opt_choice(o, i); i++) {
        size_t n = strlen(allowed);
        snprintf(allowed + n, sizeof allowed - n, "%s%s", i ? ", " : "", opt_choice(o, i));
    }
    opt_usage_error(cmd, "--%s '%s': expected one %sof %s", o->name, text,
                    o->type == OPT_SET ? "or more, separated by commas, " : "", allowed);
    return false;
}

static bool set_choice(const command *cmd, const opt *o, int *field, const char *text)
{
    int choice = find_choice(o, text, strlen(text));
    if (choice < 0)
        return not_a_choice(cmd, o, text);
    *field = choice;
    return true;
}

static bool set_name(const command *cmd, const opt *o, const char **field, const char *text)
{
    int choice = find_choice(o, text, strlen(text));
    if (choice < 0)
        return not_a_choice(cmd, o, text);
    *field = choice > 0 ? opt_choice(o, (size_t)choice) : NULL;
    return true;
}

static bool set_set(const command *cmd, const opt *o, unsigned *field, const char *text)
{
    unsigned set = 0;
    for (const char *word = text; word;) {
        size_t n = strcspn(word, ",");
        int choice = find_choice(o, word, n);
        if (choice < 0)
            return not_a_choice(cmd, o, text);
        set |= 1U << choice;
        word = word[n] ? word + n + 1 : NULL;
    }
    *field = set;
    return true;
}

static bool add_file(opt_files *files, const char *name)
{
    const char **names = realloc(files->names, (files->n + 1) * sizeof *names);
    if (!names)
        return message_fail("out of memory");
    files->names = names;
    files->names[files->n++] = name;
    return true;
}

void opt_files_free(opt_files *files)
{
    free(files->names);
    *files = (opt_files){ 0 };
}

static bool set_once(const command *cmd, const opt *o, const char **field, const char *text)
{
    if (*field) {
        opt_usage_error(cmd, "--%s may be given only once, got '%s' and '%s'", o->name, *field, text);
        return false;
    }
    *field = text;
    return true;
}

static bool set_value(const command *cmd, const opt *o, void *into, const char *text)
{
    void *field = (char *)into + o->field;
    switch (o->type) {
    case OPT_FLAG: *(int *)field = 1; return true;
    case OPT_STRING: *(const char **)field = text; return true;
    case OPT_ONCE: return set_once(cmd, o, field, text);
    case OPT_TIME: return set_time(cmd, o, field, text);
    case OPT_SIZE: return set_size(cmd, o, field, text);
    case OPT_CHOICE: return set_choice(cmd, o, field, text);
    case OPT_NAME: return set_name(cmd, o, field, text);
    case OPT_SET: return set_set(cmd, o, field, text);
    case OPT_LIST:
    case OPT_FILE: return add_file(field, text);
    default: return set_number(cmd, o, field, text);
    }
}

/* ---- parsing --------------------------------------------------------------------------------- */

typedef struct getopt_tables {
    struct option longs[MAX_OPTS + 2];
    char shorts[2 * MAX_OPTS + 4];
} getopt_tables;

static void make_tables(getopt_tables *t, const command *cmd)
{
    size_t n = 0;
    t->shorts[n++] = ':'; /* a missing value gives ':' */
    for (size_t i = 0; i < cmd->n_opts; i++) {
        const opt *o = &cmd->opts[i];
        t->longs[i] = (struct option){ o->name, o->arg ? required_argument : no_argument, NULL, FIRST_LONG + (int)i };
        if (!o->letter)
            continue;
        t->shorts[n++] = o->letter;
        if (o->arg)
            t->shorts[n++] = ':';
    }
    t->shorts[n++] = 'h';
    t->shorts[n] = 0;
    t->longs[cmd->n_opts] = (struct option){ "help", no_argument, NULL, 'h' };
    t->longs[cmd->n_opts + 1] = (struct option){ 0 };
}

static const opt *find_opt(const command *cmd, int value)
{
    if (value >= FIRST_LONG)
        return &cmd->opts[value - FIRST_LONG];
    for (size_t i = 0; i < cmd->n_opts; i++)
        if (value && cmd->opts[i].letter == value)
            return &cmd->opts[i];
    return NULL;
}

/* Lists the options that an abbreviation (with its dashes) may stand for, separated by commas. Returns their number. */
static size_t list_candidates(const command *cmd, const char *word, char *text, size_t size)
{
    size_t n_found = 0, used = 0;
    *text = 0;
    for (size_t i = 0; i < cmd->n_opts && used < size; i++)
        if (strncmp(cmd->opts[i].name, word + 2, strlen(word + 2)) == 0)
            used += (size_t)snprintf(text + used, size - used, "%s--%s", n_found++ ? ", " : "", cmd->opts[i].name);
    return n_found;
}

/* word: the argument that getopt stopped at. */
static void report_unknown(const command *cmd, const char *word)
{
    if (optopt >= FIRST_LONG) { /* "--flag=value" */
        opt_usage_error(cmd, "--%s takes no value", find_opt(cmd, optopt)->name);
    } else if (optopt) {
        opt_usage_error(cmd, "unknown option '-%c'", optopt);
    } else {
        char name[MAX_WORD + 1], candidates[512];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
        const char *near = opt_nearest(name + 2, option_name, cmd->opts, cmd->n_opts);
        if (list_candidates(cmd, name, candidates, sizeof candidates) > 0) /* getopt accepts an unambiguous prefix */
            opt_usage_error(cmd, "option '%s' is ambiguous: %s", name, candidates);
        else if (near)
            opt_usage_error(cmd, "unknown option '%s' (did you mean '--%s'?)", name, near);
        else
            opt_usage_error(cmd, "unknown option '%s'", name);
    }
}

static bool take_words(const command *cmd, void *into, int argc, char **argv)
{
    const opt *files = NULL;
    for (size_t i = 0; i < cmd->n_opts; i++)
        if (cmd->opts[i].type == OPT_FILE)
            files = &cmd->opts[i];
    for (; optind < argc; optind++) {
        if (!files) {
            opt_usage_error(cmd, "unexpected argument '%s'", argv[optind]);
            return false;
        }
        if (!set_value(cmd, files, into, argv[optind]))
            return false;
    }
    return true;
}

opt_result opt_parse(const command *cmd, void *into, int argc, char **argv)
{
    getopt_tables t;
    make_tables(&t, cmd);
    optind = 0; /* restart: 1 would continue inside a word where an earlier parse stopped */
    opterr = 0;
    for (int value; (value = getopt_long(argc, argv, t.shorts, t.longs, NULL)) != -1;) {
        const opt *o = find_opt(cmd, value == ':' ? optopt : value);
        if (value == 'h') {
            opt_print_help(cmd);
            return OPT_HELP_SHOWN;
        }
        if (value == '?') {
            report_unknown(cmd, argv[optind - 1]);
            return OPT_WRONG;
        }
        if (value == ':') {
            opt_usage_error(cmd, "--%s needs a value: %s", o->name, o->arg);
            return OPT_WRONG;
        }
        if (!set_value(cmd, o, into, optarg))
            return OPT_WRONG;
    }
    return take_words(cmd, into, argc, argv) ? OPT_PARSED : OPT_WRONG;
}
