/* Status and message: the lowest level that knows the facts writes the message once, everyone above
 * passes it on (docs/architecture.md). Messages: lower-case start, no final stop, what failed, the
 * subject in single quotes, found and expected, what to do. */
#ifndef QASR_BASE_ERROR_H
#define QASR_BASE_ERROR_H

#include "qasr/qasr.h"

/* Writes status and message into *err (NULL allowed). A message that is too long is cut at a UTF-8 boundary;
 * control characters (from file names or file contents) become '?'. */
void error_write(qasr_error *err, qasr_status status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* error_write as an expression with the status as its value, which the compiler can then see: what is only
 * set on success is never used after a failure. */
#define error_set(err, status, ...) (error_write((err), (status), __VA_ARGS__), error_status(status))
static inline qasr_status error_status(qasr_status status) { return status; }

/* The same for a failed system call: appends ": " and strerror(errno). Status QASR_E_IO, or
 * QASR_E_NOMEM for ENOMEM. */
qasr_status error_set_errno(qasr_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Makes a printf result of the given buffer size one clean line, as above. */
void error_clean_line(char *text, size_t capacity);

/* Return early on error. */
#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        qasr_status try_status_ = (call);                                                                              \
        if (try_status_ != QASR_OK)                                                                                    \
            return try_status_;                                                                                        \
    } while (0)

/* The same for functions with a "done:" label and a local `qasr_status status`. */
#define TRY_GOTO(call)                                                                                                 \
    do {                                                                                                               \
        status = (call);                                                                                               \
        if (status != QASR_OK)                                                                                         \
            goto done;                                                                                                 \
    } while (0)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
