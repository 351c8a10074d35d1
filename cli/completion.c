/* See completion.h. */
#include "cli/completion.h"

#include <stdbool.h>
#include <string.h>

#include "app/models.h"
#include "cli/cmd.h"
#include "qasr/qasr.h"

/* ---- values ---------------------------------------------------------------------------------- */

typedef enum value_kind { VALUE_NONE, VALUE_ANY, VALUE_WORDS, VALUE_FILE, VALUE_DIRECTORY } value_kind;

static bool is_one_of(const char *word, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(word, list[i]) == 0)
            return true;
    return false;
}

/* The kind of an option's value, by the name of the value in --help. */
static value_kind value_of(const opt *o)
{
    static const char *const files[] = { "FILE", "PATH", "MODEL", "AUDIO" }, *const directories[] = { "DIR" };
    if (!o->arg)
        return VALUE_NONE;
    if (opt_has_choices(o) || strcmp(o->arg, "LANG") == 0 || strcmp(o->arg, "COMMAND") == 0 ||
        strcmp(o->arg, "REPO") == 0)
        return VALUE_WORDS;
    if (is_one_of(o->arg, files, sizeof files / sizeof files[0]) || o->type == OPT_FILE)
        return VALUE_FILE;
    return is_one_of(o->arg, directories, sizeof directories / sizeof directories[0]) ? VALUE_DIRECTORY : VALUE_ANY;
}

static const char *word_of(const opt *o, size_t i)
{
    if (opt_has_choices(o))
        return opt_choice(o, i);
    if (strcmp(o->arg, "COMMAND") == 0)
        return i < cmd_count ? cmd_all[i]->name : NULL;
    if (strcmp(o->arg, "REPO") == 0)
        return models_known(i) ? models_known(i)->name : NULL;
    return i < qasr_language_count() ? qasr_language_code(i) : NULL; /* names have spaces */
}

/* The possible values of an option, separated by spaces. */
static void print_words(FILE *f, const opt *o)
{
    for (size_t i = 0; word_of(o, i); i++)
        fprintf(f, "%s%s", i ? " " : "", word_of(o, i));
}

static const opt *option_of(const command *cmd, size_t i) { return i < cmd->n_opts ? &cmd->opts[i] : &opt_help; }
static size_t n_options(const command *cmd) { return cmd->n_opts + 1; }

/* The option that takes words without an option, or NULL. */
static const opt *words_option(const command *cmd)
{
    for (size_t i = 0; i < cmd->n_opts; i++)
        if (cmd->opts[i].type == OPT_FILE)
            return &cmd->opts[i];
    return NULL;
}

/* Prints text in a shell's single quotes. quote: replacement for a single quote; also: other characters to escape with
 * a backslash. */
static void print_quoted(FILE *f, const char *text, const char *quote, const char *also)
{
    fputc('\'', f);
    for (; *text; text++)
        if (*text == '\'')
            fputs(quote, f);
        else
            fprintf(f, "%s%c", strchr(also, *text) ? "\\" : "", *text);
    fputc('\'', f);
}

/* ---- bash ------------------------------------------------------------------------------------ */

/* Offers words; otherwise the shell falls back to file names (complete -o default). The script works with bash 3.2,
 * which macOS has. */
static void print_bash_words(FILE *f, const opt *o)
{
    fputs("words='", f);
    if (value_of(o) == VALUE_WORDS)
        print_words(f, o);
    fputs("'", f);
}

static void print_bash_option(FILE *f, const command *cmd, const opt *o)
{
    if (value_of(o) == VALUE_NONE)
        return;
    fprintf(f, "    %s:--%s:*", cmd->name, o->name);
    if (o->letter)
        fprintf(f, "|%s:-%c:*", cmd->name, o->letter);
    fputs(") ", f);
    print_bash_words(f, o);
    fputs(" ;;\n", f);
}

static void print_bash_command(FILE *f, const command *cmd)
{
    fprintf(f, "    %s:*:-*) words='", cmd->name);
    for (size_t i = 0; i < n_options(cmd); i++)
        fprintf(f, "%s--%s", i ? " " : "", option_of(cmd, i)->name);
    fputs("' ;;\n", f);
    if (!words_option(cmd))
        return;
    fprintf(f, "    %s:*) ", cmd->name);
    print_bash_words(f, words_option(cmd));
    fputs(" ;;\n", f);
}

static void print_bash(FILE *f)
{
    fputs("# bash completion for qasr\n_qasr() {\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd=${COMP_WORDS[1]} words=\n"
          "    [ \"$COMP_CWORD\" = 1 ] && cmd=\n    case $cmd:$prev:$cur in\n    :*) words='",
          f);
    for (size_t i = 0; i < cmd_count; i++)
        fprintf(f, "%s ", cmd_all[i]->name);
    fputs("--help --version' ;;\n", f);
    for (size_t i = 0; i < cmd_count; i++)
        for (size_t j = 0; j < n_options(cmd_all[i]); j++)
            print_bash_option(f, cmd_all[i], option_of(cmd_all[i], j));
    for (size_t i = 0; i < cmd_count; i++)
        print_bash_command(f, cmd_all[i]);
    fputs("    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -o default -F _qasr qasr\n", f);
}

