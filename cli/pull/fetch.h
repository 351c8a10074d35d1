/* HTTP: short answers into memory, many ranges of files side by side. Follows redirects, where a token is not sent on
 * to another host or port; uses the proxies of the environment; tries again what may go better the next time, and waits
 * as long as the server asks for. */
#ifndef QASR_CLI_PULL_FETCH_H
#define QASR_CLI_PULL_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/pull/partial_download.h"

enum { FETCH_MAX_CONNECTIONS = 32 };

typedef struct fetch fetch;

/* What the caller wants to know and decides. */
typedef struct fetch_watch {
    void (*on_bytes)(void *user, uint64_t n); /* n more bytes of ranges have come; now and then also with 0 */
    bool (*stopped)(void *user);              /* true: end as soon as possible */
    void *user;
} fetch_watch;

/* token: NULL or what to send as a bearer token; the string is to live as long. n_retries: how many failures in a row
 * that may pass are borne, with pauses of 1, 2, 4 .. 32 s or what the server asks for. NULL on failure (printed). */
fetch *fetch_open(const char *token, int n_connections, int n_retries, const fetch_watch *watch);
void fetch_close(fetch *f); /* NULL is fine */

/* ENDPOINT/SOURCE. Free it. NULL without memory (printed). */
char *fetch_url(const char *endpoint, const char *source);

/* The body of an answer of at most max bytes, ended by a zero; free it. what: for messages. NULL on failure (printed)
 * or when stopped. */
char *fetch_text(fetch *f, const char *url, const char *what, size_t max);

/* What the server says of a file: */
typedef struct fetch_facts {
    int64_t size;   /* -1: nothing */
    char etag[100]; /* X-Linked-Etag, else ETag, without quotes; "": none */
} fetch_facts;
bool fetch_probe(fetch *f, const char *url, const char *what, fetch_facts *facts);

/* All that is missing of the files; endpoint and the source of a file make its address. What has come when it fails or
 * is stopped is remembered by ps. False then (printed, unless stopped). */
bool fetch_parts(fetch *f, download *ps, const char *endpoint);

const char *fetch_curl_version(void);

#endif
