/* Weight of each row of a matrix's input in a calibration. The fixed text of the prompt is the same in every clip and
 * matters only through attention to it, so it counts less. Positions that choose a token are few compared with the
 * audio, but their errors change the answer, so they count more. */
#ifndef QASR_QUANTIZE_ROW_WEIGHTS_H
#define QASR_QUANTIZE_ROW_WEIGHTS_H

#include "model/net.h"

/* Square root of the weight of row first, by which the row is multiplied before products are summed; *n: the number of
 * rows from first on, of n_rows in all, that have the same weight. */
float row_weights_factor(net_rows rows, size_t first, size_t n_rows, size_t *n);

#endif
