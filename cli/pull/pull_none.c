/* Replaces pull.c in builds without its libraries, and says which are missing. */
#include "app/message.h"
#include "cli/pull/pull.h"

int pull_model(const pull_options *o)
{
    (void)o;
    message_fail("this qasr was built without 'pull': " PULL_MISSING
                 "; copy the model's files into a directory, and pass that to --model");
    return EXIT_FAILED;
}

const char *pull_curl_version(void) { return "not built in"; }
