/* Reports of 'qasr advise'. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/columns.h"
#include "app/json_util.h"
#include "cli/advise/advice.h"

static double gb(uint64_t bytes) { return (double)bytes / 1e9; }

static bool is_slow(const advice_candidate *c) { return c->seconds > ADVICE_SLOWEST_S; }

/* ---- text ------------------------------------------------------------------------------------ */

static void print_rate(const char *name, double rate)
{
    if (rate > 0)
        printf(", %.0f Gop/s in %s products", rate, name);
}

static void print_machine(const advice_machine *m)
{
    const qasr_limits *l = &m->limits;
    printf("device  %s: %s\n", m->device.name, m->device.description);
    printf("memory  %.1f GB", gb(m->device.total_bytes));
    if (m->memory_is_given)
        printf(" (given)");
    else if (m->device.free_bytes)
        printf(", %.1f GB available", gb(m->device.free_bytes));
    printf(", %.1f GB of it for a model\n", gb(m->usable_bytes));
    if (l->read_gb_s <= 0)
        return;
    printf("rates   %.1f GB/s read from memory", l->read_gb_s);
    print_rate("float32", l->f32_gop_s);
    print_rate("bfloat16", l->bf16_gop_s);
    print_rate("int8", l->int8_gop_s);
    if (m->limits_are_given)
        printf(" (given)\n");
    else
        printf(" (measured with %d thread%s)\n", l->n_threads, l->n_threads == 1 ? "" : "s");
}

static int model_width(const advice *a)
{
    int width = (int)strlen("model");
    for (size_t i = 0; i < a->n_candidates; i++)
        width = columns_of(a->candidates[i].model) > width ? columns_of(a->candidates[i].model) : width;
    return width;
}

static void print_row(const advice *a, const advice_candidate *c, int width)
{
    printf("%s ", c == a->chosen ? "*" : " ");
    columns_pad(c->model, width);
    printf("  %-7s %10.2f %10.2f", c->type, gb(c->weights_bytes), gb(c->memory_bytes));
    if (c->seconds > 0)
        printf(" %8.1f", c->seconds);
    else
        printf(" %8s", "-");
    if (isnan(c->kl) || c->kl == 0)
        printf(" %9s", c->kl == 0 ? "0" : "-");
    else
        printf(" %9.1e", c->kl);
    printf("%s\n", !advice_fits(c, a->machine.usable_bytes) ? "  too large" : is_slow(c) ? "  slower than speech" : "");
}

static void print_table(const advice *a)
{
    const int width = model_width(a);
    printf("\n  %-*s  %-7s %10s %10s %8s %9s\n", width, "model", "type", "weights GB", "memory GB", "s/minute", "KL");
    for (size_t i = 0; i < a->n_candidates; i++)
        print_row(a, &a->candidates[i], width);
}

static const advice_candidate *smallest(const advice *a)
{
    const advice_candidate *best = &a->candidates[0];
    for (size_t i = 1; i < a->n_candidates; i++)
        best = a->candidates[i].memory_bytes < best->memory_bytes ? &a->candidates[i] : best;
    return best;
}

static bool print_choice(const advice *a)
{
    if (!a->chosen) {
        const advice_candidate *c = smallest(a);
        printf("\nNothing fits: the smallest, %s as %s, needs %.2f GB%s.\n", c->model, c->type, gb(c->memory_bytes),
               a->batch > 1 ? "; --batch 1 needs less" : "");
        return true;
    }
    char *commands[ADVICE_MAX_COMMANDS];
    const size_t n = advise_commands(commands, a);
    printf("\nRecommended (*): %s as %s.\n\n", a->chosen->model, a->chosen->type);
    for (size_t i = 0; i < n; i++) {
        printf("  %s\n", commands[i]);
        free(commands[i]);
    }
    return n > 0;
}

