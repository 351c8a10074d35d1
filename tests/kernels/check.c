/* checkkernels [--bench [--json]] [--seed N] [--only SUBSTRING] [LEVEL ...]: checks (TAP) or times the kernels of the
 * named levels, by default of all levels of this machine. On x86 LEVEL may also be avxvnni-evex (run_avxvnni_evex). */
#include "check.h"

#include "kernels/levels.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* ---- random numbers (xorshift64*) ---- */

static uint64_t random_state = 1;

void random_seed(uint64_t seed) { random_state = seed * 2 + 1; }

uint32_t random_u32(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)(random_state * 0x2545f4914f6cdd1dull >> 32);
}

float random_float(void) { return (float)(int32_t)random_u32() * 0x1p-31f; }

void fill_floats(float *x, size_t n, int how)
{
    float same = random_float();
    for (size_t i = 0; i < n; i++) {
        float r = random_float();
        switch (how) {
        case FILL_ZERO: x[i] = random_u32() % 2 ? 0.0f : -0.0f; break;
        case FILL_TINY: x[i] = r * 0x1p-130f; break; /* mostly subnormal */
        case FILL_LARGE: x[i] = r * 0x1p50f; break;  /* sums of squares stay finite */
        case FILL_SAME: x[i] = same; break;
        case FILL_OUTLIER: x[i] = i == n / 2 ? 1e4f : r * 1e-3f; break;
        default: x[i] = r; break;
        }
    }
}

static void put_half(uint8_t *at, int how)
{
    static const uint16_t odd[] = { 0x0000, 0x8000, 0x0001, 0x83ff, 0x0400 }; /* zeros, subnormals, smallest normal */
    uint16_t h = f16_from_f32(random_float() * 0.1f);
    if (how == FILL_ZERO || how == FILL_TINY)
        h = odd[random_u32() % ARRAY_LEN(odd)];
    if (how == FILL_LARGE)
        h = random_u32() % 2 ? 0x7bff : 0xfbff; /* +-65504 */
    memcpy(at, &h, sizeof h);
}

void fill_blocks(quant_type type, uint8_t *out, size_t n, int how)
{
    const quant_info *q = quant_get(type);
    uint8_t same = random_u32() % 2 ? 0x80 : random_u32() % 2 ? 0x00 : 0xff;
    for (size_t i = 0; i < n; i += q->block, out += q->bytes) {
        if (type == QUANT_F32) {
            float f;
            fill_floats(&f, 1, how);
            memcpy(out, &f, sizeof f);
            continue;
        }
        if (type == QUANT_BF16) {
            uint16_t h = bf16_from_f32(random_float() * (how == FILL_TINY ? 0x1p-130f : 1.0f));
            memcpy(out, &h, sizeof h);
            continue;
        }
        if (type == QUANT_F16) {
            put_half(out, how);
            continue;
        }
        for (unsigned b = 0; b < q->bytes; b++)
            out[b] = how == FILL_SAME ? same : (uint8_t)random_u32();
        put_half(out + (type == QUANT_Q6_K ? offsetof(block_q6_k, d) : 0), how);
        if (type == QUANT_Q4_1 || type == QUANT_Q5_1 || type == QUANT_Q4_K || type == QUANT_Q5_K)
            put_half(out + 2, how);
    }
}

/* ---- guarded memory ---- */

void *guarded_place(guarded *g, size_t bytes, size_t align, bool at_start)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), inside = (bytes + align + page) / page * page;
    if (g->map && g->map_bytes < inside + 2 * page)
        guarded_free(g);
    if (!g->map) {
        g->map_bytes = inside + 2 * page;
        g->map = mmap(NULL, g->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (g->map == MAP_FAILED || mprotect(g->map, page, PROT_NONE) != 0 ||
            mprotect(g->map + g->map_bytes - page, page, PROT_NONE) != 0) {
            perror("mmap");
            exit(2);
        }
    }
    g->bytes = bytes;
    g->offset = at_start ? page : (g->map_bytes - page - bytes) / align * align;
    memset(g->map + page, POISON, g->map_bytes - 2 * page);
    return g->map + g->offset;
}

bool is_poison(const void *p, size_t bytes)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < bytes; i++)
        if (b[i] != POISON)
            return false;
    return true;
}

bool guarded_intact(const guarded *g)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), end = g->offset + g->bytes;
    return is_poison(g->map + page, g->offset - page) && is_poison(g->map + end, g->map_bytes - page - end);
}

void guarded_free(guarded *g)
{
    if (g->map)
        munmap(g->map, g->map_bytes);
    *g = (guarded){ 0 };
}

/* ---- verdicts ---- */

static struct {
    const char *level, *only;
    char name[64];
    int tests, failed;  /* TAP lines, or entries of the JSON list */
    size_t checks, bad; /* of the current kernel */
    double worst;       /* |error| / bound */
    bool json;
    uint64_t seed;
} state;

bool check_kernel(const char *name, bool same_as_lower)
{
    if (state.only && !strstr(name, state.only))
        return false;
    if (same_as_lower) {
        printf("ok %d - %s %s # SKIP as one level below\n", ++state.tests, state.level, name);
        return false;
    }
    snprintf(state.name, sizeof state.name, "%s", name);
    state.checks = state.bad = 0;
    state.worst = 0;
    return true;
}

