/* See tracks.h. */
#include "audio/tracks.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"

/* Codes of ISO 639 for one language: of two letters, of three, and the older ones of three where they differ. */
static const char *const codes[][3] = {
    { "ar", "ara", "ara" }, { "cs", "ces", "cze" }, { "da", "dan", "dan" }, { "de", "deu", "ger" },
    { "el", "ell", "gre" }, { "en", "eng", "eng" }, { "es", "spa", "spa" }, { "fa", "fas", "per" },
    { "fi", "fin", "fin" }, { "fr", "fra", "fre" }, { "he", "heb", "heb" }, { "hi", "hin", "hin" },
    { "hu", "hun", "hun" }, { "id", "ind", "ind" }, { "it", "ita", "ita" }, { "ja", "jpn", "jpn" },
    { "ko", "kor", "kor" }, { "mk", "mkd", "mac" }, { "ms", "msa", "may" }, { "nl", "nld", "dut" },
    { "no", "nor", "nor" }, { "pl", "pol", "pol" }, { "pt", "por", "por" }, { "ro", "ron", "rum" },
    { "ru", "rus", "rus" }, { "sv", "swe", "swe" }, { "th", "tha", "tha" }, { "tl", "tgl", "fil" },
    { "tr", "tur", "tur" }, { "uk", "ukr", "ukr" }, { "vi", "vie", "vie" }, { "yue", "yue", "yue" },
    { "zh", "zho", "chi" },
};

/* The language of a code such as "en", "eng" or "pt-BR". */
static size_t count_letters(const char *s)
{
    size_t n = 0;
    while ((s[n] >= 'a' && s[n] <= 'z') || (s[n] >= 'A' && s[n] <= 'Z'))
        n++;
    return n >= 2 && n <= 3 && (!s[n] || s[n] == '-' || s[n] == '_') ? n : 0;
}

static size_t count_digits(const char *s) { return strspn(s, "0123456789"); }

qasr_status tracks_check(const char *track, qasr_error *err)
{
    const size_t n = track ? strlen(track) : 1, n_digits = track ? count_digits(track) : 0;
    const bool is_number = n_digits > 0 && n_digits == n && n < 4 && atoi(track) > 0;
    if (!track || is_number || count_letters(track) > 0)
        return QASR_OK;
    return error_set(err, QASR_E_INVALID,
                     "track '%s': expected a number from 1 on, or the code of a language such as en or eng", track);
}

size_t tracks_number(const char *track) { return track && count_digits(track) > 0 ? (size_t)atoi(track) - 1 : 0; }

static bool has_code(const char *code, const char *language)
{
    const size_t n = count_letters(language);
    return n > 0 && n == strlen(code) && strncasecmp(code, language, n) == 0;
}

static bool is_same_language(const char *a, const char *b)
{
    const size_t n = count_letters(a);
    if (n > 0 && n == count_letters(b) && strncasecmp(a, b, n) == 0)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        bool has_a = false, has_b = false;
        for (size_t k = 0; k < ARRAY_LEN(codes[i]); k++) {
            has_a = has_a || has_code(codes[i][k], a);
            has_b = has_b || has_code(codes[i][k], b);
        }
        if (has_a && has_b)
            return true;
    }
    return false;
}

/* "1 (fre), 2 (eng)" */
static void list_tracks(char *to, size_t size, const ffmpeg_tracks *t)
{
    *to = 0;
    for (size_t i = 0, n; i < t->n && (n = strlen(to)) < size; i++) {
        const char *language = t->tracks[i].language;
        snprintf(to + n, size - n, *language ? "%s%zu (%s)" : "%s%zu", i ? ", " : "", i + 1, language);
    }
}

qasr_status tracks_choose(size_t *chosen, const ffmpeg_tracks *t, const char *track, const char *name, qasr_error *err)
{
    char list[160];
    const bool by_number = track && count_digits(track) > 0;
    size_t i = by_number ? tracks_number(track) : 0;
    list_tracks(list, sizeof list, t);
    if (track && !by_number && t->n > 1) /* a single track is taken whatever it is said to be */
        while (i < t->n && !is_same_language(track, t->tracks[i].language))
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
