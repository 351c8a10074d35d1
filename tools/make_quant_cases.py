#!/usr/bin/env python3
"""Writes tests/data/quant_cases.bin: inputs and expected bytes for tests/unit/test_quant.c.

A slow, plain implementation of the quantization rules, one float32 operation at a time and independent of the C
code: use it to check src/quant, never the other way round. Needs numpy. If the package gguf is installed, types
that it supports are compared with it.

    tools/make_quant_cases.py tests/data/quant_cases.bin

The file: "QCAS", u32 number of superblocks, then for each 256 float32 inputs and the bytes of all its blocks
in Q8_0, Q4_0, Q5_0, Q4_1, Q5_1, IQ4_NL, Q4_K, Q5_K and Q6_K. Little endian.
"""

import math
import struct
import sys

import numpy as np

F = np.float32
np.seterr(all="ignore")


def nearest(v):
    """Rounds half to even: the low mantissa bits of v + 1.5 * 2^23."""
    return int((F(v) + F(12582912.0)).view(np.uint32) & 0x7FFFFF) - 0x400000


def half(v):
    return np.float16(v).tobytes()


def halved(v):
    return F(np.float16(v))


def clamp(v, low, high):
    return max(low, min(high, v))


def largest(x):
    amax, value = F(0), F(0)
    for v in x:
        if abs(v) > amax:
            amax, value = abs(v), v
    return amax, value


def q8_0(x):
    d = largest(x)[0] / F(127)
    inv = F(1) / d if d != 0 else F(0)
    q = []
    for v in x:
        p = float(v * inv) if np.isfinite(inv) else 0.0  # no quants when 1/d overflows
        q.append(int(math.copysign(math.floor(abs(p) + 0.5), p)))
    return half(d) + struct.pack("32b", *q)


def offset_quants(x, half_range):
    d = largest(x)[1] / F(-half_range)
    inv = F(1) / d if d != 0 else F(0)
    if np.isinf(inv):
        return d, [0] * 32
    return d, [min(2 * half_range - 1, int(v * inv + F(half_range + 0.5))) for v in x]


def nibbles(q):
    return bytes((q[j] & 15) | (q[j + 16] & 15) << 4 for j in range(16))


def q4_0(x):
    d, q = offset_quants(x, 8)
    return half(d) + nibbles(q)


def fifth_bits(q):
    return struct.pack("<I", sum((v >> 4) << j for j, v in enumerate(q)))


def q5_0(x):
    d, q = offset_quants(x, 16)
    return half(d) + fifth_bits(q) + nibbles(q)


def line_quants(x, q_max):
    least = min(x)
    d = (max(x) - least) / F(q_max)
    inv = F(1) / d if d != 0 else F(0)
    if np.isinf(inv):
        return half(d) + half(least), [0] * 32
    return half(d) + half(least), [min(q_max, int((v - least) * inv + F(0.5))) for v in x]


def q4_1(x):
    head, q = line_quants(x, 15)
    return head + nibbles(q)


def q5_1(x):
    head, q = line_quants(x, 31)
    return head + fifth_bits(q) + nibbles(q)


CODE_BOOK = [F(v) for v in (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)]


def code_nearest_to(t):
    """Index of the nearest value; of two equally near, the higher."""
    if t <= CODE_BOOK[0]:
        return 0
    if t >= CODE_BOOK[15]:
        return 15
    above = next(c for c in range(16) if CODE_BOOK[c] > t)
    return above - 1 if t - CODE_BOOK[above - 1] < CODE_BOOK[above] - t else above


def iq4_nl(x):
    amax, mx = largest(x)
    scale = F(0)
    if amax >= F(1e-15):
        best = None
        for inv in [F(1) / (-mx / CODE_BOOK[0])] + [F(t - 127) / mx for t in range(-7, 8)]:
            xp = pp = F(0)
            for v in x:
                p, w = CODE_BOOK[code_nearest_to(inv * v)], v * v
                xp = xp + w * p * v
                pp = pp + w * p * p
            if best is None or (pp > 0 and xp * xp > best * pp):
                scale = xp / pp
                best = scale * xp
    inv = F(1) / scale if scale != 0 else F(0)
    return half(scale) + nibbles([code_nearest_to(inv * v) for v in x])


