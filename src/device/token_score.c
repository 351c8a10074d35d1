/* See token_score.h. With s = sum of exp(x - largest) and t = sum of exp(x - largest) (x - largest), the results are
 * -log s and log s - t / s. Sums run in double from the first element, so results are the same everywhere. */
#include "device/token_score.h"

#include <math.h>

void token_score(float out[2], const float *x, size_t n, int32_t id)
{
    out[0] = out[1] = NAN;
    if (id < 0)
        return;
    double s = 0, t = 0;
    for (size_t k = 0; k < n; k++) {
        float below = x[k] - x[id], e = expf(below);
        s += (double)e;
        t += (double)(e * below);
    }
    out[0] = (float)-log(s);
    out[1] = (float)(log(s) - t / s);
}
