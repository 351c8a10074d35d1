/* The Hugging Face hub: where it is, who asks, and what a repository consists of. */
#ifndef QASR_CLI_PULL_HUB_H
#define QASR_CLI_PULL_HUB_H

#include <stdbool.h>
#include <stddef.h>

#include "app/manifest.h"
#include "app/models.h"
#include "cli/pull/fetch.h"

/* --endpoint, else HF_ENDPOINT, else the public hub, without slashes at its end. Free it. NULL if it is no address
 * (printed). */
char *hub_endpoint(const char *given);
/* The token to send there: HF_TOKEN; for the public hub also the one that its own programs have stored (HF_TOKEN_PATH,
 * HF_HOME/token, ~/.cache/huggingface/token). *token NULL: none, or the endpoint is not to see it (warned of). False on
 * error (printed). */
bool hub_token(char **token, const char *endpoint);

/* The files of a model that are needed, of those that the hub lists for a revision. Those whose size or hash the list
 * does not have are asked for. False on error (printed). */
bool hub_list(manifest *m, fetch *f, const char *endpoint, const model_spec *spec);
/* Of one answer of the hub's API. False if it makes no sense or holds no model (printed). */
bool hub_parse(manifest *m, const char *text, const model_spec *spec);
/* The same for a repository that gives the tokenizer of the model alone: adds its files. */
bool hub_parse_tokenizer(manifest *m, const char *text, const char *repo);
/* False if a file is missing that the tokenizer needs. */
bool hub_has_tokenizer(const manifest *m);

#endif
