/* Facts about the build. Each version comes from the file that uses the library. */
#include "qasr/qasr_tools.h"

#include "audio/audio.h"
#include "base/json_file.h"
#include "text/text.h"

#ifndef QASR_BUILD
#define QASR_BUILD "unknown"
#endif

static const char *build(void) { return QASR_BUILD; }

static const char *compiler(void)
{
#if defined(__clang__)
    return "clang " __clang_version__;
#elif defined(__GNUC__)
    return "gcc " __VERSION__;
#else
    return "unknown";
#endif
}

static const struct {
    const char *name, *(*value)(void);
} facts[] = {
    { "build", build },
    { "compiler", compiler },
    { "cpu", qasr_cpu_level },
    { "libsndfile", audio_sndfile_version },
    { "libsoxr", audio_soxr_version },
    { "jansson", json_file_jansson_version },
    { "utf8proc", text_utf8proc_version },
    { "pcre2", text_pcre2_version },
};

const char *qasr_build_fact(size_t index, const char **value)
{
    if (index >= sizeof facts / sizeof facts[0])
        return NULL;
    if (value)
        *value = facts[index].value();
    return facts[index].name;
}
