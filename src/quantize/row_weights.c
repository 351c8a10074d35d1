/* See row_weights.h. The weights are powers of four, so that their roots change no digit of a row. */
#include "quantize/row_weights.h"

/* Weights 1/16, 1, 4: found on the demo model, where neighbours make no difference beyond the noise. */
static const float words = 0.25f, sound = 1, choices = 2;

float row_weights_factor(net_rows rows, size_t first, size_t n_rows, size_t *n)
{
    const struct {
        size_t end;
        float factor;
    } runs[] = {
        /* in the order of the rows */
        { rows.audio_begin < rows.choices_begin ? rows.audio_begin : rows.choices_begin, words },
        { rows.audio_end < rows.choices_begin ? rows.audio_end : rows.choices_begin, sound },
        { rows.choices_begin, words },
        { n_rows, choices },
    };
    size_t i = 0;
    while (first >= runs[i].end) /* ends: first < n_rows */
        i++;
    *n = runs[i].end - first;
    return runs[i].factor;
}
