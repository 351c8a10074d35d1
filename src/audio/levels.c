/* See levels.h. */
#include "audio/levels.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

enum {
    ZERO = 127,          /* index of the level 1 */
    LOUD = ZERO + 2,     /* outliers are above 4 */
    ORDINARY_STEPS = 4,  /* of 6 dB, above the level that 50 ms reach */
    ORDINARY_PER_S = 20, /* 1 / 50 ms */
    BLOCKS_PER_S = 4,
    MAX_RANGES = 4096
};

static const double outweighing = 16;                        /* 12 dB: energy of an offset by that of the sound */
static const double least_offset = 0.01, least_sound = 1e-9; /* -90 dB */
static const double audible = 1e-3;                          /* -60 dB: a channel below that has nothing to lose */
static const double cancelling = 0.01; /* -20 dB: energy of the sum by that of the loudest channel */

void levels_init(levels *l, int rate, size_t channels) { *l = (levels){ .rate = rate, .channels = channels }; }

void levels_free(levels *l)
{
    mem_free(l->ranges);
    l->ranges = NULL;
    l->n_ranges = l->capacity = 0;
}

static void count_level(levels *l, float x, uint64_t at)
{
    uint32_t bits;
    const float size = fabsf(x);
    memcpy(&bits, &size, sizeof bits);
    const uint32_t exponent = bits >> 23;
    if (l->counts[exponent]++ == 0)
        l->first[exponent] = at;
    if (size > l->largest[exponent])
        l->largest[exponent] = size;
}

static qasr_status add_range(levels *l, uint64_t from, uint64_t to, size_t channel, qasr_error *err)
{
    cancelled *last = l->n_ranges ? &l->ranges[l->n_ranges - 1] : NULL;
    if (last && ((last->to == from && last->channel == channel) || l->n_ranges == MAX_RANGES)) {
        last->to = to;
        return QASR_OK;
    }
    if (l->n_ranges == l->capacity) {
        cancelled *more;
        const size_t capacity = l->capacity ? 2 * l->capacity : 16;
        TRY(MEM_ALLOC(&more, capacity, err));
        if (l->n_ranges)
            memcpy(more, l->ranges, l->n_ranges * sizeof *more);
        mem_free(l->ranges);
        l->ranges = more;
        l->capacity = capacity;
    }
    l->ranges[l->n_ranges++] = (cancelled){ from, to, channel };
    return QASR_OK;
}

static qasr_status end_block(levels *l, qasr_error *err)
{
    size_t loudest = 0;
    qasr_status status = QASR_OK;
    for (size_t c = 1; c < l->channels; c++)
        if (l->channel_energy[c] > l->channel_energy[loudest])
            loudest = c;
    const double energy = l->channel_energy[loudest];
    if (energy > audible * audible * (double)l->n_block && l->sum_energy < cancelling * energy)
        status = add_range(l, l->n - l->n_block, l->n, loudest + 1, err);
    l->n_block = 0;
    l->sum_energy = 0;
    memset(l->channel_energy, 0, sizeof l->channel_energy);
    return status;
}

static qasr_status add_frame(levels *l, const float *frame, qasr_error *err)
{
    double sum = 0;
    for (size_t c = 0; c < l->channels; c++) {
        const double x = frame[c];
        l->channel_energy[c] += x * x;
        sum += x;
    }
    l->sum_energy += sum * sum;
    return ++l->n_block * BLOCKS_PER_S >= (size_t)l->rate ? end_block(l, err) : QASR_OK;
}

qasr_status levels_add(levels *l, const float *frames, const float *mix, size_t n, qasr_error *err)
{
    for (size_t i = 0; i < n; i++) {
        count_level(l, mix[i], l->n);
        l->n++;
        l->sum += mix[i];
        l->energy += (double)mix[i] * mix[i];
        if (frames && l->channels > 1)
            TRY(add_frame(l, frames + i * l->channels, err));
    }
    return QASR_OK;
}

qasr_status levels_finish(levels *l, qasr_error *err) { return l->n_block > 0 ? end_block(l, err) : QASR_OK; }

float levels_limit(const levels *l, uint64_t *at, float *peak)
{
    uint64_t n = 0;
    int ordinary = LEVELS_EXPONENTS - 1;
    for (; ordinary >= 0; ordinary--) {
        n += l->counts[ordinary];
        if (n * ORDINARY_PER_S >= (uint64_t)l->rate)
            break;
    }
    if (ordinary < 0) /* shorter than that: nothing to compare with */
        return INFINITY;
    const int highest = ordinary + ORDINARY_STEPS > LOUD - 1 ? ordinary + ORDINARY_STEPS : LOUD - 1;
    float limit = 0;
    bool found = false;
    *peak = 0;
    for (int i = 0; i < LEVELS_EXPONENTS; i++) {
        if (l->counts[i] == 0)
            continue;
        if (i <= highest) {
            limit = l->largest[i];
            continue;
        }
        *at = found && *at < l->first[i] ? *at : l->first[i];
        *peak = l->largest[i];
        found = true;
    }
    return found ? limit : INFINITY;
}

float levels_offset(const levels *l)
{
    const double mean = l->n > 0 ? l->sum / (double)l->n : 0;
    const double variance = l->n > 0 ? l->energy / (double)l->n - mean * mean : 0;
    const bool is_sound = l->n * 2 >= (uint64_t)l->rate && variance > least_sound;
    return is_sound && fabs(mean) > least_offset && mean * mean > outweighing * variance ? (float)mean : 0;
}

const cancelled *levels_cancelled(const levels *l, uint64_t frame)
{
    size_t low = 0, high = l->n_ranges;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (l->ranges[middle].to <= frame)
            low = middle + 1;
        else
            high = middle;
    }
    return low < l->n_ranges ? &l->ranges[low] : NULL;
}
