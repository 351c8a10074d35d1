/* The parts of 'qasr advise': advice.c decides, from figures alone; advise_commands.c writes the commands that follow
 * from a decision, advise_out.c the report; cmd_advise.c collects the figures. */
#ifndef QASR_CLI_ADVISE_ADVICE_H
#define QASR_CLI_ADVISE_ADVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "qasr/qasr_tools.h"

/* How readily a way to store a model is recommended. */
typedef enum advice_tier {
    ADVICE_FIRST, /* as it is, if that is quantized; types of 5 bits and more */
    ADVICE_UNQUANTIZED,
    ADVICE_LAST /* types of 4 bits */
} advice_tier;

/* A type that 'qasr quantize' takes. */
typedef struct advice_type {
    const char *qtype;
    advice_tier tier;
    double kl; /* on the demo model */
} advice_type;
extern const advice_type advice_types[]; /* [advice_n_types], from the most bits to the fewest */
extern const size_t advice_n_types;

/* A model stored in some way. */
typedef struct advice_candidate {
    const char *model; /* a published name, or a path */
    bool is_published; /* it must be pulled */
    const char *type;  /* of most of the decoder, or a mix: "bf16", "q4_k_m" */
    const char *qtype; /* for 'qasr quantize'; NULL: as it is */
    advice_tier tier;
    double kl; /* 0: the original weights; NAN: unknown */
    uint64_t weights_bytes, memory_bytes;
    double seconds; /* per minute of audio; 0: unknown */
} advice_candidate;

typedef struct advice_machine {
    qasr_device_info device;
    bool memory_is_given; /* by the user: device.total_bytes */
    uint64_t usable_bytes;
    qasr_limits limits; /* read_gb_s 0: none, and so no times */
    bool limits_are_given;
} advice_machine;

typedef struct advice {
    advice_machine machine;
    advice_candidate *candidates; /* [n_candidates]: larger models first, more bits first */
    size_t n_candidates;
    const advice_candidate *chosen; /* NULL: none fits */
    int batch;                      /* segments decoded together */
    /* Options for 'qasr transcribe'; NULL or 0: not given. */
    const char *device, *kv_type;
    int n_threads, given_batch;
    const char *other_device; /* a GPU that was not asked for; NULL: none */
} advice;

enum { ADVICE_SLOWEST_S = 60 }; /* per minute of audio: as fast as it is spoken */

/* Memory for a model: what is available, less a tenth. If that is unknown (0), or the memory is that of a machine the
 * user has in mind, a quarter of the total, and at least 1 GB, is left to other programs. */
uint64_t advice_usable_bytes(uint64_t total_bytes, uint64_t available_bytes);
bool advice_fits(const advice_candidate *c, uint64_t usable_bytes);
/* Of those that fit and are at least as fast as speech, the first of the best tier; if none is that fast, the fastest
 * that fits; NULL if none fits. */
const advice_candidate *advice_choose(const advice_candidate *candidates, size_t n, uint64_t usable_bytes);

enum { ADVICE_MAX_COMMANDS = 3 };
/* The commands that lead from a->chosen, which is set, to a transcript. commands [ADVICE_MAX_COMMANDS]; free each.
 * Returns their number; 0 without memory (printed). */
size_t advise_commands(char **commands, const advice *a);

/* Print to standard output; false without memory (printed). */
bool advise_print_txt(const advice *a);
bool advise_print_json(const advice *a);

#endif
