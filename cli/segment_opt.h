/* The option --segment: how long audio is cut. */
#ifndef QASR_CLI_SEGMENT_OPT_H
#define QASR_CLI_SEGMENT_OPT_H

#include <stdbool.h>

#include "app/opt.h"
#include "qasr/qasr.h"

/* For tables of options, with offsetof(args, FIELD) of a const char *. */
#define SEGMENT_OPT(field)                                                                                             \
    {                                                                                                                  \
        "segment", 0, "N",                                                                                             \
            "cut long audio where it is quiet: into segments of at most N seconds, auto (default): at most 28, about " \
            "14, or off",                                                                                              \
            OPT_STRING, field                                                                                          \
    }

/* "auto" (NULL), "off", or seconds. False when it is none of them (printed). */
bool segment_set(const command *cmd, const char *text, qasr_transcribe_options *options);

#endif
