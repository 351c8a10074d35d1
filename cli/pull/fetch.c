/* HTTP by libcurl. Short responses are fetched one at a time; ranges of files over several connections, driven by one
 * loop that gives each free connection the next range. Transient failures (429, 5xx, broken connections) are retried
 * after a pause of all connections; they are counted until bytes arrive again. */
#include "cli/pull/fetch.h"

#include <ctype.h>
#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "app/message.h"
#include "qasr/qasr.h"

enum {
    MAX_REDIRECTS = 10,
    MAX_PAUSE_S = 32, /* longest pause of our own; the server may request more, up to: */
    MAX_RETRY_AFTER_S = 600,
    CONNECT_TIMEOUT_S = 30,
    STALL_TIMEOUT_S = 60, /* without a byte */
    STEP_MS = 100         /* between checks for interruption */
};

/* Headers of a response: of the last one in a chain of redirects, except for the etag of a linked file, which is in the
 * first. */
typedef struct reply {
    int64_t range_begin, total; /* -1: no Content-Range */
    int64_t length;             /* -1: no Content-Length */
    int64_t linked_size;        /* -1: none */
    char etag[100], linked_etag[100];
} reply;

/* A connection and the range it fetches. */
typedef struct slot {
    fetch *f;
    CURL *easy;
    char error[CURL_ERROR_SIZE];
    reply reply;
    bool busy;
    download_range at;
    uint64_t begin, position; /* begin and current position of this attempt */
    char *url;
    enum { NO_TROUBLE, BAD_ANSWER, NO_RANGES, NOT_WRITTEN } trouble;
} slot;

struct fetch {
    CURLM *multi;
    const char *token;
    fetch_watch watch;
    int n_slots;
    slot slots[FETCH_MAX_CONNECTIONS];
    download *download; /* during fetch_download */
    bool reached;       /* the server has responded before */
    int n_failures;     /* in a row */
    int n_retries;      /* how many are tolerated */
    double resume_at_s; /* no request starts before */
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool stopped(const fetch *f) { return f->watch.stopped(f->watch.user); }

char *fetch_url(const char *endpoint, const char *source)
{
    char *url = NULL;
    if (asprintf(&url, "%s/%s", endpoint, source) >= 0)
        return url;
    message_fail("out of memory");
    return NULL;
}

/* ---- headers --------------------------------------------------------------------------------- */

/* The value of a header line of the given name, without surrounding white space and quotes, and its length n; NULL for
 * other headers. */
static const char *value_of(const char *line, size_t size, const char *name, size_t *n)
{
    size_t len = strlen(name);
    if (size <= len || strncasecmp(line, name, len) != 0 || line[len] != ':')
        return NULL;
    const char *begin = line + len + 1, *end = line + size;
    while (begin < end && strchr(" \t\"", *begin))
        begin++;
    while (end > begin && strchr(" \t\r\n\"", end[-1]))
        end--;
    *n = (size_t)(end - begin);
    return begin;
}

static int64_t number_of(const char *text, size_t n)
{
    int64_t value = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isdigit((unsigned char)text[i]) || value > INT64_MAX / 10 - 10)
            return -1;
        value = 10 * value + (text[i] - '0');
    }
    return n ? value : -1;
}

/* "bytes 10-19/1234" */
static void read_range(reply *r, const char *text, size_t n)
{
    const char *dash = memchr(text, '-', n), *slash = memchr(text, '/', n);
    if (n < 6 || strncasecmp(text, "bytes ", 6) != 0 || !dash || !slash || slash < dash)
        return;
    r->range_begin = number_of(text + 6, (size_t)(dash - text) - 6);
    r->total = number_of(slash + 1, n - (size_t)(slash + 1 - text));
}

static void read_etag(char out[100], const char *text, size_t n)
{
    if (n > 2 && strncmp(text, "W/\"", 3) == 0) { /* a weak one */
        text += 3;
        n -= 3;
    }
    snprintf(out, 100, "%.*s", n < 100 ? (int)n : 0, text);
}

static void begin_reply(reply *r)
{
    r->range_begin = r->total = r->length = -1;
    r->etag[0] = 0;
}

static size_t on_header(char *line, size_t one, size_t size, void *user)
{
    reply *r = user;
    const char *text;
    size_t n;
    (void)one;
    if (size > 5 && strncasecmp(line, "HTTP/", 5) == 0)
        begin_reply(r);
    else if ((text = value_of(line, size, "content-range", &n)))
        read_range(r, text, n);
    else if ((text = value_of(line, size, "content-length", &n)))
        r->length = number_of(text, n);
    else if ((text = value_of(line, size, "x-linked-size", &n)))
        r->linked_size = number_of(text, n);
    else if ((text = value_of(line, size, "x-linked-etag", &n)))
        read_etag(r->linked_etag, text, n);
    else if ((text = value_of(line, size, "etag", &n)))
        read_etag(r->etag, text, n);
    return size;
}

