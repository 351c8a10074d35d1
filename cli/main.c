/* qasr: finds the command, runs it, and turns lost output into an error. */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/out.h"
#include "app/progress.h"
#include "app/signals.h"
#include "cli/cmd.h"
#include "cli/pull/pull.h"
#include "qasr/qasr_tools.h"

static bool is_version(const char *word) { return strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0; }
static bool is_verbose(const char *word) { return strcmp(word, "--verbose") == 0 || strcmp(word, "-v") == 0; }

/* --version, with --verbose before or after it for build details. */
static int print_version(int argc, char **argv)
{
    bool version = false, verbose = false;
    for (int i = 1; i < argc; i++) {
        if (!is_version(argv[i]) && !is_verbose(argv[i]))
            return opt_usage_error(NULL, "unexpected argument '%s' after %s, expected %s", argv[i], argv[i - 1],
                                   version ? "--verbose" : "--version");
        version = version || is_version(argv[i]);
        verbose = verbose || is_verbose(argv[i]);
    }
    if (!version)
        return opt_usage_error(NULL, "%s needs --version", argv[1]);
    printf("qasr %s\n", qasr_version());
    const char *name, *value;
    for (size_t i = 0; verbose && (name = qasr_build_fact(i, &value)); i++)
        printf("%-11s %s\n", name, value);
    if (verbose)
        printf("%-11s %s\n", "libcurl", pull_curl_version());
    return EXIT_DONE;
}

static bool has_option(const command *cmd, const char *name)
{
    for (size_t i = 0; i < cmd->n_opts; i++)
        if (strcmp(cmd->opts[i].name, name) == 0)
            return true;
    return false;
}

/* What to do about a model file that was truncated while in use. */
static const char *lost_mapping_advice = "; restore the file and start again\n";

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        cmd_print_overview(stderr);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (is_version(word) || is_verbose(word))
        return print_version(argc, argv);
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        cmd_print_overview(stdout);
        return EXIT_DONE;
    }
    const command *cmd = cmd_find(word);
    if (cmd && has_option(cmd, "no-mmap"))
        lost_mapping_advice = "; --no-mmap reads the weights in advance\n";
    return cmd ? cmd->run(argc - 1, argv + 1) : cmd_unknown(word);
}

static void print_log(void *user, qasr_log_level level, const char *message)
{
    (void)user;
    if (level != QASR_LOG_WARNING)
        return;
    progress_clear();
    fprintf(stderr, "qasr: warning: %s\n", message);
}

static void write_error(const char *text)
{
    ssize_t n = write(STDERR_FILENO, text, strlen(text));
    (void)n;
}

/* Weights are read from mapped files, where a failed read raises SIGBUS, from which the program cannot recover. */
static void exit_on_lost_mapping(int number)
{
    static atomic_flag reported = ATOMIC_FLAG_INIT; /* several threads may get the signal */
    (void)number;
    while (atomic_flag_test_and_set(&reported))
        pause();
    qasr_remove_unfinished_files();
    write_error("qasr: a model file can no longer be read: it was truncated while in use, or its disk failed");
    write_error(lost_mapping_advice);
    _exit(EXIT_FAILED);
}

/* A closed standard descriptor would be reused for the next opened file, and messages would go into that file. Puts
 * a read-only descriptor in its place, so that writing to it counts as lost output. */
static void occupy_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    close(fd);
}

int main(int argc, char **argv)
{
    occupy_standard_descriptors();
    signal(SIGPIPE, SIG_IGN); /* turns a closed pipe and a file size limit into ordinary failed writes */
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGBUS, exit_on_lost_mapping);
    signals_keep_children();
    qasr_log_set(print_log, NULL);
    int status = dispatch(argc, argv);
    if (!out_flush_stdout() && status == EXIT_DONE)
        status = EXIT_FAILED;
    return status;
}
