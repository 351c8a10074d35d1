/* Statistics of 'qasr eval' against values computed by hand, and properties that must hold. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/distribution.h"
#include "cli/eval/stats.h"

static void divergence(void **state)
{
    const float even[2] = { 5, 5 }, odd[2] = { (float)log(3), 0 }; /* 1/2, 1/2 and 3/4, 1/4 */
    assert_float_equal(distribution_kl(even, odd, 2), 0.5 * log(0.5 / 0.75) + 0.5 * log(0.5 / 0.25), 1e-7);
    assert_float_equal(distribution_kl(odd, even, 2), 0.75 * log(0.75 / 0.5) + 0.25 * log(0.25 / 0.5), 1e-7);
    assert_true(distribution_kl(odd, odd, 2) == 0);
    assert_float_equal(distribution_log_prob(odd, 2, 1), log(0.25), 1e-7);
    const float wide[3] = { 1000, -1000, 0 }, shifted[3] = { 2000, 0, 1000 }; /* no overflow; a shift changes nothing */
    assert_true(distribution_kl(wide, shifted, 3) == 0);
    assert_true(distribution_log_prob(wide, 3, 0) == 0);
    assert_float_equal(distribution_log_prob(wide, 3, 1), -2000, 1e-6);
    assert_int_equal(distribution_arg_max((float[]){ 1, 3, 3, 2 }, 4), 1);
}

/* A small change of a large row: the second-order term, sum p d^2 / 2 - (sum p d)^2 / 2, which is far below float
 * rounding. */
static void small_divergence(void **state)
{
    enum { N = 5000 };
    static float p[N], q[N];
    double sum = 0, first = 0, second = 0;
    for (int i = 0; i < N; i++) {
        p[i] = (float)(10 * sin(i * 0.37));
        q[i] = p[i] + (float)(1e-4 * cos(i * 1.3));
    }
    for (int i = 0; i < N; i++) {
        double weight = exp(p[i]), d = (double)q[i] - p[i];
        sum += weight;
        first += weight * d;
        second += weight * d * d;
    }
    double expected = 0.5 * (second / sum - first / sum * first / sum);
    assert_true(expected > 1e-10 && expected < 1e-8);
    assert_float_equal(distribution_kl(p, q, N) / expected, 1, 1e-3);
}

static void quantiles(void **state)
{
    double x[] = { 4, 1, 3, 2, 5 };
    assert_float_equal(stats_quantile(x, 5, 0.5), 3, 1e-12);
    assert_float_equal(stats_quantile(x, 5, 0), 1, 1e-12);
    assert_float_equal(stats_quantile(x, 5, 1), 5, 1e-12);
    assert_float_equal(stats_quantile(x, 5, 0.95), 4.8, 1e-12);
    assert_float_equal(stats_quantile(x, 1, 0.95), 1, 1e-12);
    assert_true(isnan(stats_quantile(x, 0, 0.5)));
}

static void intervals(void **state)
{
    enum { N = 400 };
    stats_ratio items[N], same[3] = { { 1, 4 }, { 1, 4 }, { 1, 4 } }, none[2] = { { 3, 0 }, { 0, 0 } };
    double a[2], b[2];
    stats_interval(a, same, 3); /* nothing varies */
    assert_true(a[0] == 0.25 && a[1] == 0.25);
    stats_interval(a, none, 2);
    assert_true(isnan(a[0]) && isnan(a[1]));
    for (size_t i = 0; i < N; i++)
        items[i] = (stats_ratio){ i % 5 == 0, 1 };
    stats_interval(a, items, N);
    stats_interval(b, items, N);
    assert_memory_equal(a, b, sizeof a);
    /* mean of N draws, each 1 with probability 0.2: about normal, standard deviation 0.02 */
    assert_float_equal(a[0], 0.2 - 1.96 * 0.02, 0.004);
    assert_float_equal(a[1], 0.2 + 1.96 * 0.02, 0.004);
    stats_interval(a, items, 1);
    assert_true(a[0] == 1 && a[1] == 1);
    for (size_t i = 0; i < N; i++) /* means of two values: 0.5e-3 or 0, as many of each */
        items[i] = (stats_ratio){ i % 2 ? 1e-3 : 0, 2 };
    stats_interval(a, items, N); /* standard deviation 0.25e-3 / sqrt(N) */
    assert_float_equal(a[0], 0.25e-3 - 1.96 * 0.0125e-3, 0.003e-3);
    assert_float_equal(a[1], 0.25e-3 + 1.96 * 0.0125e-3, 0.003e-3);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(divergence), cmocka_unit_test(small_divergence),
                                        cmocka_unit_test(quantiles), cmocka_unit_test(intervals) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