/* ---- a request ------------------------------------------------------------------------------- */

static void allow_protocols(CURL *easy, const char *url)
{
    bool safe = strncmp(url, "https:", 6) == 0; /* then redirects must stay on https */
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, safe ? "https" : "http,https");
#else
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS, CURLPROTO_HTTPS | (safe ? 0 : CURLPROTO_HTTP));
#endif
}

/* The token is set by libcurl's option, not as a header, so that libcurl does not forward it to other hosts. */
static void prepare(slot *s, const char *url)
{
    CURL *easy = s->easy;
    curl_easy_reset(easy);
    s->error[0] = 0;
    s->reply = (reply){ .linked_size = -1 };
    begin_reply(&s->reply);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, s);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, s->error);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "qasr/" QASR_VERSION_STRING);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS);
    allow_protocols(easy, url);
    /* separate TCP connections: HTTP/2 streams would share one congestion window */
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)STALL_TIMEOUT_S);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L << 10);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, &s->reply);
    if (s->f->token) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, s->f->token);
    }
}

static long status_of(const slot *s)
{
    long status = 0;
    curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* The address of the response, without the query, which may have secrets. */
static void address_of(const slot *s, char *to, size_t size)
{
    char *url = NULL;
    curl_easy_getinfo(s->easy, CURLINFO_EFFECTIVE_URL, &url);
    snprintf(to, size, "%.*s", url ? (int)strcspn(url, "?") : 0, url ? url : "");
}

/* ---- failures -------------------------------------------------------------------------------- */

typedef struct failure {
    bool final;    /* not transient */
    double wait_s; /* requested by the server; 0: none */
    char message[700];
} failure;

static bool status_may_pass(long status) { return status == 408 || status == 429 || status >= 500; }

static bool result_may_pass(const fetch *f, CURLcode result)
{
    switch (result) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT: return f->reached; /* else probably a wrong name, not a transient failure */
    case CURLE_OK:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SSL_CONNECT_ERROR: return true;
    default: return false;
    }
}

static const char *advice_for(const fetch *f, long status)
{
    if (status == 401 || status == 403)
        return f->token ? "; the token does not give access to this"
                        : "; check the name; if it is private or restricted, set HF_TOKEN";
    return status == 404   ? "; check the name and the revision"
           : status == 416 ? "; the file has changed on the server"
                           : "";
}

/* Describes why an attempt failed. */
static void describe(failure *out, const slot *s, CURLcode result, const char *what)
{
    long status = status_of(s);
    char address[300];
    curl_off_t wait = 0;
    address_of(s, address, sizeof address);
    *out = (failure){ .final = true };
    if (result == CURLE_OK && status >= 300) {
        curl_easy_getinfo(s->easy, CURLINFO_RETRY_AFTER, &wait);
        out->final = !status_may_pass(status);
        out->wait_s = (double)wait;
        snprintf(out->message, sizeof out->message, "cannot fetch '%s': '%s' returned status %ld%s", what, address,
                 status, advice_for(s->f, status));
        return;
    }
    out->final = !result_may_pass(s->f, result);
    snprintf(out->message, sizeof out->message, "cannot fetch '%s' from '%s': %s", what, address,
             result == CURLE_OK ? "the response is truncated"
             : s->error[0]      ? s->error
                                : curl_easy_strerror(result));
}

/* Decides whether to retry: false if not (printed), else no request may start before f->resume_at_s. */
static bool may_retry(fetch *f, failure *why)
{
    f->n_failures++;
    if (why->final)
        return message_fail("%s", why->message);
    if (why->wait_s > MAX_RETRY_AFTER_S)
        return message_fail("%s; the server asks to retry in %.0f s", why->message, why->wait_s);
    if (f->n_failures > f->n_retries)
        return message_fail("%s; gave up after %d attempts", why->message, f->n_failures);
    double wait = f->n_failures < 6 ? 1 << (f->n_failures - 1) : MAX_PAUSE_S;
    wait = wait < why->wait_s ? why->wait_s : wait;
    if (now_s() + wait > f->resume_at_s) {
        if (f->resume_at_s < now_s()) /* else already reported */
            message_warn("%s; next attempt in %.0f s", why->message, wait);
        f->resume_at_s = now_s() + wait;
    }
    return true;
}

static bool wait_for_turn(const fetch *f)
{
    while (now_s() < f->resume_at_s && !stopped(f))
        nanosleep(&(struct timespec){ .tv_nsec = STEP_MS * 1000000L }, NULL);
    return !stopped(f);
}

/* ---- short responses ------------------------------------------------------------------------- */

typedef struct text {
    char *bytes;
    size_t n, max;
    bool full;
} text;

