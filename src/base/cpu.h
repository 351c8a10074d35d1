/* CPU levels: a few named feature sets per architecture instead of individual feature bits. Each level includes the
 * ones before it, except avxvnni, which processors with AVX-512 may lack. On x86 the operating system must also save
 * the registers of a level (XCR0). */
#ifndef QASR_BASE_CPU_H
#define QASR_BASE_CPU_H

#include <stdbool.h>

typedef enum cpu_level {
    CPU_SCALAR = 0,
#if defined(__x86_64__)
    CPU_AVX2,       /* AVX2, FMA, F16C */
    CPU_AVXVNNI,    /* + AVX-VNNI */
    CPU_AVX512,     /* + F, BW, DQ, VL, CD; with or without AVX-VNNI */
    CPU_AVX512VNNI, /* + VNNI, BF16, VBMI */
    CPU_AMX,        /* + AMX tiles for bfloat16, if the operating system grants them */
#elif defined(__aarch64__)
    CPU_NEON,    /* ARMv8.0 with Advanced SIMD */
    CPU_DOTPROD, /* + FEAT_DotProd */
    CPU_I8MM,    /* + FEAT_I8MM */
#endif
    CPU_LEVEL_COUNT
} cpu_level;

/* Highest level of this machine, lowered by the environment variable QASR_CPU=LEVEL if that names a level of this
 * architecture (other names are ignored: see cpu_env_invalid). */
cpu_level cpu_detect(void);
/* The same, ignoring QASR_CPU. */
cpu_level cpu_detect_machine(void);
bool cpu_has_level(cpu_level level);
const char *cpu_level_name(cpu_level level);
/* The level names as a phrase for messages: "scalar, avx2 or ...". */
const char *cpu_level_choices(void);
/* NULL if QASR_CPU is unset or valid, else its value. */
const char *cpu_env_invalid(void);

/* True if AVX-512 bfloat16 products run at twice the rate of float32 (AMD). On Intel, which relies on AMX instead, they
 * are slower than float32. */
bool cpu_has_fast_bf16(void);

#endif
