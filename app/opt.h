/* Command-line options as tables: parsing, --help, usage errors and allowed values all come from them. */
#ifndef QASR_APP_OPT_H
#define QASR_APP_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum opt_type {
    OPT_FLAG,   /* int: 1 when given */
    OPT_STRING, /* const char *; when given more than once, the last counts, as with all single-valued options */
    OPT_ONCE,   /* the same, but giving it twice is an error */
    OPT_INT,    /* int, from min to max */
    OPT_NUMBER, /* double, from min to max */
    OPT_TIME,   /* double, seconds from min to max, as opt_read_time reads them */
    OPT_SIZE,   /* uint64_t, bytes from min to max, as opt_read_size reads them */
    OPT_CHOICE, /* int, or an enumeration of its size: index of the choice */
    OPT_NAME,   /* const char *: the choice as listed; NULL for the first, which is the default */
    OPT_SET,    /* unsigned: bits of the choices named, separated by commas */
    OPT_LIST,   /* opt_files: may be repeated */
    OPT_FILE    /* the same, and also takes the words that are not options */
} opt_type;

typedef struct opt {
    const char *name; /* without the dashes */
    char letter;      /* 0: none */
    const char *arg;  /* name of the value in --help; NULL for flags */
    const char *help;
    opt_type type;
    size_t field;                    /* offset in the command's struct */
    const char *const *choices;      /* OPT_CHOICE, OPT_NAME, OPT_SET: ends with NULL */
    double min, max;                 /* OPT_INT, OPT_NUMBER, OPT_TIME, OPT_SIZE */
    const char *(*choice)(size_t i); /* instead of choices: the i-th, NULL after the last */
} opt;

typedef struct opt_files {
    const char **names; /* pointers into argv */
    size_t n;
} opt_files;

typedef struct opt_example {
    const char *purpose; /* "Write subtitles"; NULL ends a list */
    const char *line;    /* for a shell; tests run it */
} opt_example;

/* Texts are paragraphs of any length, each with a newline at its end; they are wrapped when printed. */
typedef struct command {
    const char *name;
    const char *summary; /* half a line */
    const char *usage;   /* synopsis after the name */
    const char *notes;   /* after the options, and the description in the manual */
    const opt *opts;
    size_t n_opts;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns the exit status */
    const opt_example *examples;       /* for the manual */
    const char *(*more)(void);         /* more notes, generated at run time; NULL: none */
    const char *(*help_end)(void); /* what --help shows last, and the manual in sections of its own; NULL: nothing */
} command;

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };
enum { OPT_HELP_MAX = 1024 };

extern const opt opt_help; /* --help, which every command has in addition to its table */

typedef enum opt_result { OPT_PARSED, OPT_HELP_SHOWN, OPT_WRONG } opt_result;

/* Fills the command's struct, which the caller has set to its defaults; free lists with opt_files_free. Reports
 * wrong options on stderr, and prints --help to stdout. Words that are not options are an error unless the table has an
 * OPT_FILE. */
opt_result opt_parse(const command *cmd, void *into, int argc, char **argv);
void opt_files_free(opt_files *files);
void opt_print_help(const command *cmd);
bool opt_has_choices(const opt *o);
/* The i-th choice of such an option; NULL after the last. */
const char *opt_choice(const opt *o, size_t i);
/* The help text of an option, with its choices; written into text. */
const char *opt_help_text(const opt *o, char *text, size_t size);

/* Seconds: "90", "1.5", or [HOURS:]MINUTES:SECONDS, in which what follows a colon is below 60 and the seconds may have
 * a fraction: "1:30", "01:02:03.5". False, and *seconds as it was: text is nothing like that. */
bool opt_read_time(const char *text, double *seconds);

/* A number with a unit: "4G" or "1.5GB" (10^9 bytes), "512MiB" (2^20); K, M, G or T in either case. False, and *bytes
 * as it was: text is nothing like that. */
bool opt_read_size(const char *text, uint64_t *bytes);

/* Prints "qasr CMD: MESSAGE; see 'qasr help CMD'" and returns EXIT_USAGE. */
int opt_usage_error(const command *cmd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Suggests the list entry that an unknown word stands for: the only one that begins with it, else the nearest within
 * two edits, or NULL. get returns the i-th entry. */
const char *opt_nearest(const char *word, const char *(*get)(const void *list, size_t i), const void *list, size_t n);

#endif
