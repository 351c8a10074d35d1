/* A command line: the first byte chooses the command; zero-terminated words follow. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "fuzz.h"

enum { MAX_WORDS = 64, MAX_ARGS_BYTES = 4096 };

/* Drops --help texts and messages. */
static void be_quiet(void)
{
    static int done;
    int null = done ? -1 : open("/dev/null", O_WRONLY);
    if (null >= 0) {
        dup2(null, STDOUT_FILENO);
        close(null);
    }
    done = 1;
}

/* True for the name of a choice, except the first, which leaves NULL. */
static bool is_choice(const opt *o, const char *name)
{
    for (size_t i = 1; opt_choice(o, 0) && opt_choice(o, i); i++)
        if (name == opt_choice(o, i))
            return true;
    return false;
}

/* Checks that the fields hold only values that the table allows. */
static void check_values(const command *cmd, const char *args, opt_result result)
{
    for (size_t i = 0; i < cmd->n_opts; i++) {
        const opt *o = &cmd->opts[i];
        const void *field = args + o->field;
        int number = o->type == OPT_INT || o->type == OPT_CHOICE || o->type == OPT_FLAG ? *(const int *)field : 0;
        int n_choices = 0;
        while (o->type == OPT_CHOICE && opt_choice(o, (size_t)n_choices))
            n_choices++;
        if (o->type == OPT_INT)
            FUZZ_CHECK(number == 0 || (number >= o->min && number <= o->max));
        if (o->type == OPT_CHOICE)
            FUZZ_CHECK(number >= 0 && number < n_choices);
        if (o->type == OPT_NAME)
            FUZZ_CHECK(!*(const char *const *)field || is_choice(o, *(const char *const *)field));
        if (o->type == OPT_FLAG)
            FUZZ_CHECK(number == 0 || number == 1);
        if (o->type == OPT_NUMBER || o->type == OPT_TIME)
            FUZZ_CHECK(*(const double *)field == 0 ||
                       (*(const double *)field >= o->min && *(const double *)field <= o->max));
    }
    FUZZ_CHECK(result == OPT_PARSED || result == OPT_HELP_SHOWN || result == OPT_WRONG);
}

static void free_lists(const command *cmd, char *args)
{
    for (size_t i = 0; i < cmd->n_opts; i++)
        if (cmd->opts[i].type == OPT_LIST || cmd->opts[i].type == OPT_FILE)
            opt_files_free((opt_files *)(void *)(args + cmd->opts[i].field));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    be_quiet();
    const command *cmd = cmd_all[data[0] % cmd_count];
    char *text = malloc(size), *argv[MAX_WORDS + 2] = { NULL };
    _Alignas(max_align_t) static char args[MAX_ARGS_BYTES];
    int argc = 0;
    if (!text)
        exit(1);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    argv[argc++] = (char *)(uintptr_t)cmd->name;
    for (char *word = text; word < text + size && argc <= MAX_WORDS; word += strlen(word) + 1)
        argv[argc++] = word;
    memset(args, 0, sizeof args);
    check_values(cmd, args, opt_parse(cmd, args, argc, argv));
    free_lists(cmd, args);
    free(text);
    return 0;
}
