/* The list of commands, and the exit statuses and environment variables of all of them. */
#include <string.h>

#include "cli/cmd.h"
#include "qasr/qasr_tools.h"

const command *const cmd_all[] = { &cmd_transcribe, &cmd_quantize, &cmd_calibrate, &cmd_advise,
                                   &cmd_info,       &cmd_devices,  &cmd_bench,     &cmd_eval,
                                   &cmd_score,      &cmd_pull,     &cmd_models,    &cmd_help };
const size_t cmd_count = sizeof cmd_all / sizeof cmd_all[0];

const cmd_status cmd_exit_statuses[] = { { EXIT_DONE, "done" },
                                         { EXIT_FAILED, "failed (transcribe: at least one file)" },
                                         { EXIT_USAGE, "wrong usage" },
                                         { EXIT_ALL_FAILED, "all files failed (transcribe)" } };
const size_t cmd_n_exit_statuses = sizeof cmd_exit_statuses / sizeof cmd_exit_statuses[0];

const cmd_variable cmd_variables[] = {
    { "QASR_MODEL", "the model to use without --model: a path, or the name of a pulled model", NULL },
    { "XDG_CACHE_HOME", "pulled models are in qasr/models there (default ~/.cache)", NULL },
    { "HF_ENDPOINT", "address of the hub for pull (default https://huggingface.co)", NULL },
    { "HF_TOKEN", "token that pull sends to the hub", NULL },
    { "QASR_CPU", "highest CPU level to use", qasr_cpu_level_name },
    { "QASR_GGML_AVOID", "comma-separated operations and weight types that GPU devices must not run (docs/devices.md)",
      NULL },
};
const size_t cmd_n_variables = sizeof cmd_variables / sizeof cmd_variables[0];

const char *cmd_exit_status_line(void)
{
    static char text[200];
    size_t n = (size_t)snprintf(text, sizeof text, "exit status:");
    for (size_t i = 0; i < cmd_n_exit_statuses && n < sizeof text; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s %d %s%s", i ? "," : "", cmd_exit_statuses[i].status,
                              cmd_exit_statuses[i].meaning, i + 1 < cmd_n_exit_statuses ? "" : "\n");
    return text;
}

const char *cmd_variable_text(const cmd_variable *v, char *text, size_t size)
{
    size_t n = (size_t)snprintf(text, size, "%s", v->meaning);
    for (size_t i = 0; v->value && v->value(i) && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%s", i ? ", " : ": ", v->value(i));
    return text;
}

void cmd_print_overview(FILE *f)
{
    fputs("qasr - speech to text with Qwen3-ASR models\n\nusage: qasr COMMAND [OPTIONS]\n\ncommands:\n", f);
    for (size_t i = 0; i < cmd_count; i++)
        fprintf(f, "  %-11s %s\n", cmd_all[i]->name, cmd_all[i]->summary);
    fputs("\noptions:\n"
          "  -h, --help     show this text; qasr help COMMAND describes a command\n"
          "  -V, --version  show the version; with --verbose, also build, CPU level and libraries\n"
          "\n",
          f);
    fputs(cmd_exit_status_line(), f);
}

const command *cmd_find(const char *name)
{
    for (size_t i = 0; i < cmd_count; i++)
        if (strcmp(cmd_all[i]->name, name) == 0)
            return cmd_all[i];
    return NULL;
}

static const char *word_at(const void *list, size_t i) { return ((const char *const *)list)[i]; }
static const char *command_name(const void *list, size_t i) { return ((const command *const *)list)[i]->name; }

int cmd_unknown(const char *name)
{
    static const char *const options[] = { "--help", "--version" };
    const char *near;
    if (name[0] == '-' && (near = opt_nearest(name, word_at, options, sizeof options / sizeof *options)))
        return opt_usage_error(NULL, "unknown option '%s' (did you mean '%s'?)", name, near);
    if (name[0] == '-')
        return opt_usage_error(NULL, "unknown option '%s', expected a command, --help or --version", name);
    near = opt_nearest(name, command_name, cmd_all, cmd_count);
    if (near)
        return opt_usage_error(NULL, "unknown command '%s' (did you mean '%s'?)", name, near);
    char list[512] = "";
    for (size_t i = 0; i < cmd_count; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", cmd_all[i]->name);
    return opt_usage_error(NULL, "unknown command '%s', expected one of %s", name, list);
}
