/* HTTP client: short responses into memory, and ranges of files over parallel connections. Follows redirects without
 * sending the token to another host or port; uses the proxies of the environment; retries transient failures, and waits
 * as long as the server asks. */
#ifndef QASR_CLI_PULL_FETCH_H
#define QASR_CLI_PULL_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/pull/partial_download.h"

enum { FETCH_MAX_CONNECTIONS = 32 };

typedef struct fetch fetch;

/* Callbacks for progress and interruption. */
typedef struct fetch_watch {
    void (*on_bytes)(void *user, uint64_t n); /* n more bytes of ranges have arrived; occasionally 0 */
    bool (*stopped)(void *user);              /* true: end as soon as possible */
    void *user;
} fetch_watch;

/* token: bearer token or NULL; must outlive f. n_retries: consecutive transient failures before giving up, with pauses
 * of 1, 2, 4 .. 32 s or as the server asks. NULL on failure (printed). */
fetch *fetch_open(const char *token, int n_connections, int n_retries, const fetch_watch *watch);
void fetch_close(fetch *f); /* NULL is fine */

/* ENDPOINT/SOURCE. Free it. NULL without memory (printed). */
char *fetch_url(const char *endpoint, const char *source);

/* The body of a response of at most max bytes, zero-terminated; free it. what: name in messages. NULL on failure
 * (printed) or when stopped. */
char *fetch_text(fetch *f, const char *url, const char *what, size_t max);

/* The server's information about a file. */
typedef struct fetch_facts {
    int64_t size;   /* -1: unknown */
    char etag[100]; /* X-Linked-Etag, else ETag, without quotes; "": none */
} fetch_facts;
bool fetch_probe(fetch *f, const char *url, const char *what, fetch_facts *facts);

/* Downloads all missing parts of the files; the address of a file is endpoint/source. On failure or when stopped, what
 * has arrived is kept in d; false (printed, unless stopped). */
bool fetch_download(fetch *f, download *d, const char *endpoint);

const char *fetch_curl_version(void);

#endif
