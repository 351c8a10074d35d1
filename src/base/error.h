/* Status and message. The lowest level that knows the facts writes the message once; its callers pass it on unchanged
 * (docs/architecture.md). A message starts in lower case, has no final period, and states what failed, the subject in
 * single quotes, what was found and expected, and what to do. */
#ifndef QASR_BASE_ERROR_H
#define QASR_BASE_ERROR_H

#include "qasr/qasr.h"

/* Writes status and message into *err (may be NULL). Long messages are truncated at a UTF-8 boundary; control
 * characters (from file names or file contents) become '?'. */
void error_write(qasr_error *err, qasr_status status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* error_write as an expression whose value is the status. The compiler sees that the value is the given status, and so
 * that results set only on success are not used after a failure. */
#define error_set(err, status, ...) (error_write((err), (status), __VA_ARGS__), error_status(status))
static inline qasr_status error_status(qasr_status status) { return status; }

/* The same for a failed system call: appends ": " and strerror(errno). The status is QASR_E_IO, or QASR_E_NOMEM for
 * ENOMEM. */
qasr_status error_set_errno(qasr_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Cleans the result of a printf into a buffer of this capacity, as described above. */
void error_clean_line(char *text, size_t capacity);

/* Returns early on error. */
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
