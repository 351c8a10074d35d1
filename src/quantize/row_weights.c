/* See row_weights.h. The weights are powers of four, so scaling a row by their roots is exact. */
#include "quantize/row_weights.h"

/* Weights 1/16, 1, 4: tuned on the demo model; nearby values give the same within noise. */
static const float prompt = 0.25f, audio = 1, choices = 2;

float row_weights_factor(net_rows rows, size_t first, size_t n_rows, size_t *n)
{
    const struct {
        size_t end;
        float factor;
    } runs[] = {
        /* in the order of the rows */
        { rows.audio_begin < rows.choices_begin ? rows.audio_begin : rows.choices_begin, prompt },
        { rows.audio_end < rows.choices_begin ? rows.audio_end : rows.choices_begin, audio },
        { rows.choices_begin, prompt },
        { n_rows, choices },
    };
    size_t i = 0;
    while (first >= runs[i].end) /* terminates: first < n_rows */
        i++;
    *n = runs[i].end - first;
    return runs[i].factor;
}