static size_t on_text(char *data, size_t one, size_t n, void *user)
{
    text *t = user;
    (void)one;
    t->full = n > t->max - t->n;
    char *bytes = t->full ? NULL : realloc(t->bytes, t->n + n + 1);
    if (!bytes)
        return 0;
    t->bytes = bytes;
    memcpy(t->bytes + t->n, data, n);
    t->n += n;
    t->bytes[t->n] = 0;
    return n;
}

static int on_progress(void *user, curl_off_t total, curl_off_t done, curl_off_t up_total, curl_off_t up)
{
    (void)total, (void)done, (void)up_total, (void)up;
    return stopped(user);
}

/* Runs a request until it succeeds with status 2xx. any_length: bytes beyond t->max are dropped without error. */
static bool perform(fetch *f, const char *url, const char *range, const char *what, text *t, bool any_length)
{
    slot *s = &f->slots[0];
    for (;;) {
        failure why;
        if (!wait_for_turn(f))
            return false;
        prepare(s, url);
        t->n = 0;
        t->full = false;
        if (t->bytes)
            t->bytes[0] = 0;
        curl_easy_setopt(s->easy, CURLOPT_RANGE, range);
        curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, on_text);
        curl_easy_setopt(s->easy, CURLOPT_WRITEDATA, t);
        curl_easy_setopt(s->easy, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(s->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(s->easy, CURLOPT_XFERINFODATA, f);
        CURLcode result = curl_easy_perform(s->easy);
        long status = status_of(s);
        f->reached = f->reached || status > 0;
        if (stopped(f))
            return false;
        if (status >= 200 && status < 300 && (result == CURLE_OK || (t->full && any_length))) {
            f->n_failures = 0;
            return true;
        }
        if (t->full)
            return message_fail("the response for '%s' has more than %zu bytes", what, t->max);
        describe(&why, s, result, what);
        if (!may_retry(f, &why))
            return false;
    }
}

char *fetch_text(fetch *f, const char *url, const char *what, size_t max)
{
    text t = { .max = max, .bytes = calloc(1, 1) };
    if (!t.bytes) {
        message_fail("out of memory");
    } else if (perform(f, url, NULL, what, &t, false)) {
        if (strlen(t.bytes) == t.n)
            return t.bytes;
        message_fail("the response for '%s' is not text", what);
    }
    free(t.bytes);
    return NULL;
}

bool fetch_probe(fetch *f, const char *url, const char *what, fetch_facts *facts)
{
    text t = { .max = 4096 };
    if (!perform(f, url, "0-0", what, &t, true)) {
        free(t.bytes);
        return false;
    }
    free(t.bytes);
    const reply *r = &f->slots[0].reply;
    facts->size = r->total >= 0 ? r->total : status_of(&f->slots[0]) == 200 ? r->length : r->linked_size;
    snprintf(facts->etag, sizeof facts->etag, "%s", r->linked_etag[0] ? r->linked_etag : r->etag);
    return true;
}

/* ---- ranges ---------------------------------------------------------------------------------- */

static bool is_all(const download_range *at) { return at->begin == 0 && at->end == at->file->entry->size; }

/* True if the response is for the requested bytes. */
static bool check_answer(slot *s)
{
    const reply *r = &s->reply;
    long status = status_of(s);
    uint64_t size = s->at.file->entry->size;
    int64_t total = status == 206 ? r->total : r->length;
    if (status == 200 && !is_all(&s->at)) {
        s->trouble = NO_RANGES;
        return false;
    }
    if ((status == 200 || status == 206) && (total < 0 || (uint64_t)total == size) &&
        (status == 200 || r->range_begin == (int64_t)s->begin))
        return true;
    s->trouble = BAD_ANSWER;
    return false;
}

static size_t on_range(char *data, size_t one, size_t n, void *user)
{
    slot *s = user;
    (void)one;
    if (status_of(s) >= 300)
        return n; /* ignore the text of error pages */
    if (s->position == s->begin && !check_answer(s))
        return 0;
    if (n > s->at.end - s->position) {
        s->trouble = BAD_ANSWER;
        return 0;
    }
    if (!download_write(s->f->download, &s->at, s->position, data, n)) {
        s->trouble = NOT_WRITTEN;
        return 0;
    }
    s->position += n;
    s->f->n_failures = 0;
    s->f->watch.on_bytes(s->f->watch.user, n);
    return n;
}

static bool begin_range(fetch *f, slot *s, const download_range *at, const char *endpoint)
{
    char range[60];
    s->at = *at;
    s->begin = s->position = at->begin;
    s->trouble = NO_TROUBLE;
    s->url = fetch_url(endpoint, at->file->entry->source);
    if (!s->url)
        return false;
    prepare(s, s->url);
    snprintf(range, sizeof range, "%" PRIu64 "-%" PRIu64, at->begin, at->end - 1);
    curl_easy_setopt(s->easy, CURLOPT_RANGE, is_all(at) ? NULL : range);
    curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, on_range);
    curl_easy_setopt(s->easy, CURLOPT_WRITEDATA, s);
    s->busy = curl_multi_add_handle(f->multi, s->easy) == CURLM_OK;
    return s->busy || message_fail("out of memory");
}

