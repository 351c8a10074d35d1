/* What the CPU can do, checked against what the operating system saves (XCR0). A few named levels rather
 * than every CPUID bit; each includes the ones before it. */
#ifndef QASR_BASE_CPU_H
#define QASR_BASE_CPU_H

#include <stdbool.h>

typedef enum cpu_level {
    CPU_SCALAR = 0,
    CPU_AVX2,       /* AVX2, FMA, F16C */
    CPU_AVX512,     /* F, BW, DQ, VL, CD */
    CPU_AVX512VNNI, /* + VNNI, BF16, VBMI */
    CPU_AMX,        /* + AMX tiles for bfloat16, which the kernel must grant */
    CPU_LEVEL_COUNT
} cpu_level;

/* Highest level of this machine, lowered by the environment variable QASR_CPU=LEVEL when that names a
 * level (an unknown name is ignored: see cpu_env_valid). */
cpu_level cpu_detect(void);
/* The same without regard to QASR_CPU. */
cpu_level cpu_detect_machine(void);
const char *cpu_level_name(cpu_level level);
/* NULL if QASR_CPU is unset or valid, else its value. */
const char *cpu_env_invalid(void);

/* True if AVX-512's bfloat16 products run at twice the rate of float32 (AMD); where they exist for compatibility
 * beside AMX (Intel) they are slower than float32. */
bool cpu_has_fast_bf16(void);

#endif
