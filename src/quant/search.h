/* Searches for scales that keep a weighted squared error small: what the importance-weighted quantizers share.
 *
 * In: the weights of one scale and how much each counts. Out: the scale (and offset). A search tries many candidates at
 * once, one per lane. For each it rounds all weights and learns two things: the error, and the scale that the rounded
 * weights would rather have, by least squares. The best few go on from there until nothing gets better. Each lane sums
 * from element 0 upwards, so results do not depend on the compiler. */
#ifndef QASR_QUANT_SEARCH_H
#define QASR_QUANT_SEARCH_H

#include <stdbool.h>

#include "quant/formats.h"

enum { LANES = 8, GROUP_MAX = 32 };

/* 16 or 32 weights in a unit of their own, a power of two, so that no sum overflows. */
typedef struct group {
    unsigned n;
    float x[GROUP_MAX];
    float w[GROUP_MAX]; /* importance, at most 1 and never quite 0 */
    double unit;        /* the weights are x * unit */
    float sum_w, mean;  /* of x, weighted */
    float energy;       /* sum of w x^2: the error of zeros */
} group;

/* The unit for n weights: their largest magnitude is in [1, 2) units. 1 for zeros. */
double group_unit(const float *x, size_t n);
/* What importance is divided by: its largest value. */
float group_most(const float *importance, size_t n);
void group_load(group *g, const float *x, const float *importance, unsigned n, double unit, float most);

/* What a scale multiplies: the integers low .. high, or the entries of a code book, which are integers too. */
typedef struct grid {
    float low, high;
    const int8_t *nearest; /* NULL: all integers. Else the point nearest to t at [2 (t - low)] */
} grid;

/* The scale for a group: of either sign, in units. half: one that a half holds, once it is in the weights' own measure.
 */
float search_scale(const group *g, const grid *points, bool half);
/* The same for a block of 32 that begins with its half: the whole block. */
void search_scale_block(void *block, quant_type type, const grid *points, const float x[QK],
                        const float importance[QK]);

/* A scale of one lane each, in units, and what comes of it. */
typedef struct scale_lanes {
    float scale[LANES];
    float error[LANES];     /* sum of w (x - scale * point)^2 */
    float fit[LANES];       /* the scale with the least error for the same points */
    float fit_error[LANES]; /* and that error */
} scale_lanes;

void try_scales(scale_lanes *s, const group *g, const grid *points);

/* ---- lines: value = scale * q + low ---- */

typedef struct line_rule {
    float q_max;         /* q is 0 .. q_max */
    bool not_above_zero; /* low */
    bool halves;         /* both are what halves hold, in the weights' own measure */
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
/* The same for a block of 32 that begins with scale and low: the whole block. */
void search_line_block(void *block, quant_type type, int q_max, const float x[QK], const float importance[QK]);

/* As scale_lanes. */
typedef struct line_lanes {
    float scale[LANES], low[LANES];
    float error[LANES];
    float fit_scale[LANES], fit_low[LANES], fit_error[LANES];
} line_lanes;

void try_lines(line_lanes *s, const group *g, const line_rule *rule);

/* ---- what the searches share ---- */

/* Too large a magnitude becomes the largest. */
uint16_t half_clamped(double v);
/* What a half holds instead of v, all in units; and the half so many steps further from zero. */
float half_in_units(float v, double unit);
float half_beside(float v, double unit, int steps);

/* The best fits of a first look, the best one first; for one scale low is 0. */
typedef struct starts {
    line line[LANES];
    float error[LANES];
    int n;
} starts;

void starts_add(starts *s, line l, float error);

/* Stores all elements of a block whose scales are there. */
void put_all(void *block, quant_type type, const float *x);

/* Rows of blocks: each block the better one of what search makes and what the type's own quantizer makes. Where all of
 * a block's importance is 0, every weight counts the same. */
typedef void (*search_fn)(void *block, const float *x, const float *importance);
void quantize_rows_weighted(quant_type type, search_fn search, void *out, const float *x, const float *importance,
                            size_t n);

/* The scale of codes that stay: least squares, as a half; the old one where that is no better. */
uint16_t refit_half_scale(uint16_t old, const float *points, const float *x, const float *importance, unsigned n);
/* The same for lines: scale and low change together or not at all. */
void refit_half_line(uint16_t *scale, uint16_t *low, const float *codes, const float *x, const float *importance,
                     unsigned n);

#endif
