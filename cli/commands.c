/* The list of commands, and what holds for all of them. */
#include <string.h>

#include "cli/cmd.h"

const command *const cmd_all[] = { &cmd_transcribe, &cmd_quantize, &cmd_calibrate, &cmd_info,
                                   &cmd_devices,    &cmd_bench,    &cmd_eval,      &cmd_score,
                                   &cmd_pull,       &cmd_models,   &cmd_help };
const size_t cmd_count = sizeof cmd_all / sizeof cmd_all[0];

const cmd_status cmd_exit_statuses[] = { { EXIT_DONE, "done" },
                                         { EXIT_FAILED, "failed; transcribe: some of the files" },
                                         { EXIT_USAGE, "wrong usage" },
                                         { EXIT_ALL_FAILED, "transcribe: all files failed" } };
const size_t cmd_n_exit_statuses = sizeof cmd_exit_statuses / sizeof cmd_exit_statuses[0];

const cmd_variable cmd_variables[] = {
    { "QASR_MODEL", "the model that commands take without --model: a path, or the name of a pulled model" },
    { "XDG_CACHE_HOME", "pulled models are in qasr/models there (default ~/.cache)" },
    { "HF_ENDPOINT", "where pull finds the hub (default https://huggingface.co)" },
    { "HF_TOKEN", "token that pull sends to the hub" },
    { "QASR_CPU",
      "CPU level at most: scalar, avx2, avxvnni, avx512, avx512vnni, amx (on ARM: scalar, neon, dotprod, i8mm)" },
    { "QASR_GGML_AVOID",
      "operations and types of weights, with commas between, that GPU devices are not asked for (docs/devices.md)" },
};
const size_t cmd_n_variables = sizeof cmd_variables / sizeof cmd_variables[0];

void cmd_print_overview(FILE *f)
{
    fputs("qasr - speech to text with Qwen3-ASR models\n\nusage: qasr COMMAND [OPTIONS]\n\ncommands:\n", f);
    for (size_t i = 0; i < cmd_count; i++)
        fprintf(f, "  %-11s %s\n", cmd_all[i]->name, cmd_all[i]->summary);
    fputs("\noptions:\n"
          "  -h, --help     show this text; qasr help COMMAND shows that of a command\n"
          "  -V, --version  show the version; with --verbose also build, CPU level and libraries\n"
          "\nexit status:",
          f);
    for (size_t i = 0; i < cmd_n_exit_statuses; i++)
        fprintf(f, "%s %d %s", i ? "," : "", cmd_exit_statuses[i].status, cmd_exit_statuses[i].meaning);
    fputc('\n', f);
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
