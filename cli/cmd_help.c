/* qasr help: texts, manual pages and shell completions, all from the option tables. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/completion.h"
#include "cli/manual.h"

typedef struct args {
    opt_files words;
    int man, shell; /* shell: 1 + index */
} args;

static const opt opts[] = {
    { "command", 0, "COMMAND", "the command to describe, also without --command", OPT_FILE, offsetof(args, words) },
    { "man", 0, NULL, "print a manual page (qasr help --man transcribe | man -l -)", OPT_FLAG, offsetof(args, man) },
    { "completion", 0, "SHELL", "print a script that completes commands and options", OPT_CHOICE, offsetof(args, shell),
      completion_shell_names },
};

static int show_help(const args *a, const command *cmd)
{
    if (a->man && cmd)
        manual_print_command(stdout, cmd);
    else if (a->man)
        manual_print_overview(stdout);
    else if (cmd)
        opt_print_help(cmd);
    else
        cmd_print_overview(stdout);
    return EXIT_DONE;
}

static int run_parsed(const args *a)
{
    const command *cmd = NULL;
    if (a->words.n > 1)
        return opt_usage_error(&cmd_help, "expected one command, got %zu", a->words.n);
    if (a->shell >= 0 && (a->words.n > 0 || a->man))
        return opt_usage_error(&cmd_help, "--completion covers all commands and takes no other argument");
    if (a->words.n == 1 && !(cmd = cmd_find(a->words.names[0])))
        return cmd_unknown(a->words.names[0]);
    if (a->shell < 0)
        return show_help(a, cmd);
    completion_shells[a->shell].print(stdout);
    return EXIT_DONE;
}

static int run(int argc, char **argv)
{
    args a = { .shell = -1 };
    opt_result parsed = opt_parse(&cmd_help, &a, argc, argv);
    int status = parsed == OPT_PARSED ? run_parsed(&a) : parsed == OPT_WRONG ? EXIT_USAGE : EXIT_DONE;
    opt_files_free(&a.words);
    return status;
}

const command cmd_help = { "help",
                           "show help texts, manual pages or shell completions",
                           "[COMMAND] [--man] | --completion SHELL",
                           "Shows what a command does and all its options, as text or as a manual page, or a script "
                           "that completes commands and options in a shell.\n"
                           "Completion for this shell: eval \"$(qasr help --completion bash)\", or zsh; fish: qasr "
                           "help --completion fish | source\n",
                           opts,
                           sizeof opts / sizeof opts[0],
                           run,
                           (const opt_example[]){
                               { "Describe a command", "qasr help transcribe" },
                               { "Complete commands and options in bash", "eval \"$(qasr help --completion bash)\"" },
                               { NULL, NULL } } };