static bool end_range(fetch *f, slot *s)
{
    curl_multi_remove_handle(f->multi, s->easy);
    s->busy = false;
    free(s->url);
    s->url = NULL;
    return download_end_range(f->download, &s->at, s->position);
}

/* Starts ranges on all idle connections. */
static bool begin_ranges(fetch *f, const char *endpoint)
{
    download_range at;
    for (int i = 0; i < f->n_slots && now_s() >= f->resume_at_s; i++)
        if (!f->slots[i].busy && download_next(f->download, &at) && !begin_range(f, &f->slots[i], &at, endpoint))
            return false;
    return true;
}

static bool is_busy(const fetch *f)
{
    for (int i = 0; i < f->n_slots; i++)
        if (f->slots[i].busy)
            return true;
    return false;
}

/* Handles the end of an attempt. False if the download fails (printed). */
static bool finish(fetch *f, slot *s, CURLcode result)
{
    const char *name = s->at.file->entry->name;
    failure why;
    f->reached = f->reached || status_of(s) > 0;
    describe(&why, s, result, name);
    int64_t total = s->reply.total >= 0 ? s->reply.total : s->reply.length;
    bool advanced = s->position > s->begin;
    if (!end_range(f, s) || s->trouble == NOT_WRITTEN)
        return false;
    if (s->trouble == NO_RANGES)
        return download_no_ranges(f->download, s->at.file);
    if (s->trouble == BAD_ANSWER)
        return message_fail("'%s': the server sent other bytes than requested: a file of %" PRId64
                            " bytes, expected %" PRIu64 "; it may have changed, pull again",
                            name, total, s->at.file->entry->size);
    if (s->position == s->at.end)
        return true;
    return (advanced && !why.final) || may_retry(f, &why); /* no pause after progress */
}

static bool finish_all(fetch *f)
{
    int n_left;
    for (CURLMsg *m; (m = curl_multi_info_read(f->multi, &n_left));) {
        if (m->msg != CURLMSG_DONE)
            continue;
        slot *s = NULL;
        CURLcode result = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&s);
        if (!finish(f, s, result))
            return false;
    }
    return true;
}

static bool step(fetch *f, const char *endpoint)
{
    int n_running;
    if (!begin_ranges(f, endpoint))
        return false;
    if (curl_multi_perform(f->multi, &n_running) != CURLM_OK)
        return message_fail("cannot fetch: libcurl failed");
    f->watch.on_bytes(f->watch.user, 0);
    if (!finish_all(f))
        return false;
    if (n_running || now_s() < f->resume_at_s)
        curl_multi_poll(f->multi, NULL, 0, STEP_MS, NULL);
    return true;
}

static bool is_complete(const download *d) { return download_done_bytes(d) == manifest_size(d->m); }

bool fetch_download(fetch *f, download *d, const char *endpoint)
{
    bool good = true;
    f->download = d;
    while (good && !stopped(f) && (is_busy(f) || !is_complete(d)))
        good = step(f, endpoint);
    for (int i = 0; i < f->n_slots; i++)
        if (f->slots[i].busy)
            good = end_range(f, &f->slots[i]) && good;
    f->download = NULL;
    return good && !stopped(f);
}

/* ---- opening --------------------------------------------------------------------------------- */

fetch *fetch_open(const char *token, int n_connections, int n_retries, const fetch_watch *watch)
{
    fetch *f = calloc(1, sizeof *f);
    bool good = f && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK && (f->multi = curl_multi_init());
    for (int i = 0; good && i < n_connections; i++) {
        f->slots[i].f = f;
        good = (f->slots[i].easy = curl_easy_init()) != NULL;
        f->n_slots = i + 1;
    }
    if (!good) {
        fetch_close(f);
        message_fail("cannot fetch: libcurl failed to initialize");
        return NULL;
    }
    f->token = token;
    f->n_retries = n_retries;
    f->watch = *watch;
    return f;
}

void fetch_close(fetch *f)
{
    if (!f)
        return;
    for (int i = 0; i < f->n_slots; i++)
        if (f->slots[i].easy)
            curl_easy_cleanup(f->slots[i].easy);
    if (f->multi)
        curl_multi_cleanup(f->multi);
    curl_global_cleanup();
    free(f);
}

const char *fetch_curl_version(void) { return curl_version_info(CURLVERSION_NOW)->version; }