static void report_bad(const char *format, va_list args)
{
    if (state.bad++ < 5) {
        printf("# %s %s: ", state.level, state.name);
        vprintf(format, args);
        printf("\n");
    }
}

void check_true(bool ok, const char *format, ...)
{
    state.checks++;
    if (ok)
        return;
    va_list args;
    va_start(args, format);
    report_bad(format, args);
    va_end(args);
}

void check_close(double value, double expected, double bound, const char *format, ...)
{
    state.checks++;
    if (value == expected || (isnan(value) && isnan(expected)))
        return;
    double ratio = fabs(value - expected) / bound;
    if (ratio > state.worst)
        state.worst = ratio;
    if (ratio <= 1)
        return;
    va_list args;
    va_start(args, format);
    report_bad(format, args);
    va_end(args);
    if (state.bad <= 5)
        printf("#   %.9g, expected %.9g, bound %.3g\n", value, expected, bound);
}

void verdict(void)
{
    bool ok = state.bad == 0 && state.checks > 0;
    state.failed += !ok;
    printf("%sok %d - %s %s (%zu checks, worst error %.3f of the bound)\n", ok ? "" : "not ", ++state.tests,
           state.level, state.name, state.checks, state.worst);
}

/* ---- timing ---- */

static double thread_now_s(void) /* CPU time, which other programs on the machine affect less */
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void bench(const char *name, void (*fn)(void *), void *arg, double bytes, double flops)
{
    if (state.only && !strstr(name, state.only))
        return;
    double best = INFINITY;
    size_t reps = 1;
    for (int run = 0; run < 8; run++) {
        double start = thread_now_s();
        for (size_t i = 0; i < reps; i++)
            fn(arg);
        double each = (thread_now_s() - start) / (double)reps;
        best = each < best ? each : best;
        if (run == 0)
            reps = each < 10e-3 ? (size_t)(10e-3 / (each + 1e-9)) + 1 : 1;
    }
    if (state.json) /* format of bench/compare.py */
        printf("%s{\"name\":\"%s %s\",\"unit\":\"ns\",\"value\":%.0f}", state.tests++ ? ",\n" : "[", state.level, name,
               best * 1e9);
    else
        printf("%-11s %-34s %12.0f ns %8.2f GB/s %8.2f GFLOP/s\n", state.level, name, best * 1e9, bytes / best * 1e-9,
               flops / best * 1e-9);
    fflush(stdout);
}

/* lower: the table one level below, NULL for the lowest. */
static void run_table(const kernels *k, const kernels *lower, bool benches)
{
    state.level = k->name;
    if (benches) {
        bench_rows(k);
        bench_weights(k);
        bench_gemm(k);
        bench_int8(k);
        bench_attention(k);
        return;
    }
    check_rows(k, lower);
    check_weights(k, lower);
    check_gemv(k, lower);
    check_gemm(k, lower);
    check_int8(k, lower);
    check_attention(k, lower);
}

static void run_level(cpu_level level, bool benches)
{
    random_seed(state.seed);
    if (cpu_has_level(level))
        run_table(kernels_get(level), level > 0 ? kernels_get((cpu_level)(level - 1)) : NULL, benches);
    else if (!benches)
        printf("ok %d - %s # SKIP not on this machine\n", ++state.tests, cpu_level_name(level));
}

/* A table that is not a level: the avxvnni kernels with their one VNNI instruction in its AVX-512 encoding. */
#define EVEX_NAME "avxvnni-evex"

static void run_avxvnni_evex(bool benches)
{
#if defined(__x86_64__)
    random_seed(state.seed);
    if (cpu_has_level(CPU_AVX512VNNI)) {
        kernels k = *kernels_get(CPU_AVX2);
        kernels_fill_avxvnni_evex(&k);
        k.name = EVEX_NAME;
        run_table(&k, kernels_get(CPU_AVX2), benches);
        return;
    }
#endif
    if (!benches)
        printf("ok %d - %s # SKIP not on this machine\n", ++state.tests, EVEX_NAME);
}

static int level_of(const char *name)
{
    if (strcmp(name, EVEX_NAME) == 0)
        return CPU_LEVEL_COUNT;
    for (int i = 0; i < CPU_LEVEL_COUNT; i++)
        if (strcmp(name, cpu_level_name((cpu_level)i)) == 0)
            return i;
    fprintf(stderr, "checkkernels: unknown level or option '%s'\n", name);
    exit(2);
}

int main(int argc, char **argv)
{
    bool wanted[CPU_LEVEL_COUNT + 1] = { 0 }, any = false, benches = false;
    state.seed = 20240607;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bench") == 0)
            benches = true;
        else if (strcmp(argv[i], "--json") == 0)
            state.json = true;
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            state.seed = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
            state.only = argv[++i];
        else
            wanted[level_of(argv[i])] = any = true;
    }
    if (!benches)
        printf("# seed %llu\n", (unsigned long long)state.seed);
    for (int level = 0; level < CPU_LEVEL_COUNT; level++)
        if (!any || wanted[level])
            run_level((cpu_level)level, benches);
    if (wanted[CPU_LEVEL_COUNT])
        run_avxvnni_evex(benches);
    if (!benches)
        printf("1..%d\n", state.tests);
    else if (state.json)
        printf(state.tests ? "]\n" : "[]\n");
    return state.failed > 0;
}
