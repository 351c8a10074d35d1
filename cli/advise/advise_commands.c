/* See advice.h. */
#include <stdlib.h>
#include <string.h>

#include "app/message.h"
#include "cli/advise/advice.h"

static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+/@:,=";

/* text as a word of a shell's command line, quoted if it has to be. */
static void put_word(FILE *f, const char *text)
{
    if (*text && !text[strspn(text, plain)] && *text != '-') {
        fputs(text, f);
        return;
    }
    fputs(*text == '-' ? "./'" : "'", f);
    for (; *text; text++)
        if (*text == '\'')
            fputs("'\\''", f);
        else
            fputc(*text, f);
    fputc('\'', f);
}

/* "small-q8_0.gguf" for "models/small" or "small.gguf"; NULL without memory. */
static char *output_name(const advice_candidate *c)
{
    const char *end = c->model + strlen(c->model), *begin;
    while (end > c->model + 1 && end[-1] == '/')
        end--;
    for (begin = end; begin > c->model && begin[-1] != '/';)
        begin--;
    if (end - begin > 5 && strncmp(end - 5, ".gguf", 5) == 0)
        end -= 5;
    char *name;
    return asprintf(&name, "%.*s-%s.gguf", (int)(end - begin), begin, c->qtype) < 0 ? NULL : name;
}

static void write_transcribe(FILE *f, const advice *a, const char *model)
{
    fputs("qasr transcribe --model ", f);
    put_word(f, model);
    if (a->device) {
        fputs(" --device ", f);
        put_word(f, a->device);
    }
    if (a->given_batch)
        fprintf(f, " --batch %d", a->given_batch);
    if (a->kv_type)
        fprintf(f, " --kv-type %s", a->kv_type);
    if (a->n_threads)
        fprintf(f, " --threads %d", a->n_threads);
    fputs(" talk.wav", f);
}

typedef enum step { STEP_PULL, STEP_QUANTIZE, STEP_TRANSCRIBE, STEPS } step;
_Static_assert((int)STEPS == (int)ADVICE_MAX_COMMANDS, "a command per step");

/* output: file that the quantization writes; NULL: none. */
static void write_step(FILE *f, const advice *a, step s, const char *output)
{
    const advice_candidate *c = a->chosen;
    switch (s) {
    case STEP_PULL: fprintf(f, "qasr pull %s", c->model); break;
    case STEP_QUANTIZE:
        fputs("qasr quantize --input ", f);
        put_word(f, c->model);
        fputs(" --output ", f);
        put_word(f, output);
        fprintf(f, " --scope all --qtype %s", c->qtype);
        break;
    default: write_transcribe(f, a, output ? output : c->model); break;
    }
}

/* NULL without memory. */
static char *step_text(const advice *a, step s, const char *output)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return NULL;
    write_step(f, a, s, output);
    if (fclose(f) == 0)
        return text;
    free(text);
    return NULL;
}

size_t advise_commands(char **commands, const advice *a)
{
    const advice_candidate *c = a->chosen;
    const bool wanted[STEPS] = { c->is_published, c->qtype != NULL, true };
    char *output = c->qtype ? output_name(c) : NULL;
    bool good = output || !c->qtype;
    size_t n = 0;
    for (step s = 0; s < STEPS && good; s++)
        if (wanted[s]) {
            commands[n] = step_text(a, s, output);
            good = commands[n] != NULL;
            n += good;
        }
    free(output);
    if (good)
        return n;
    while (n > 0)
        free(commands[--n]);
    message_fail("out of memory");
    return 0;
}
