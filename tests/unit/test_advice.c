/* Decisions of 'qasr advise' for given figures, and the commands that follow. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/advise/advice.h"

#define GB(x) ((uint64_t)((x)*1e9))

static void memory_left_to_others(void **state)
{
    static const struct {
        uint64_t total, available, usable;
    } cases[] = {
        { GB(16), GB(10), GB(9) }, /* known: a tenth less */
        { GB(4), 0, GB(3) },       /* 1 GB less */
        { GB(8), 0, GB(6) },       /* a quarter less */
        { GB(16), 0, GB(12) },     { GB(1), 0, 0 }, { GB(0.5), 0, 0 }, { 0, GB(2), GB(1.8) },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(advice_usable_bytes(cases[i].total, cases[i].available), cases[i].usable);
}

/* The published models with the memory that 'qasr advise' estimates, and a tenth of their speed on a Zen 4. */
static const advice_candidate published[] = {
    { .model = "1.7b",
      .is_published = true,
      .type = "bf16",
      .tier = ADVICE_UNQUANTIZED,
      .memory_bytes = GB(4.63),
      .seconds = 143 },
    { .model = "1.7b",
      .is_published = true,
      .type = "q8_0",
      .qtype = "q8_0",
      .tier = ADVICE_FIRST,
      .memory_bytes = GB(2.73),
      .seconds = 131 },
    { .model = "1.7b",
      .is_published = true,
      .type = "q6_k",
      .qtype = "q6_k",
      .tier = ADVICE_FIRST,
      .memory_bytes = GB(2.32),
      .seconds = 128 },
    { .model = "1.7b",
      .is_published = true,
      .type = "q4_k_m",
      .qtype = "q4_k_m",
      .tier = ADVICE_LAST,
      .memory_bytes = GB(2.01),
      .seconds = 101 },
    { .model = "0.6b",
      .is_published = true,
      .type = "bf16",
      .tier = ADVICE_UNQUANTIZED,
      .memory_bytes = GB(2.12),
      .seconds = 64 },
    { .model = "0.6b",
      .is_published = true,
      .type = "q8_0",
      .qtype = "q8_0",
      .tier = ADVICE_FIRST,
      .memory_bytes = GB(1.40),
      .seconds = 59 },
    { .model = "0.6b",
      .is_published = true,
      .type = "q4_k_m",
      .qtype = "q4_k_m",
      .tier = ADVICE_LAST,
      .memory_bytes = GB(1.17),
      .seconds = 50 },
};
enum { N_PUBLISHED = sizeof published / sizeof published[0] };

static void choices(void **state)
{
    static const struct {
        uint64_t memory;
        double speed; /* times the seconds above; 0: unknown */
        int chosen;   /* index; negative: none */
    } cases[] = {
        { GB(12), 0.1, 1 },   { GB(6), 0.1, 1 },        { GB(3), 0.1, 1 },
        { GB(2.5), 0.1, 2 },  { GB(2.1), 0.1, 5 }, /* 8 bits of the small model before 4 bits of the large one */
        { GB(1.3), 0.1, 6 },  { GB(1), 0.1, -1 },       { GB(12), 0, 1 },
        { GB(1.3), 0, 6 },    { GB(12), 1, 5 }, /* the large one is slower than speech */
        { GB(12), 1.1, 6 },                     /* 4 bits are the only ones fast enough */
        { GB(12), 10, 6 },                      /* none is: the fastest */
        { GB(2.73), 0.1, 1 }, { GB(2.73) - 1, 0.1, 2 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        advice_candidate c[N_PUBLISHED];
        memcpy(c, published, sizeof c);
        for (size_t j = 0; j < N_PUBLISHED; j++)
            c[j].seconds *= cases[i].speed;
        const advice_candidate *chosen = advice_choose(c, N_PUBLISHED, cases[i].memory);
        assert_int_equal(chosen ? chosen - c : -1, cases[i].chosen);
    }
    assert_null(advice_choose(NULL, 0, GB(1)));
}

/* A quantized file is used as it is while it fits. */
static void a_quantized_model(void **state)
{
    const advice_candidate own[] = {
        { .model = "m.gguf", .type = "q6_k", .tier = ADVICE_FIRST, .memory_bytes = GB(2), .seconds = 5 },
        { .model = "m.gguf",
          .type = "q4_k_m",
          .qtype = "q4_k_m",
          .tier = ADVICE_LAST,
          .memory_bytes = GB(1),
          .seconds = 4 },
    };
    assert_ptr_equal(advice_choose(own, 2, GB(2)), &own[0]);
    assert_ptr_equal(advice_choose(own, 2, GB(1.5)), &own[1]);
}

static void the_types_are_those_of_the_quantizer(void **state)
{
    for (size_t i = 0; i < advice_n_types; i++) {
        bool found = false;
        for (size_t j = 0; j < qasr_qtype_count(); j++)
            found = found || strcmp(qasr_qtype_name(j), advice_types[i].qtype) == 0;
        assert_true(found);
        assert_true(i == 0 ||
                    (advice_types[i].kl > advice_types[i - 1].kl && advice_types[i].tier >= advice_types[i - 1].tier));
    }
}

static void check_commands(const advice *a, const char *const *wanted, size_t n_wanted)
{
    char *commands[ADVICE_MAX_COMMANDS];
    assert_int_equal(advise_commands(commands, a), n_wanted);
    for (size_t i = 0; i < n_wanted; i++) {
        assert_string_equal(commands[i], wanted[i]);
        free(commands[i]);
    }
}

static void commands_that_lead_there(void **state)
{
    const advice quantized = {
        .chosen = &published[1], .device = "Vulkan0", .kv_type = "q8_0", .n_threads = 3, .given_batch = 2
    };
    check_commands(
        &quantized,
        (const char *const[]){
            "qasr pull 1.7b", "qasr quantize --input 1.7b --output 1.7b-q8_0.gguf --scope all --qtype q8_0",
            "qasr transcribe --model 1.7b-q8_0.gguf --device Vulkan0 --batch 2 --kv-type q8_0 --threads 3 talk.wav" },
        3);
    const advice original = { .chosen = &published[0] };
    check_commands(&original, (const char *const[]){ "qasr pull 1.7b", "qasr transcribe --model 1.7b talk.wav" }, 2);

    static const struct {
        const char *model, *input, *output;
    } names[] = {
        { "models/demo/", "models/demo/", "demo-q4_k_m.gguf" },
        { "/a/small.gguf", "/a/small.gguf", "small-q4_k_m.gguf" },
        { "my models/it's", "'my models/it'\\''s'", "'it'\\''s-q4_k_m.gguf'" },
        { "-x", "./'-x'", "./'-x-q4_k_m.gguf'" },
        { ".gguf", ".gguf", ".gguf-q4_k_m.gguf" },
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char quantize[200], transcribe[200];
        const advice_candidate own = { .model = names[i].model, .type = "q4_k_m", .qtype = "q4_k_m" };
        const advice a = { .chosen = &own };
        snprintf(quantize, sizeof quantize, "qasr quantize --input %s --output %s --scope all --qtype q4_k_m",
                 names[i].input, names[i].output);
        snprintf(transcribe, sizeof transcribe, "qasr transcribe --model %s talk.wav", names[i].output);
        check_commands(&a, (const char *const[]){ quantize, transcribe }, 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_left_to_others),    cmocka_unit_test(choices),
        cmocka_unit_test(a_quantized_model),        cmocka_unit_test(the_types_are_those_of_the_quantizer),
        cmocka_unit_test(commands_that_lead_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
