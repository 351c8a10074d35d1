/* CPU level detection. x86: CPUID and XCR0; a feature counts only if the operating system saves its registers. ARM: the
 * operating system reports the features. */
#include "base/cpu.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

static const char *const level_names[CPU_LEVEL_COUNT] = {
    [CPU_SCALAR] = "scalar",
#if defined(__x86_64__)
    [CPU_AVX2] = "avx2",     [CPU_AVXVNNI] = "avxvnni", [CPU_AVX512] = "avx512", [CPU_AVX512VNNI] = "avx512vnni",
    [CPU_AMX] = "amx",
#elif defined(__aarch64__)
    [CPU_NEON] = "neon",
    [CPU_DOTPROD] = "dotprod",
    [CPU_I8MM] = "i8mm",
#endif
};

const char *cpu_level_name(cpu_level level) { return level_names[level]; }

const char *cpu_level_choices(void)
{
#if defined(__x86_64__)
    return "scalar, avx2, avxvnni, avx512, avx512vnni or amx";
#elif defined(__aarch64__)
    return "scalar, neon, dotprod or i8mm";
#else
    return "scalar";
#endif
}

#if defined(__x86_64__)
#include <cpuid.h>

static uint64_t read_xcr0(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

enum { AVX_VNNI_BIT = 1 << 4 }; /* leaf 7, 1: EAX */

static bool has_all(uint32_t reg, uint32_t bits) { return (reg & bits) == bits; }

/* Linux grants the large tile registers only on request. Threads started later inherit the permission. */
static bool tiles_granted(void)
{
#if defined(__linux__)
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
    return false;
#endif
}

cpu_level cpu_detect_machine(void)
{
    uint32_t a, b, c, d, b7, c7, d7, a71 = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !has_all(c, bit_OSXSAVE | bit_FMA | bit_F16C | bit_AVX))
        return CPU_SCALAR;
    if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &d7))
        return CPU_SCALAR;
    if (a >= 1)
        __get_cpuid_count(7, 1, &a71, &b, &c, &d);
    enum { XCR0_YMM = 0x6, XCR0_ZMM = 0xE6, BF16_BIT = 1 << 5 };
    uint64_t saved = read_xcr0();
    if ((saved & XCR0_YMM) != XCR0_YMM || !(b7 & bit_AVX2))
        return CPU_SCALAR;
    if ((saved & XCR0_ZMM) != XCR0_ZMM ||
        !has_all(b7, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL | bit_AVX512CD))
        return a71 & AVX_VNNI_BIT ? CPU_AVXVNNI : CPU_AVX2;
    if (!has_all(c7, bit_AVX512VNNI | bit_AVX512VBMI) || !(a71 & BF16_BIT))
        return CPU_AVX512;
    enum { XCR0_TILES = 3 << 17, AMX_BF16_TILE_BITS = 1 << 22 | 1 << 24 };
    return (saved & XCR0_TILES) == XCR0_TILES && has_all(d7, AMX_BF16_TILE_BITS) && tiles_granted() ? CPU_AMX
                                                                                                    : CPU_AVX512VNNI;
}

static bool cpu_has_avxvnni(void)
{
    uint32_t a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) &&
           (a & AVX_VNNI_BIT);
}

bool cpu_has_fast_bf16(void)
{
    uint32_t a, b, c, d;
    return __get_cpuid(0, &a, &b, &c, &d) &&
           !(b == signature_INTEL_ebx && c == signature_INTEL_ecx && d == signature_INTEL_edx);
}
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>

#ifndef HWCAP2_I8MM
#define HWCAP2_I8MM (1 << 13)
#endif

cpu_level cpu_detect_machine(void)
{
    unsigned long has = getauxval(AT_HWCAP);
    if (!(has & HWCAP_ASIMD))
        return CPU_SCALAR;
    if (!(has & HWCAP_ASIMDDP))
        return CPU_NEON;
    return getauxval(AT_HWCAP2) & HWCAP2_I8MM ? CPU_I8MM : CPU_DOTPROD;
}
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>

static bool has_feature(const char *name)
{
    int has = 0;
    size_t size = sizeof has;
    return sysctlbyname(name, &has, &size, NULL, 0) == 0 && has;
}

cpu_level cpu_detect_machine(void) /* every Apple processor has NEON */
{
    if (!has_feature("hw.optional.arm.FEAT_DotProd"))
        return CPU_NEON;
    return has_feature("hw.optional.arm.FEAT_I8MM") ? CPU_I8MM : CPU_DOTPROD;
}
#else
cpu_level cpu_detect_machine(void) { return CPU_SCALAR; }
#endif

#if !defined(__x86_64__)
bool cpu_has_fast_bf16(void) { return false; }
#endif

static int level_from_name(const char *name)
{
    for (int i = 0; i < CPU_LEVEL_COUNT; i++)
        if (strcmp(name, level_names[i]) == 0)
            return i;
    return -1;
}

const char *cpu_env_invalid(void)
{
    const char *value = getenv("QASR_CPU");
    return value && *value && level_from_name(value) < 0 ? value : NULL;
}

bool cpu_has_level(cpu_level level)
{
#if defined(__x86_64__)
    if (level == CPU_AVXVNNI && !cpu_has_avxvnni())
        return false;
#endif
    return level <= cpu_detect_machine();
}

cpu_level cpu_detect(void)
{
    cpu_level level = cpu_detect_machine();
    const char *value = getenv("QASR_CPU");
    int wanted = value ? level_from_name(value) : -1;
    if (wanted >= 0 && wanted < (int)level)
        level = (cpu_level)wanted;
    return cpu_has_level(level) ? level : (cpu_level)(level - 1);
}
