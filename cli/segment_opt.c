/* See segment_opt.h. */
#include "cli/segment_opt.h"

#include <stdlib.h>
#include <string.h>

static const double MIN_S = 1, MAX_S = QASR_LONGEST_SEGMENT_S;

bool segment_set(const command *cmd, const char *text, qasr_transcribe_options *options)
{
    if (!text || strcmp(text, "auto") == 0)
        return true;
    if (strcmp(text, "off") == 0) {
        options->max_segment_s = MAX_S;
        options->no_retry = 1; /* which might cut it after all */
        return true;
    }
    char *end;
    options->max_segment_s = strtod(text, &end);
    if (end != text && !*end && options->max_segment_s >= MIN_S && options->max_segment_s <= MAX_S)
        return true;
    opt_usage_error(cmd, "--segment '%s': expected auto, off or a number of seconds from %g to %g", text, MIN_S, MAX_S);
    return false;
}
