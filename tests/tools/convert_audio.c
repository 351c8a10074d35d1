/* convert_audio IN... OUT: combines the first channels of audio files into one file, in the container given by OUT's
 * extension. A name that starts with "float." gets 32-bit floats; FORMAT.raw is headerless samples. */
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CHANNELS = 8, STEP = 4096 };

static const struct {
    const char *end;
    int format;
} formats[] = {
    { "float.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT },
    { "float.au", SF_FORMAT_AU | SF_FORMAT_FLOAT | SF_ENDIAN_BIG },
    { ".wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16 },
    { ".flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16 },
    { ".aiff", SF_FORMAT_AIFF | SF_FORMAT_PCM_16 },
    { ".au", SF_FORMAT_AU | SF_FORMAT_PCM_16 },
    { ".caf", SF_FORMAT_CAF | SF_FORMAT_PCM_16 },
    { ".w64", SF_FORMAT_W64 | SF_FORMAT_PCM_16 },
    { ".rf64", SF_FORMAT_RF64 | SF_FORMAT_PCM_16 },
    { ".ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS },
    { ".opus", SF_FORMAT_OGG | SF_FORMAT_OPUS },
    { ".mp3", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III },
    { ".s16be.raw", SF_FORMAT_RAW | SF_FORMAT_PCM_16 | SF_ENDIAN_BIG },
    { ".f32le.raw", SF_FORMAT_RAW | SF_FORMAT_FLOAT | SF_ENDIAN_LITTLE },
};

static int format_of(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        size_t n = strlen(formats[i].end), length = strlen(name);
        if (length >= n && strcmp(name + length - n, formats[i].end) == 0)
            return formats[i].format;
    }
    return 0;
}

int main(int argc, char **argv)
{
    SNDFILE *in[MAX_CHANNELS];
    SF_INFO info = { 0 }, to = { .channels = argc - 2 };
    if (argc < 3 || argc - 2 > MAX_CHANNELS || !(to.format = format_of(argv[argc - 1])))
        return 2;
    for (int c = 0; c < argc - 2; c++) {
        info = (SF_INFO){ 0 };
        in[c] = sf_open(argv[1 + c], SFM_READ, &info);
        if (!in[c] || info.channels != 1)
            return 1;
        to.samplerate = info.samplerate;
    }
    SNDFILE *out = sf_open(argv[argc - 1], SFM_WRITE, &to);
    static float one[STEP], all[STEP * MAX_CHANNELS];
    sf_count_t longest = out ? 1 : 0;
    while (longest > 0) {
        longest = 0;
        memset(all, 0, sizeof all);
        for (int c = 0; c < argc - 2; c++) {
            sf_count_t n = sf_readf_float(in[c], one, STEP);
            for (sf_count_t i = 0; i < n; i++)
                all[i * (argc - 2) + c] = one[i];
            longest = n > longest ? n : longest;
        }
        if (sf_writef_float(out, all, longest) != longest)
            return 1;
    }
    for (int c = 0; c < argc - 2; c++)
        sf_close(in[c]);
    return out && sf_close(out) == 0 ? 0 : 1;
}
