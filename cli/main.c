/* qasr: finds the command, runs it, and turns lost output into an error. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "out.h"
#include "qasr/qasr.h"

static const command *const commands[] = { &cmd_transcribe, &cmd_quantize, &cmd_calibrate, &cmd_info, &cmd_devices, &cmd_bench,
                                         &cmd_eval, &cmd_score };
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

void cmd_print_error(const char *message) { fprintf(stderr, "qasr: %s\n", message); }

static void print_clean(const char *prefix, const char *fmt, va_list ap)
{
    char text[1024];
    vsnprintf(text, sizeof text, fmt, ap);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            *c = '?';
    fprintf(stderr, "qasr: %s%s\n", prefix, text);
}

bool cmd_fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    print_clean("", fmt, ap);
    va_end(ap);
    return false;
}

void cmd_warn(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    print_clean("warning: ", fmt, ap);
    va_end(ap);
}

static void print_help(FILE *f)
{
    fputs("qasr - speech to text with Qwen3-ASR models\n\nusage: qasr COMMAND [OPTIONS]\n\ncommands:\n", f);
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(f, "  %-11s %s\n", commands[i]->name, commands[i]->summary);
    fputs("  help        show this text, or that of a command: qasr help COMMAND\n"
          "\noptions:\n"
          "  -h, --help     show this text\n"
          "  -V, --version  show the version\n"
          "\nexit status: 0 done, 1 failed, 2 wrong usage\n", f);
}

static const command *find_command(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static const char *command_name(const void *list, size_t i) { return ((const command *const *)list)[i]->name; }

static int unknown_command(const char *name)
{
    if (name[0] == '-')
        return opt_usage_error(NULL, "unknown option '%s', expected a command, --help or --version", name);
    const char *near = opt_nearest(name, command_name, commands, N_COMMANDS);
    if (near)
        return opt_usage_error(NULL, "unknown command '%s' (did you mean '%s'?)", name, near);
    return opt_usage_error(NULL, "unknown command '%s', expected one of transcribe, quantize, calibrate, info, bench, eval, score, help", name);
}

static int run_help(const char *name)
{
    const command *cmd = name ? find_command(name) : NULL;
    if (name && !cmd)
        return unknown_command(name);
    if (cmd)
        opt_print_help(cmd);
    else
        print_help(stdout);
    return EXIT_DONE;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        printf("qasr %s\n", qasr_version());
        return EXIT_DONE;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
        return run_help(strcmp(word, "help") == 0 && argc > 2 ? argv[2] : NULL);
    const command *cmd = find_command(word);
    return cmd ? cmd->run(argc - 1, argv + 1) : unknown_command(word);
}

static void print_log(void *user, qasr_log_level level, const char *message)
{
    (void)user;
    if (level == QASR_LOG_WARNING)
        fprintf(stderr, "qasr: warning: %s\n", message);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* a closed pipe and a file-size limit are failed writes like any other */
    signal(SIGXFSZ, SIG_IGN);
    qasr_log_set(print_log, NULL);
    int status = dispatch(argc, argv);
    if (!out_flush_stdout() && status == EXIT_DONE)
        status = EXIT_FAILED;
    return status;
}
