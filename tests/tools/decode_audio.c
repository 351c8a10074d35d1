/* decode_audio IN OUT [FFMPEG [TRACK]]: writes the 16 kHz samples of a sound file as 32-bit floats, and prints what
 * was logged and what is damaged, a line each: "warning TEXT", "damage FROM TO TEXT", or "error TEXT". */
#include <stdio.h>
#include <string.h>

#include "audio/audio.h"

static void print_log(void *user, qasr_log_level level, const char *message)
{
    printf("%s %s\n", level == QASR_LOG_WARNING ? "warning" : "info", message);
}

static qasr_status decode(FILE *out, const char *path, const qasr_audio_options *opt, qasr_error *err)
{
    float block[4096];
    audio_stream *a;
    const audio_damage *d;
    size_t n = ARRAY_LEN(block);
    qasr_status status = QASR_OK;
    TRY(audio_stream_open(&a, path, opt, err));
    while (status == QASR_OK && n == ARRAY_LEN(block)) {
        status = audio_stream_read(a, block, ARRAY_LEN(block), &n, err);
        if (status == QASR_OK && fwrite(block, sizeof *block, n, out) != n)
            status = error_set_errno(err, "cannot write");
    }
    for (size_t i = 0; (d = audio_stream_damage(a, i)); i++)
        printf("damage %.4f %.4f %s\n", d->from_s, d->to_s, d->what);
    audio_stream_close(a);
    return status;
}

int main(int argc, char **argv)
{
    qasr_audio_options opt = QASR_AUDIO_OPTIONS_INIT;
    qasr_error err;
    if (argc < 3)
        return 2;
    opt.ffmpeg = argc > 3 && *argv[3] ? argv[3] : NULL;
    opt.track = argc > 4 ? argv[4] : NULL;
    qasr_log_set(print_log, NULL);
    FILE *out = fopen(argv[2], "wb");
    if (!out)
        return 2;
    const qasr_status status = decode(out, argv[1], &opt, &err);
    if (status != QASR_OK)
        printf("error %s\n", err.message);
    return fclose(out) != 0 || status != QASR_OK;
}
