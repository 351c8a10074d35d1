/* Searches for scales with a small weighted squared error, for all importance-weighted quantizers.
 *
 * In: the weights that share a scale, and their importance. Out: the scale (and offset). A search tries many candidates
 * at once, one per lane. For each it rounds all weights and computes the error, and the scale that fits the rounded
 * weights best (least squares). The best few are refined from there until nothing improves. Each lane sums from element
 * 0 upwards, so results do not depend on the compiler. */
#ifndef QASR_QUANT_SEARCH_H
#define QASR_QUANT_SEARCH_H

#include <stdbool.h>

#include "quant/formats.h"

enum { LANES = 8, GROUP_MAX = 32 };

/* 16 or 32 weights, expressed in a unit (a power of two) such that no sum overflows. */
typedef struct group {
    unsigned n;
    float x[GROUP_MAX];
    float w[GROUP_MAX]; /* importance, at most 1 and never quite 0 */
    double unit;        /* the weights are x * unit */
    float sum_w, mean;  /* sum of w; weighted mean of x */
    float energy;       /* sum of w x^2: the error if all weights become 0 */
} group;

/* The unit for n weights: their largest magnitude is in [1, 2) units. 1 if all are 0. */
double group_unit(const float *x, size_t n);
/* The largest importance, by which group_load divides. */
float group_most(const float *importance, size_t n);
void group_load(group *g, const float *x, const float *importance, unsigned n, double unit, float most);

/* The points that a scale multiplies: the integers low .. high, or the entries of a codebook, also integers. */
typedef struct grid {
    float low, high;
    const int8_t *nearest; /* NULL: all integers; else the point nearest to t is at [2 (t - low)] */
} grid;

/* The scale for a group, of either sign, in units. half: scale * unit must be a float16. */
float search_scale(const group *g, const grid *points, bool half);
/* The same for a block of 32 that begins with its scale in float16; writes the whole block. */
void search_scale_block(void *block, quant_type type, const grid *points, const float x[QK],
                        const float importance[QK]);

/* One candidate scale per lane, in units, and its results. */
typedef struct scale_lanes {
    float scale[LANES];
    float error[LANES];     /* sum of w (x - scale * point)^2 */
    float fit[LANES];       /* the scale with the least error for the same points */
    float fit_error[LANES]; /* the error with fit */
} scale_lanes;

void try_scales(scale_lanes *s, const group *g, const grid *points);

/* ---- lines: value = scale * q + low ---- */

typedef struct line_rule {
    float q_max;         /* q is 0 .. q_max */
    bool not_above_zero; /* low must not be positive */
    bool halves;         /* scale * unit and low * unit must be float16 */
} line_rule;

typedef struct line {
    float scale, low;
} line;
typedef struct line_best {
    line line;
    float error;
} line_best;

/* The line for a group of 32, in units; its scale is not negative. */
line search_line(const group *g, const line_rule *rule);
/* The same for a block of 32 that begins with scale and low in float16; writes the whole block. */
void search_line_block(void *block, quant_type type, int q_max, const float x[QK], const float importance[QK]);

/* Like scale_lanes. */
typedef struct line_lanes {
    float scale[LANES], low[LANES];
    float error[LANES];
    float fit_scale[LANES], fit_low[LANES], fit_error[LANES];
} line_lanes;

void try_lines(line_lanes *s, const group *g, const line_rule *rule);

/* ---- shared by both searches ---- */

/* v as float16; magnitudes above the largest finite float16 become that. */
uint16_t half_clamped(double v);
/* v, in units, rounded to the nearest float16 after scaling; half_beside: the float16 steps further from zero. */
float half_in_units(float v, double unit);
float half_beside(float v, double unit, int steps);

/* The best fits of the coarse search, the best one first. low is 0 in a search for one scale. */
typedef struct starts {
    line line[LANES];
    float error[LANES];
    int n;
} starts;

void starts_add(starts *s, line l, float error);

/* Stores all elements of a block whose scales are set. */
void put_all(void *block, quant_type type, const float *x);

/* Quantizes rows of blocks. Each block is the better result of search and of the type's plain quantizer. Where all of a
 * block's importance is 0, every weight counts the same. */
typedef void (*search_fn)(void *block, const float *x, const float *importance);
void quantize_rows_weighted(quant_type type, search_fn search, void *out, const float *x, const float *importance,
                            size_t n);

/* The least-squares scale for fixed codes, as float16; the old scale if that is not better. */
uint16_t refit_half_scale(uint16_t old, const float *points, const float *x, const float *importance, unsigned n);
/* The same for lines: scale and low change together or not at all. */
void refit_half_line(uint16_t *scale, uint16_t *low, const float *codes, const float *x, const float *importance,
                     unsigned n);

#endif