/* ---- zsh ------------------------------------------------------------------------------------- */

/* ':name:completion' */
static void print_zsh_value(FILE *f, const opt *o, const char *before)
{
    value_kind kind = value_of(o);
    fprintf(f, "'%s:", before);
    for (const char *c = o->arg; *c; c++)
        fprintf(f, "%s%c", *c == ':' || *c == '\'' ? "\\" : "", *c);
    fputc(':', f);
    if (kind == VALUE_WORDS) {
        fputc('(', f);
        print_words(f, o);
        fputc(')', f);
    } else {
        fputs(kind == VALUE_FILE ? "_files" : kind == VALUE_DIRECTORY ? "_files -/" : " ", f);
    }
    fputc('\'', f);
}

static void print_zsh_option(FILE *f, const opt *o)
{
    value_kind kind = value_of(o);
    const char *repeat = o->type == OPT_LIST || o->type == OPT_FILE ? "*" : "";
    fputs(" \\\n            ", f);
    if (o->letter && !*repeat)
        fprintf(f, "'(-%c --%s)'{-%c,--%s}", o->letter, o->name, o->letter, o->name);
    else if (o->letter)
        fprintf(f, "'*'{-%c,--%s}", o->letter, o->name);
    else
        fprintf(f, "'%s--%s'", repeat, o->name);
    char text[OPT_HELP_MAX + 2] = "[";
    opt_help_text(o, text + 1, OPT_HELP_MAX);
    for (char *c = text + 1; *c; c++) /* a bracket would end the description */
        *c = *c == '[' ? '(' : *c == ']' ? ')' : *c;
    strcat(text, "]");
    print_quoted(f, text, "'\\''", "");
    if (kind != VALUE_NONE)
        print_zsh_value(f, o, "");
}

static void print_zsh(FILE *f)
{
    fputs("#compdef qasr\n_qasr() {\n    local -a commands=(\n", f);
    for (size_t i = 0; i < cmd_count; i++) {
        fprintf(f, "        '%s:'", cmd_all[i]->name);
        print_quoted(f, cmd_all[i]->summary, "'\\''", ":");
        fputc('\n', f);
    }
    fputs("    )\n    if (( CURRENT == 2 )); then\n        _describe command commands\n        return\n    fi\n"
          "    local cmd=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $cmd in\n",
          f);
    for (size_t i = 0; i < cmd_count; i++) {
        fprintf(f, "        %s) _arguments -s", cmd_all[i]->name);
        for (size_t j = 0; j < n_options(cmd_all[i]); j++)
            print_zsh_option(f, option_of(cmd_all[i], j));
        if (words_option(cmd_all[i])) {
            fputs(" \\\n            ", f);
            print_zsh_value(f, words_option(cmd_all[i]), "*");
        }
        fputs(" ;;\n", f);
    }
    fputs("    esac\n}\n_qasr \"$@\"\n", f);
}

/* ---- fish ------------------------------------------------------------------------------------ */

static void print_fish_option(FILE *f, const command *cmd, const opt *o)
{
    value_kind kind = value_of(o);
    char text[OPT_HELP_MAX];
    fprintf(f, "complete -c qasr -n '__fish_seen_subcommand_from %s' -l %s", cmd->name, o->name);
    if (o->letter)
        fprintf(f, " -s %c", o->letter);
    if (kind == VALUE_FILE)
        fputs(" -rF", f);
    else if (kind == VALUE_DIRECTORY)
        fputs(" -xa '(__fish_complete_directories)'", f);
    else if (kind == VALUE_WORDS) {
        fputs(" -xa '", f);
        print_words(f, o);
        fputc('\'', f);
    } else if (kind == VALUE_ANY)
        fputs(" -x", f);
    fputs(" -d ", f);
    print_quoted(f, opt_help_text(o, text, sizeof text), "\\'", "\\");
    fputc('\n', f);
}

static void print_fish(FILE *f)
{
    fputs("# fish completion for qasr\n", f);
    for (size_t i = 0; i < cmd_count; i++) {
        fprintf(f, "complete -c qasr -n __fish_use_subcommand -fa %s -d ", cmd_all[i]->name);
        print_quoted(f, cmd_all[i]->summary, "\\'", "\\");
        fputc('\n', f);
        const opt *words = words_option(cmd_all[i]);
        if (!words || value_of(words) != VALUE_FILE)
            fprintf(f, "complete -c qasr -n '__fish_seen_subcommand_from %s' -f\n", cmd_all[i]->name);
        if (words && value_of(words) == VALUE_WORDS) {
            fprintf(f, "complete -c qasr -n '__fish_seen_subcommand_from %s' -a '", cmd_all[i]->name);
            print_words(f, words);
            fputs("'\n", f);
        }
        for (size_t j = 0; j < n_options(cmd_all[i]); j++)
            print_fish_option(f, cmd_all[i], option_of(cmd_all[i], j));
    }
}

const completion_shell completion_shells[] = { { "bash", print_bash }, { "zsh", print_zsh }, { "fish", print_fish } };
const char *const completion_shell_names[] = { "bash", "zsh", "fish", NULL };