def search_symmetric(x):
    """Scale and quants 0..63 of 16 weights for Q6_K."""
    amax, mx = largest(x)
    if amax < F(1e-15):
        return F(0), [0] * 16

    def sums(inv):
        xl = ll = F(0)
        q = []
        for v in x:
            n = clamp(nearest(inv * v), -32, 31)
            w = v * v
            xl = xl + w * v * F(n)
            ll = ll + w * F(n) * F(n)
            q.append(n + 32)
        return q, xl, ll

    q, xl, ll = sums(F(-32) / mx)
    scale = xl / ll if ll != 0 else F(0)
    best = scale * xl
    for s in range(-9, 10):
        if s == 0:
            continue
        q2, xl, ll = sums(-(F(32) + F(0.1) * F(s)) / mx)
        if ll > 0 and xl * xl > best * ll:
            q, scale = q2, xl / ll
            best = scale * xl
    return scale, q


def q6_k(x):
    groups = [x[16 * g : 16 * g + 16] for g in range(16)]
    found = [search_symmetric(g) for g in groups]
    amax, ms = largest([s for s, _ in found])
    if amax < F(1e-15):
        return bytes(210)
    inv = F(-128) / ms
    d = F(1) / inv
    sc = [min(127, nearest(inv * s)) for s, _ in found]
    q = []
    for g in range(16):
        dd = halved(d) * F(sc[g])
        if dd == 0:
            q += found[g][1]
        else:
            q += [clamp(nearest(v / dd), -32, 31) + 32 for v in groups[g]]
    ql, qh = bytearray(128), bytearray(64)
    for i, v in enumerate(q):
        h, k, j = i // 128, i // 32 % 4, i % 32
        ql[64 * h + 32 * (k % 2) + j] |= (v & 15) << (4 * (k // 2))
        qh[32 * h + j] |= (v >> 4) << (2 * k)
    return bytes(ql) + bytes(qh) + struct.pack("16b", *sc) + half(d)


def search_line(x, nmax, rmin, steps):
    """Scale, minimum and quants of 32 weights for Q4_K and Q5_K."""
    xx = F(0)
    for v in x:
        xx = xx + v * v
    av = np.sqrt(xx / F(32))
    w = [av + abs(v) for v in x]
    lo, hi = min(x), max(x)
    sum_w = sum_x = F(0)
    for i in range(32):
        sum_w = sum_w + w[i]
        sum_x = sum_x + w[i] * x[i]
    lo = min(lo, F(0))
    if hi == lo:
        return F(0), -lo, [0] * 32

    def error(scale, low, q):
        e = F(0)
        for i in range(32):
            diff = scale * F(q[i]) + low - x[i]
            e = e + w[i] * (diff * diff)
        return e

    inv = F(nmax) / (hi - lo)
    scale = F(1) / inv
    q = [clamp(nearest(inv * (v - lo)), 0, nmax) for v in x]
    best = error(scale, lo, q)
    for s in range(steps + 1):
        inv = (F(rmin) + F(0.1) * F(s) + F(nmax)) / (hi - lo)
        q2 = [clamp(nearest(inv * (v - lo)), 0, nmax) for v in x]
        sl = sl2 = sxl = F(0)
        for i in range(32):
            sl = sl + w[i] * F(q2[i])
            sl2 = sl2 + w[i] * F(q2[i]) * F(q2[i])
            sxl = sxl + w[i] * F(q2[i]) * x[i]
        det = sum_w * sl2 - sl * sl
        if not det > 0:
            continue
        ts = (sum_w * sxl - sum_x * sl) / det
        tm = (sl2 * sum_x - sl * sxl) / det
        if tm > 0:
            tm, ts = F(0), sxl / sl2
        e = error(ts, tm, q2)
        if e < best:
            q, best, scale, lo = q2, e, ts, tm
    return scale, -lo, q


def six_bits(values):
    top = F(0)
    for v in values:
        top = v if v > top else top
    inv = F(63) / top if top > 0 else F(0)
    return top / F(63), [min(63, nearest(inv * v) & 255) for v in values]


def line_superblock(x, nmax, rmin, steps):
    groups = [x[32 * g : 32 * g + 32] for g in range(8)]
    found = [search_line(g, nmax, rmin, steps) for g in groups]
    d, ls = six_bits([f[0] for f in found])
    dmin, lm = six_bits([f[1] for f in found])
    s = bytearray(12)
    for j in range(4):
        s[j], s[j + 4] = ls[j], lm[j]
    for j in range(4, 8):
        s[j + 4] = (ls[j] & 15) | (lm[j] & 15) << 4
        s[j - 4] |= (ls[j] >> 4) << 6
        s[j] |= (lm[j] >> 4) << 6
    q = []
    for g in range(8):
        dd, dm = halved(d) * F(ls[g]), halved(dmin) * F(lm[g])
        if dd == 0:
            q += found[g][2]
        else:
            q += [clamp(nearest((v + dm) / dd), 0, nmax) for v in groups[g]]
    qs = bytes(
        (q[64 * g + j] & 15) | (q[64 * g + 32 + j] & 15) << 4 for g in range(4) for j in range(32)
    )
    qh = bytes(sum((q[32 * g + j] >> 4) << g for g in range(8)) for j in range(32))
    return half(d) + half(dmin) + bytes(s), qh, qs


def q4_k(x):
    head, _, qs = line_superblock(x, 15, -1, 20)
    return head + qs


def q5_k(x):
    head, qh, qs = line_superblock(x, 31, -0.5, 15)
    return head + qh + qs


def random_superblock(rng, kind):
    scale = 10.0 ** rng.uniform(-4, 1)
    x = rng.standard_normal(256) * scale
    if kind == 1:  # one-sided
        x = np.abs(x) * rng.choice([-1, 1])
    elif kind == 2:  # outliers
        x[rng.choice(256, 6, replace=False)] *= 50
    elif kind == 3:  # mostly zeros
        x[rng.random(256) < 0.85] = 0
    elif kind == 4:  # constant and zero groups
        for g in range(8):
            if rng.random() < 0.6:
                x[32 * g : 32 * g + 32] = rng.choice([0, 1, -1]) * scale
        x[:16] = 0
    elif kind == 5:  # bfloat16 values: many equal ones
        x = (x.astype(F).view(np.uint32) & 0xFFFF0000).view(F)
    elif kind == 6:  # few levels of both signs: ties everywhere
        x = rng.integers(-4, 5, 256) * (scale / 4)
    elif kind == 7:  # groups of very different magnitude: some scales are stored as zero
        x *= np.repeat(10.0 ** rng.uniform(-7, 0, 16), 16)
    elif kind == 8:  # far from zero
        x = x * 0.01 + scale * rng.choice([-1, 1])
    return x.astype(F)


def special_superblocks(rng):
    for tiny in (1e-15, 3e-15, 1e-20, 1e-30, 1e-38, 1e-42):  # around and below the threshold of zero
        yield (rng.standard_normal(256) * tiny).astype(F)
    x = rng.standard_normal(256) * np.repeat([1, 1e-16, 1e-38, 0, 1e-44, 1e-5, 1e-9, 1e-3], 32)
    yield x.astype(F)
    x = np.zeros(256, F)
    x[255] = F(-0.5)
    yield x
    yield np.full(256, -0.75, F)
    yield np.full(256, 1000, F)
    yield np.where(np.arange(256) % 2 == 0, F(2), F(-2)).astype(F)
    yield (np.arange(256, dtype=F) - F(128)) * F(8)


BLOCKS_OF_32 = (q8_0, q4_0, q5_0, q4_1, q5_1, iq4_nl)


def check_against_gguf(x):
    """The package's quantizers give the same bytes where no inverse of a scale overflows."""
    try:
        import gguf
    except ImportError:
        return
    for quantize in BLOCKS_OF_32:
        if quantize is iq4_nl:  # the package only reads it
            continue
        for b in range(8):
            block = x[32 * b : 32 * b + 32]
            smallest = min(np.abs(block).max(), (block.max() - block.min()) or F(1))
            if 0 < smallest < 1e-35:
                continue
            expected = gguf.quants.quantize(block.reshape(1, 32), gguf.GGMLQuantizationType[quantize.__name__.upper()])
            if quantize(block) != expected.tobytes():
                sys.exit(f"{quantize.__name__} differs from the package gguf for {block}")


def main():
    rng = np.random.default_rng(20260901)
    cases = [random_superblock(rng, i % 9) for i in range(126)] + list(special_superblocks(rng))
    with open(sys.argv[1], "wb") as out:
        out.write(b"QCAS" + struct.pack("<I", len(cases)))
        for x in cases:
            check_against_gguf(x)
            out.write(x.astype("<f4").tobytes())
            for quantize in BLOCKS_OF_32:
                for b in range(8):
                    out.write(quantize(x[32 * b : 32 * b + 32]))
            for quantize in (q4_k, q5_k, q6_k):
                out.write(quantize(x))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_quant_cases.py OUTPUT")
    main()
