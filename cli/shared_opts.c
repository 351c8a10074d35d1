/* See shared_opts.h. */
#include "cli/shared_opts.h"

#include <string.h>
#include <unistd.h>

#include "app/message.h"
#include "app/out.h"

const char *const decoder_weights_names[] = { "auto", "safetensors", "gguf", NULL };
const char *const precision_names[] = { "auto", "f32", NULL };
const char *const report_txt_json[] = { "txt", "json", NULL };
const char *const report_md_json[] = { "md", "json", NULL };

/* OPT_CHOICE writes an int. */
_Static_assert(sizeof(qasr_decoder_weights) == sizeof(int), "option values are stored as int");
_Static_assert(sizeof(qasr_precision) == sizeof(int), "option values are stored as int");
_Static_assert(sizeof(qasr_encoder_attention) == sizeof(int), "option values are stored as int");

bool overwrite_check(const char *output, int overwrite)
{
    return overwrite || out_is_special(output) || access(output, F_OK) != 0 ||
           message_fail("'%s' exists; use --force to replace it", output);
}

static const double MIN_S = 1, MAX_S = QASR_LONGEST_SEGMENT_S; /* of the published models */

bool segment_set(const command *cmd, const char *text, qasr_transcribe_options *options)
{
    if (!text || strcmp(text, "auto") == 0)
        return true;
    if (strcmp(text, "off") == 0) {
        options->max_segment_s = MAX_S;
        options->no_retry = 1; /* retries would cut the audio */
        return true;
    }
    if (opt_read_time(text, &options->max_segment_s) && options->max_segment_s >= MIN_S &&
        options->max_segment_s <= MAX_S)
        return true;
    opt_usage_error(cmd, "--segment '%s': expected auto, off or a number of seconds from %g to %g", text, MIN_S, MAX_S);
    return false;
}
