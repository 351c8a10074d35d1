/* See audio_name.h. */
#include "app/audio_name.h"

#include <string.h>
#include <strings.h>

#include "qasr/qasr.h"

bool audio_name_is(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    const char *extension;
    for (size_t i = 0; dot && dot > name && (extension = qasr_audio_extension(i)); i++)
        if (strcasecmp(dot + 1, extension) == 0)
            return true;
    return false;
}
