/* Shared by the fuzz targets. A target reads hostile bytes as the program does, and checks invariants that hold for
 * any input. It is one file with LLVMFuzzerTestOneInput, built with libFuzzer (`make fuzz`) or with replay.c, which
 * runs the corpus and mutations of it as an ordinary test. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Returns 0. data has exactly size readable bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Writes a file of that name into this process's temporary folder, which is removed at exit. The path is valid until
 * the next call. */
const char *fuzz_file(const char *name, const void *data, size_t size);
const char *fuzz_folder(void);

/* A finding: prints the failed check and aborts. */
#define FUZZ_CHECK(fact) ((fact) ? (void)0 : fuzz_finding(#fact, __FILE__, __LINE__))
_Noreturn void fuzz_finding(const char *fact, const char *file, int line);

/* Cuts data at its first zero byte: *size becomes the length before it, *rest and *n_rest what follows it (nothing if
 * there is none). */
void fuzz_split(const uint8_t *data, size_t *size, const uint8_t **rest, size_t *n_rest);

#endif
