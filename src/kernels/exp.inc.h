/* The exponential function, for vectors of any length. Included by the file of a level after its vec.h. */

/* e^x with a relative error of about 1e-7; 0 below EXP_LOWEST, large but finite above 88.3. NaN stays NaN. With x = n
 * ln 2 + r, computes a polynomial for e^r (minimax on |r| <= ln 2 / 2) times 2^n. */
static inline vf vf_exp(vf x)
{
    vf c = vf_min(vf_set1(88.3f), vf_max(vf_set1(EXP_LOWEST), x));
    vf n = vf_round(c * vf_set1(1.44269504f));
    vf r = vf_fnma(n, vf_set1(0x1.62e4p-1f), c); /* ln 2 in two parts; the first times n is exact */
    r = vf_fnma(n, vf_set1(1.42860677e-6f), r);
    vf q = vf_set1(0x1.6a1a72p-10f);
    q = vf_fma(q, r, vf_set1(0x1.123fc6p-7f));
    q = vf_fma(q, r, vf_set1(0x1.555916p-5f));
    q = vf_fma(q, r, vf_set1(0x1.55548ap-3f));
    q = vf_fma(q, r, vf_set1(0x1.fffffcp-2f));
    q = vf_fma(q * r, r, r) + vf_set1(1.0f);
    return vf_exp_underflow(vf_scale2(q, n), x);
}