static void print_notes(const advice *a)
{
    printf(
        "\nMemory and seconds per minute of audio are estimates for long recordings, %d segment%s decoded at a time.\n",
        a->batch, a->batch == 1 ? "" : "s");
    if (a->machine.limits.read_gb_s <= 0)
        printf(
            "Times are unknown: only the rates of the CPU can be measured. 'qasr bench --device' measures a model.\n");
    printf("KL: what the type costs the demo model; other models lose more or less. 'qasr eval --baseline' measures "
           "it.\n");
    if (a->other_device)
        printf("There is a GPU: see 'qasr advise --device %s'.\n", a->other_device);
}

bool advise_print_txt(const advice *a)
{
    print_machine(&a->machine);
    print_table(a);
    if (!print_choice(a))
        return false;
    print_notes(a);
    return true;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *size_or_null(uint64_t bytes) { return bytes ? json_integer((json_int_t)bytes) : json_null(); }

static json_t *limits_object(const qasr_limits *l)
{
    if (l->read_gb_s <= 0)
        return json_null();
    json_t *o = json_object();
    json_object_set_new(o, "read_gb_s", json_number(l->read_gb_s, 2));
    json_object_set_new(o, "f32_gop_s", json_number(l->f32_gop_s, 1));
    json_object_set_new(o, "bf16_gop_s", json_number(l->bf16_gop_s, 1));
    json_object_set_new(o, "int8_gop_s", json_number(l->int8_gop_s, 1));
    return o;
}

static json_t *machine_object(const advice_machine *m)
{
    json_t *o = json_object();
    json_object_set_new(o, "device", json_text(m->device.name));
    json_object_set_new(o, "description", json_text(m->device.description));
    json_object_set_new(o, "total_bytes", size_or_null(m->device.total_bytes));
    json_object_set_new(o, "available_bytes", size_or_null(m->device.free_bytes));
    json_object_set_new(o, "usable_bytes", json_integer((json_int_t)m->usable_bytes));
    json_object_set_new(o, "memory_given", json_boolean(m->memory_is_given));
    json_object_set_new(o, "threads", m->limits.n_threads ? json_integer(m->limits.n_threads) : json_null());
    json_object_set_new(o, "limits", limits_object(&m->limits));
    json_object_set_new(o, "limits_given", json_boolean(m->limits_are_given));
    return o;
}

static json_t *candidate_object(const advice *a, const advice_candidate *c)
{
    json_t *o = json_object();
    json_object_set_new(o, "model", json_text(c->model));
    json_object_set_new(o, "type", json_text(c->type));
    json_object_set_new(o, "qtype", c->qtype ? json_text(c->qtype) : json_null());
    json_object_set_new(o, "weights_bytes", json_integer((json_int_t)c->weights_bytes));
    json_object_set_new(o, "memory_bytes", json_integer((json_int_t)c->memory_bytes));
    json_object_set_new(o, "fits", json_boolean(advice_fits(c, a->machine.usable_bytes)));
    json_object_set_new(o, "seconds_per_minute", c->seconds > 0 ? json_number(c->seconds, 3) : json_null());
    json_object_set_new(o, "kl_demo", isnan(c->kl) ? json_null() : json_number(c->kl, 8));
    json_object_set_new(o, "recommended", json_boolean(c == a->chosen));
    return o;
}

bool advise_print_json(const advice *a)
{
    char *commands[ADVICE_MAX_COMMANDS];
    const size_t n = a->chosen ? advise_commands(commands, a) : 0;
    if (a->chosen && n == 0)
        return false;
    json_t *root = json_object(), *candidates = json_array(), *lines = json_array();
    for (size_t i = 0; i < a->n_candidates; i++)
        json_array_append_new(candidates, candidate_object(a, &a->candidates[i]));
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(lines, json_text(commands[i]));
        free(commands[i]);
    }
    json_object_set_new(root, "machine", machine_object(&a->machine));
    json_object_set_new(root, "batch", json_integer(a->batch));
    json_object_set_new(root, "candidates", candidates);
    json_object_set_new(root, "commands", lines);
    json_print(root, stdout);
    printf("\n");
    json_decref(root);
    return true;
}
