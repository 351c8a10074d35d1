/* In place of pull.c where the libraries for it were missing: says which. */
#include "app/message.h"
#include "cli/pull/pull.h"

int pull_model(const pull_options *o)
{
    (void)o;
    message_fail("this qasr was built without 'pull': " PULL_MISSING
                 "; copy a model's files into a directory yourself, and name it with --model");
    return EXIT_FAILED;
}

const char *pull_curl_version(void) { return "not built in"; }
