/* An audio file; inputs with an odd number of bytes come through a pipe. */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "audio/audio.h"
#include "base/mem.h"
#include "fuzz.h"

enum { PIPE_BYTES = 65536, READ_SAMPLES = 5000 };

static const qasr_audio_options all = QASR_AUDIO_OPTIONS_INIT;

static void check_samples(const float *pcm, size_t n)
{
    for (size_t i = 0; i < n; i++)
        FUZZ_CHECK(fabsf(pcm[i]) <= 1);
}

static size_t check_load(const char *path)
{
    float *pcm = NULL;
    size_t n = 0;
    qasr_error err;
    if (audio_load(&pcm, &n, path, &all, &err) != QASR_OK)
        return 0;
    check_samples(pcm, n);
    mem_free(pcm);
    return n;
}

/* Compares the number of samples, and the samples bit by bit. */
static void check_stream(const char *path, size_t n_expected)
{
    static float pcm[READ_SAMPLES];
    audio_stream *a;
    qasr_error err;
    qasr_status status;
    size_t n, sum = 0;
    if (audio_stream_open(&a, path, &all, &err) != QASR_OK)
        return;
    do {
        n = 0;
        status = audio_stream_read(a, pcm, READ_SAMPLES, &n, &err);
        if (status == QASR_OK)
            check_samples(pcm, n);
        sum += n;
    } while (status == QASR_OK && n == READ_SAMPLES);
    FUZZ_CHECK(status != QASR_OK || sum == n_expected);
    audio_stream_close(a);
}

static void check_pipe(const uint8_t *data, size_t size)
{
    int ends[2];
    char path[64];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return;
    ssize_t n = write(ends[1], data, size);
    close(ends[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    if (n == (ssize_t)size)
        check_load(path);
    close(ends[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size % 2 && size < PIPE_BYTES) {
        check_pipe(data, size);
    } else {
        const char *path = fuzz_file("clip", data, size);
        check_stream(path, check_load(path));
    }
    return 0;
}
