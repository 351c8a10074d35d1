/* Fetching a model. */
#ifndef QASR_CLI_PULL_PULL_H
#define QASR_CLI_PULL_PULL_H

#include "app/models.h"
#include "app/opt.h"

typedef struct pull_options {
    const char *name;  /* as the user said it */
    const char *again; /* the whole command, as one types it to go on */
    const model_spec *spec;
    const char *dest;     /* directory that the model is to be */
    const char *endpoint; /* NULL: default */
    const char *qtype;    /* to quantize to; NULL: none */
    opt_files sha256;     /* "FILE=HEX" */
    int n_connections, n_retries;
    int verify; /* non-zero: of what is there, look at hashes, not only at sizes */
    int quiet;
} pull_options;

/* Gives the exit status; errors are printed. */
int pull_model(const pull_options *o);

const char *pull_curl_version(void);

#endif
