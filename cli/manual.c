/* See manual.h. Pages are generated from the same tables as --help. */
#include "cli/manual.h"

#include <ctype.h>
#include <string.h>

#include "cli/cmd.h"
#include "qasr/qasr.h"

/* Prints n bytes of text, escaped for roff. */
static void print_n(FILE *f, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool first = i == 0 || text[i - 1] == '\n';
        if (first && (text[i] == '.' || text[i] == '\''))
            fputs("\\&", f);
        if (text[i] == '\\')
            fputs("\\e", f);
        else if (text[i] == '-')
            fputs("\\-", f);
        else
            fputc(text[i], f);
    }
}

static void print_text(FILE *f, const char *text) { print_n(f, text, strlen(text)); }

static void print_upper(FILE *f, const char *text)
{
    for (; *text; text++)
        fputc(toupper((unsigned char)*text), f);
}

static void begin_page(FILE *f, const char *name, const char *summary)
{
    fputs(".TH ", f);
    print_upper(f, name);
    fprintf(f, " 1 \"\" \"qasr %s\" \"User Commands\"\n.SH NAME\n", qasr_version());
    print_text(f, name);
    fputs(" \\- ", f);
    print_text(f, summary);
    fputs("\n.SH SYNOPSIS\n", f);
}

/* One line per alternative; " | " separates them. */
static void print_usage(FILE *f, const command *cmd)
{
    const char *usage = cmd->usage;
    for (const char *end = usage; end; usage = end + 3) {
        end = strstr(usage, " | ");
        fputs(".br\n\\fBqasr ", f);
        print_text(f, cmd->name);
        fputs("\\fR ", f);
        print_n(f, usage, end ? (size_t)(end - usage) : strlen(usage));
        fputc('\n', f);
    }
}

static void print_option(FILE *f, const opt *o)
{
    fputs(".TP\n\\fB", f);
    if (o->letter)
        fprintf(f, "\\-%c\\fR, \\fB", o->letter);
    fputs("\\-\\-", f);
    print_text(f, o->name);
    fputs("\\fR", f);
    if (o->arg) {
        fputs(" \\fI", f);
        print_text(f, o->arg);
        fputs("\\fR", f);
    }
    fputc('\n', f);
    char text[OPT_HELP_MAX];
    print_text(f, opt_help_text(o, text, sizeof text));
    fputc('\n', f);
}

static void print_paragraphs(FILE *f, const char *text)
{
    for (size_t n; *text; text += n + (text[n] == '\n')) {
        n = strcspn(text, "\n");
        fputs(".PP\n", f);
        print_n(f, text, n);
        fputc('\n', f);
    }
}

static void print_examples(FILE *f, const opt_example *examples)
{
    fputs(".SH EXAMPLES\n", f);
    for (; examples->purpose; examples++) {
        fputs(".TP\n", f);
        print_text(f, examples->purpose);
        fputs(":\n.nf\n\\fB", f);
        print_text(f, examples->line);
        fputs("\\fR\n.fi\n", f);
    }
}

static void end_page(FILE *f)
{
    fputs(".SH EXIT STATUS\n", f);
    for (size_t i = 0; i < cmd_n_exit_statuses; i++)
        fprintf(f, ".TP\n%d\n%s\n", cmd_exit_statuses[i].status, cmd_exit_statuses[i].meaning);
    fputs(".SH ENVIRONMENT\n", f);
    char text[OPT_HELP_MAX];
    for (size_t i = 0; i < cmd_n_variables; i++) {
        fputs(".TP\n\\fB", f);
        print_text(f, cmd_variables[i].name);
        fputs("\\fR\n", f);
        print_text(f, cmd_variable_text(&cmd_variables[i], text, sizeof text));
        fputc('\n', f);
    }
}

void manual_print_command(FILE *f, const command *cmd)
{
    char name[64];
    snprintf(name, sizeof name, "qasr-%s", cmd->name);
    begin_page(f, name, cmd->summary);
    print_usage(f, cmd);
    fputs(".SH DESCRIPTION\n", f);
    print_paragraphs(f, cmd->notes);
    fputs(".SH OPTIONS\n", f);
    for (size_t i = 0; i < cmd->n_opts; i++)
        print_option(f, &cmd->opts[i]);
    print_option(f, &opt_help);
    if (cmd->more) {
        fputs(".SH NOTES\n", f);
        print_paragraphs(f, cmd->more());
    }
    end_page(f);
    print_examples(f, cmd->examples);
    fputs(".SH SEE ALSO\n.BR qasr (1)\n", f);
}

void manual_print_overview(FILE *f)
{
    begin_page(f, "qasr", "speech to text with Qwen3-ASR models");
    fputs("\\fBqasr\\fR \\fICOMMAND\\fR [OPTIONS]\n.SH DESCRIPTION\n"
          "Transcribes speech locally with Qwen3\\-ASR models, and quantizes their weights to save memory and "
          "time.\n.SH COMMANDS\n",
          f);
    for (size_t i = 0; i < cmd_count; i++) {
        fprintf(f, ".TP\n.BR qasr\\-%s (1)\n", cmd_all[i]->name);
        print_text(f, cmd_all[i]->summary);
        fputc('\n', f);
    }
    end_page(f);
    print_examples(f, cmd_transcribe.examples);
    fputs(".SH SEE ALSO\n", f);
    for (size_t i = 0; i < cmd_count; i++)
        fprintf(f, ".BR qasr\\-%s (1)%s\n", cmd_all[i]->name, i + 1 < cmd_count ? "," : "");
}
