/* How much each input of a matrix counts in a calibration. The fixed words of the prompt are the same in every clip and
 * matter through the attention to them only; positions that choose a token are few beside the sound, and what they get
 * wrong is the answer. */
#ifndef QASR_QUANTIZE_ROW_WEIGHTS_H
#define QASR_QUANTIZE_ROW_WEIGHTS_H

#include "model/net.h"

/* The square root of the weight of row first, what the row is multiplied with before it goes into sums of products; *n:
 * how many of the n_rows rows from first on have the same. */
float row_weights_factor(net_rows rows, size_t first, size_t n_rows, size_t *n);

#endif
