/* The kernel tables: one per CPU level of this machine, filled once per process, each on top of the level below. */
#include "kernels/kernels.h"

#include <pthread.h>

#include "kernels/levels.h"

static kernels tables[CPU_LEVEL_COUNT];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void (*const fill_level[CPU_LEVEL_COUNT])(kernels *) = {
    [CPU_SCALAR] = kernels_fill_scalar,
#if defined(__x86_64__)
    [CPU_AVX2] = kernels_fill_avx2,     [CPU_AVXVNNI] = kernels_fill_avxvnni,
    [CPU_AVX512] = kernels_fill_avx512, [CPU_AVX512VNNI] = kernels_fill_avx512vnni,
    [CPU_AMX] = kernels_fill_amx,
#elif defined(__aarch64__)
    [CPU_NEON] = kernels_fill_neon,
    [CPU_DOTPROD] = kernels_fill_dotprod,
    [CPU_I8MM] = kernels_fill_i8mm,
#endif
};

/* The level that a level inherits kernels from. */
static int level_below(int level)
{
#if defined(__x86_64__)
    if (level == CPU_AVX512) /* may lack AVX-VNNI */
        return CPU_AVX2;
#endif
    return level - 1;
}

/* The fill functions are compiled with the instructions of their level too: do not call those of missing levels. */
static void fill_tables(void)
{
    int machine = cpu_detect_machine();
    for (int i = 0; i <= machine; i++) {
        if (i > 0)
            tables[i] = tables[level_below(i)];
        if (!cpu_has_level((cpu_level)i))
            continue;
        fill_level[i](&tables[i]);
        tables[i].level = (cpu_level)i;
        tables[i].name = cpu_level_name((cpu_level)i);
    }
}

const kernels *kernels_get(cpu_level level)
{
    pthread_once(&tables_once, fill_tables);
    cpu_level machine = cpu_detect_machine();
    return &tables[level < machine ? level : machine];
}
