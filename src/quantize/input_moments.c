/* See input_moments.h. */
#include "quantize/input_moments.h"

#include "device/layout.h"
#include "quantize/row_weights.h"

enum { BLOCK_ROWS = 128 }; /* float32 sums stay this short; adding a block is cheap compared with computing it */

static size_t rows_if(bool wanted, size_t rows) { return wanted ? rows : 0; }

/* From byte at of mem on, to the byte after the last; mem NULL: only the size. */
static size_t place(input_moments *g, device_mem *mem, size_t at)
{
    bool squares = g->what & MOMENTS_SQUARES, products = g->what & MOMENTS_PRODUCTS, drift = g->what & MOMENTS_DRIFT;
    const dmat_part parts[] = {
        { &g->squares, QUANT_F32, rows_if(squares, 1), g->cols },
        { &g->triangle, QUANT_F32, rows_if(products, 1), input_moments_triangle(g->cols) },
        { &g->drift, QUANT_F32, rows_if(drift, g->cols), g->cols },
        { &g->block, QUANT_F32, BLOCK_ROWS, g->cols },
        { &g->changes, QUANT_F32, rows_if(drift, BLOCK_ROWS), g->cols },
    };
    return dmat_layout(mem, at, parts, ARRAY_LEN(parts));
}

uint64_t input_moments_bytes(size_t cols, unsigned what)
{
    return place(&(input_moments){ .cols = cols, .what = what }, NULL, 0);
}

void input_moments_place(input_moments *g, device_mem *mem, size_t *used, size_t cols, unsigned what)
{
    *g = (input_moments){ .cols = cols, .what = what };
    *used = place(g, mem, *used);
}

void input_moments_clear(input_moments *m, device *d)
{
    const dmat all[] = { m->squares, m->triangle, m->drift, m->block, m->changes };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (all[i].mem)
            op_clear(d, all[i]);
}

void input_moments_flush(input_moments *m, device *d)
{
    dmat rows = dmat_rows(m->block, 0, m->n_block);
    if (m->n_block == 0)
        return;
    if (m->what & MOMENTS_SQUARES)
        op_add_squares(d, m->squares, rows);
    if (m->what & MOMENTS_PRODUCTS)
        op_add_products(d, m->triangle, rows);
    if (m->what & MOMENTS_DRIFT)
        op_add_cross_products(d, m->drift, dmat_rows(m->changes, 0, m->n_block), rows);
    m->n_block = 0;
}

/* Rows [first, first + n) of a block, cols wide. */
static dmat part(dmat block, size_t first, size_t n, size_t cols)
{
    dmat rows = dmat_rows(block, first, n);
    rows.cols = cols;
    return rows;
}

/* Adds rows [first, first + n), which have the same weight and fit into the block. */
static void add_rows(input_moments *m, device *d, dmat x, dmat exact, size_t first, size_t n, float factor)
{
    dmat to = part(m->block, m->n_block, n, x.cols);
    op_scale(d, to, dmat_rows(x, first, n), factor);
    if (m->what & MOMENTS_DRIFT) {
        dmat change = part(m->changes, m->n_block, n, x.cols);
        op_scale(d, change, dmat_rows(exact, first, n), factor);
        op_subtract(d, change, change, to);
    }
    m->n_block += n;
    m->n_rows += n;
    double weight = (double)factor * (double)factor;
    m->weight += (double)n * weight;
    m->weight_squares += (double)n * weight * weight;
    if (m->n_block == BLOCK_ROWS)
        input_moments_flush(m, d);
}

void input_moments_add(input_moments *m, device *d, dmat x, dmat exact, net_rows rows)
{
    for (size_t r = 0, n; r < x.rows; r += n) {
        float factor = row_weights_factor(rows, r, x.rows, &n);
        size_t room = BLOCK_ROWS - m->n_block;
        n = n < room ? n : room;
        add_rows(m, d, x, exact, r, n, factor);
    }
}
