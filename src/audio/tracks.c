/* See tracks.h. */
#include "audio/tracks.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "text/text.h"

static size_t count_digits(const char *s) { return strspn(s, "0123456789"); }

qasr_status tracks_check(const char *track, qasr_error *err)
{
    const size_t n = track ? strlen(track) : 1, n_digits = track ? count_digits(track) : 0;
    const bool is_number = n_digits > 0 && n_digits == n && n < 4 && atoi(track) > 0;
    if (!track || is_number || (n_digits == 0 && lang_is_named(track)))
        return QASR_OK;
    return error_set(err, QASR_E_INVALID,
                     "track '%s': expected a number from 1 on, or a language such as en, eng or English", track);
}

size_t tracks_number(const char *track) { return track && count_digits(track) > 0 ? (size_t)atoi(track) - 1 : 0; }

/* "1 (fre), 2 (eng)" */
static void list_tracks(char *to, size_t size, const ffmpeg_tracks *t)
{
    *to = 0;
    for (size_t i = 0, n; i < t->n && (n = strlen(to)) < size; i++) {
        const char *code = t->tracks[i].language;
        snprintf(to + n, size - n, *code ? "%s%zu (%s)" : "%s%zu", i ? ", " : "", i + 1, code);
    }
}

qasr_status tracks_choose(size_t *chosen, const ffmpeg_tracks *t, const char *track, const char *name, qasr_error *err)
{
    char list[160];
    const bool by_number = track && count_digits(track) > 0;
    size_t i = by_number ? tracks_number(track) : 0;
    list_tracks(list, sizeof list, t);
    if (track && !by_number && t->n > 1) /* a single track is taken whatever it is said to be */
        while (i < t->n && !lang_same(track, t->tracks[i].language))
            i++;
    if (t->n > 0 && i >= t->n)
        return error_set(err, QASR_E_FORMAT, "'%s' has no track '%s', it has: %s", name, track, list);
    for (size_t k = 0; !track && k < t->n; k++)
        if (t->tracks[k].is_default) {
            i = k;
            break;
        }
    if (t->n > 1 && !track)
        log_warning("'%s' has %zu audio tracks: %s; using track %zu; another can be selected by number or "
                    "language",
                    name, t->n, list, i + 1);
    *chosen = i;
    return QASR_OK;
}
