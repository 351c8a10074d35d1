/* The Hugging Face hub: its address, the access token, and the files of a repository. */
#ifndef QASR_CLI_PULL_HUB_H
#define QASR_CLI_PULL_HUB_H

#include <stdbool.h>
#include <stddef.h>

#include "app/manifest.h"
#include "app/models.h"
#include "cli/pull/fetch.h"

/* --endpoint, else HF_ENDPOINT, else the public hub, without slashes at its end. Free it. NULL if it is not an address
 * (printed). */
char *hub_endpoint(const char *given);
/* The token to send: HF_TOKEN; for the public hub also the one that its own tools have stored (HF_TOKEN_PATH,
 * HF_HOME/token, ~/.cache/huggingface/token). *token NULL: none, or the endpoint must not see it (with a warning).
 * False on error (printed). */
bool hub_token(char **token, const char *endpoint);

/* Lists the needed files of a model at a revision. Sizes and hashes missing from the listing are requested. False on
 * error (printed). */
bool hub_list(manifest *m, fetch *f, const char *endpoint, const model_spec *spec);
/* Parses a response of the hub's API. False if it is invalid or not of a model (printed). */
bool hub_parse(manifest *m, const char *text, const model_spec *spec);
/* The same for a repository that only provides the model's tokenizer: adds its files. */
bool hub_parse_tokenizer(manifest *m, const char *text, const char *repo);
/* False if a file is missing that the tokenizer needs. */
bool hub_has_tokenizer(const manifest *m);

#endif
