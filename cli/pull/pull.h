/* Pulls a model from the hub. */
#ifndef QASR_CLI_PULL_PULL_H
#define QASR_CLI_PULL_PULL_H

#include "app/models.h"
#include "app/opt.h"

typedef struct pull_options {
    const char *name;  /* as given by the user */
    const char *again; /* the whole command line, to resume with */
    const model_spec *spec;
    const char *dest;     /* directory of the model */
    const char *endpoint; /* NULL: default */
    const char *qtype;    /* to quantize to; NULL: none */
    opt_files sha256;     /* "FILE=HEX" */
    int n_connections, n_retries;
    int verify; /* non-zero: check hashes of existing files, not only sizes */
    int quiet;
} pull_options;

/* Prints errors; returns the exit status. */
int pull_model(const pull_options *o);

const char *pull_curl_version(void);

#endif
