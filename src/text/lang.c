/* The languages that the model names in its answers and accepts in the prompt, and what people call them: names in
 * English and in the language itself, codes of ISO 639, tags of BCP 47, locales. */
#include <string.h>
#include <strings.h>

#include <utf8proc.h>

#include "base/error.h"
#include "text/text.h"
#include "text/utf8.h"

enum { NAME_BYTES_MAX = 10, DISTANCE_MAX = 2, TAG_BYTES_MAX = 64, FOLDED_MAX = 256 };

/* codes: besides the language's own, those of ISO 639-2 (T and B) and 639-3, and what registries list as the same.
 * names: besides the English one. Dialects have the code of the language that the model gives for them. */
static const struct {
    language language;
    const char *codes, *names;
} languages[] = {
    { { "Chinese", "zh" }, "zho chi cmn wuu nan", "Mandarin,中文,汉语,漢語,普通话,普通話,国语,國語,华语,華語" },
    { { "English", "en" }, "eng", "" },
    { { "Cantonese", "yue" }, "", "粵語,粤语,廣東話,广东话,廣州話,广州话" },
    { { "Arabic", "ar" }, "ara arb", "العربية" },
    { { "German", "de" }, "deu ger", "Deutsch" },
    { { "French", "fr" }, "fra fre", "Français" },
    { { "Spanish", "es" }, "spa", "Español,Castellano,Castilian" },
    { { "Portuguese", "pt" }, "por", "Português" },
    { { "Indonesian", "id" }, "ind in", "Bahasa Indonesia" },
    { { "Italian", "it" }, "ita", "Italiano" },
    { { "Korean", "ko" }, "kor", "한국어,한국말,조선말" },
    { { "Russian", "ru" }, "rus", "Русский,Русский язык" },
    { { "Thai", "th" }, "tha", "ไทย,ภาษาไทย" },
    { { "Vietnamese", "vi" }, "vie", "Tiếng Việt" },
    { { "Japanese", "ja" }, "jpn", "日本語" },
    { { "Turkish", "tr" }, "tur", "Türkçe" },
    { { "Hindi", "hi" }, "hin", "हिन्दी,हिंदी" },
    { { "Malay", "ms" }, "msa may zsm", "Bahasa Melayu,Melayu" },
    { { "Dutch", "nl" }, "nld dut", "Nederlands,Flemish,Vlaams" },
    { { "Swedish", "sv" }, "swe", "Svenska" },
    { { "Danish", "da" }, "dan", "Dansk" },
    { { "Finnish", "fi" }, "fin", "Suomi" },
    { { "Polish", "pl" }, "pol", "Polski,Język polski" },
    { { "Czech", "cs" }, "ces cze", "Čeština,Český jazyk" },
    { { "Filipino", "fil" }, "tl tgl", "Tagalog,Pilipino" },
    { { "Persian", "fa" }, "fas per pes", "Farsi,فارسی" },
    { { "Greek", "el" }, "ell gre", "Ελληνικά" },
    { { "Romanian", "ro" }, "ron rum mo mol", "Română,Moldavian" },
    { { "Hungarian", "hu" }, "hun", "Magyar" },
    { { "Macedonian", "mk" }, "mkd mac", "Македонски" },
};

enum { CHINESE = 0, CANTONESE = 2 };

/* Codes of other languages with two letters, which files may have tracks in. */
static const char *const others[] = {
    "aa aar",     "ab abk", "ae ave",     "af afr",     "ak aka",     "am amh",     "an arg",     "as asm",
    "av ava",     "ay aym", "az aze",     "ba bak",     "be bel",     "bg bul",     "bh bih",     "bi bis",
    "bm bam",     "bn ben", "bo bod tib", "br bre",     "bs bos",     "ca cat",     "ce che",     "ch cha",
    "co cos",     "cr cre", "cu chu",     "cv chv",     "cy cym wel", "dv div",     "dz dzo",     "ee ewe",
    "eo epo",     "et est", "eu eus baq", "ff ful",     "fj fij",     "fo fao",     "fy fry",     "ga gle",
    "gd gla",     "gl glg", "gn grn",     "gu guj",     "gv glv",     "ha hau",     "he heb iw",  "ho hmo",
    "hr hrv",     "ht hat", "hy hye arm", "hz her",     "ia ina",     "ie ile",     "ig ibo",     "ii iii",
    "ik ipk",     "io ido", "is isl ice", "iu iku",     "jv jav",     "ka kat geo", "kg kon",     "ki kik",
    "kj kua",     "kk kaz", "kl kal",     "km khm",     "kn kan",     "kr kau",     "ks kas",     "ku kur",
    "kv kom",     "kw cor", "ky kir",     "la lat",     "lb ltz",     "lg lug",     "li lim",     "ln lin",
    "lo lao",     "lt lit", "lu lub",     "lv lav",     "mg mlg",     "mh mah",     "mi mri mao", "ml mal",
    "mn mon",     "mr mar", "mt mlt",     "my mya bur", "na nau",     "nb nob",     "nd nde",     "ne nep",
    "ng ndo",     "nn nno", "no nor",     "nr nbl",     "nv nav",     "ny nya",     "oc oci",     "oj oji",
    "om orm",     "or ori", "os oss",     "pa pan",     "pi pli",     "ps pus",     "qu que",     "rm roh",
    "rn run",     "rw kin", "sa san",     "sc srd",     "sd snd",     "se sme",     "sg sag",     "si sin",
    "sk slk slo", "sl slv", "sm smo",     "sn sna",     "so som",     "sq sqi alb", "sr srp",     "ss ssw",
    "st sot",     "su sun", "sw swa",     "ta tam",     "te tel",     "tg tgk",     "ti tir",     "tk tuk",
    "tn tsn",     "to ton", "ts tso",     "tt tat",     "tw twi",     "ty tah",     "ug uig",     "uk ukr",
    "ur urd",     "uz uzb", "ve ven",     "vo vol",     "wa wln",     "wo wol",     "xh xho",     "yi yid",
    "yo yor",     "za zha", "zu zul"
};

size_t lang_count(void) { return ARRAY_LEN(languages); }

const language *lang_at(size_t index) { return index < ARRAY_LEN(languages) ? &languages[index].language : NULL; }

/* ---- codes ----------------------------------------------------------------------------------- */

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

static bool equals_ignoring_case(const char *name, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (lower(name[i]) != lower(text[i]))
            return false;
    return !name[n];
}

/* A word of a list: "eng", of n bytes. */
static bool has_code(const char *list, const char *text, size_t n)
{
    for (size_t length; *list; list += length + (list[length] == ' ')) {
        length = strcspn(list, " ");
        if (length != n)
            continue;
        size_t i = 0;
        while (i < n && list[i] == lower(text[i]))
            i++;
        if (i == n)
            return true;
    }
    return false;
}

/* Index of the language with a code: in languages, then in others; the number of all if none has it. */
static size_t find_code(const char *text, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(languages); i++)
        if (has_code(languages[i].language.code, text, n) || has_code(languages[i].codes, text, n))
            return i;
    size_t i = 0;
    while (i < ARRAY_LEN(others) && !has_code(others[i], text, n))
        i++;
    return ARRAY_LEN(languages) + i;
}

/* ---- tags ------------------------------------------------------------------------------------ */

/* The parts of a tag such as "zh-Hant-HK" that matter. */
typedef struct tag {
    const char *code, *extension; /* "zh"; the language that a second code of three letters names, or NULL */
    size_t n_code;
    bool is_simplified, is_hong_kong; /* or Macau */
} tag;

static void take_subtag(tag *t, const char *p, size_t n, bool is_second)
{
    size_t n_letters = 0;
    while (n_letters < n && is_letter(p[n_letters]))
        n_letters++;
    if (n_letters < n)
        return;
    if (n == 3 && is_second)
        t->extension = p;
    if (n == 4)
        t->is_simplified = equals_ignoring_case("hans", p, n);
    if (n == 2)
        t->is_hong_kong = equals_ignoring_case("hk", p, n) || equals_ignoring_case("mo", p, n);
}

/* A code of two or three letters, then parts of up to eight letters and digits. What follows a single character is an
 * extension; locales may end in an encoding or a modifier, as in "en_US.UTF-8". */
static bool read_tag(tag *t, const char *text, size_t n)
{
    size_t at = 0, n_part;
    bool in_extension = false;
    *t = (tag){ .code = text };
    for (size_t i = 0; at < n; i++) {
        for (n_part = 0; at + n_part < n && (is_letter(text[at + n_part]) || is_digit(text[at + n_part]));)
            n_part++;
        if (n_part < 1 || n_part > 8)
            return false;
        if (i == 0)
            t->n_code = n_part;
        else if (n_part > 1 && !in_extension)
            take_subtag(t, text + at, n_part, i == 1);
        in_extension = in_extension || (i > 0 && n_part == 1);
        at += n_part;
        if (at < n && i > 0 && (text[at] == '.' || text[at] == '@'))
            break;
        if (at < n && ((text[at] != '-' && text[at] != '_') || ++at == n))
            return false;
    }
    return t->n_code >= 2 && t->n_code <= 3 && is_letter(text[0]) && is_letter(text[1]) &&
           is_letter(text[t->n_code - 1]);
}

/* As find_code. What is spoken in Hong Kong and Macau is Cantonese, unless the tag hints at Mandarin. */
static size_t find_tag(const char *text, size_t n)
{
    tag t;
    const size_t none = ARRAY_LEN(languages) + ARRAY_LEN(others);
    if (!read_tag(&t, text, n))
        return none;
    size_t found = find_code(t.code, t.n_code);
    const bool is_any_chinese = found == CHINESE && !equals_ignoring_case("cmn", t.code, t.n_code);
    if (t.extension) {
        found = is_any_chinese ? find_code(t.extension, 3) : none;
        return found == CHINESE || found == CANTONESE ? found : none;
    }
    if (is_any_chinese && t.is_hong_kong)
        return t.is_simplified ? none : CANTONESE;
    return found;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* A name without case and accents, as code points; 0 if it is too long or not UTF-8. */
static size_t fold(utf8proc_int32_t out[FOLDED_MAX], const char *text, size_t n)
{
    const utf8proc_ssize_t length =
        n > TAG_BYTES_MAX
            ? -1
            : utf8proc_decompose((const unsigned char *)text, (utf8proc_ssize_t)n, out, FOLDED_MAX,
                                 UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_CASEFOLD | UTF8PROC_STRIPMARK);
    return length > 0 && length <= FOLDED_MAX ? (size_t)length : 0;
}

static bool has_name(const char *list, const utf8proc_int32_t *folded, size_t n_folded)
{
    utf8proc_int32_t name[FOLDED_MAX];
    for (size_t length; *list; list += length + (list[length] == ',')) {
        length = strcspn(list, ",");
        if (fold(name, list, length) == n_folded && memcmp(name, folded, n_folded * sizeof *name) == 0)
            return true;
    }
    return false;
}

/* As find_code, of a name. */
static size_t find_name(const char *text, size_t n)
{
    utf8proc_int32_t folded[FOLDED_MAX];
    const size_t n_folded = fold(folded, text, n);
    for (size_t i = 0; n_folded > 0 && i < ARRAY_LEN(languages); i++)
        if (has_name(languages[i].language.name, folded, n_folded) || has_name(languages[i].names, folded, n_folded))
            return i;
    return ARRAY_LEN(languages) + ARRAY_LEN(others);
}

static size_t find(const char *text)
{
    size_t n = strlen(text);
    text = utf8_trim(text, &n);
    const size_t found = find_tag(text, n);
    return found < ARRAY_LEN(languages) + ARRAY_LEN(others) ? found : find_name(text, n);
}

const language *lang_find(const char *text) { return lang_at(find(text)); }

bool lang_same(const char *a, const char *b)
{
    tag x, y;
    const size_t in_a = find(a), in_b = find(b), none = ARRAY_LEN(languages) + ARRAY_LEN(others);
    if (in_a < none || in_b < none)
        return in_a == in_b;
    return read_tag(&x, a, strlen(a)) && read_tag(&y, b, strlen(b)) && x.n_code == y.n_code &&
           strncasecmp(x.code, y.code, x.n_code) == 0;
}

bool lang_is_named(const char *text)
{
    tag t;
    return lang_find(text) || read_tag(&t, text, strlen(text));
}

/* ---- slips ----------------------------------------------------------------------------------- */

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Edit distance between name and text, which has at most NAME_BYTES_MAX + DISTANCE_MAX bytes. */
static size_t edit_distance(const char *name, const char *text, size_t n)
{
    /* Distance between the first i letters of name and the first j of text. */
    size_t row[NAME_BYTES_MAX + DISTANCE_MAX + 1];
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; name[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t substituted = diagonal + (lower(name[i - 1]) != lower(text[j - 1]));
            diagonal = row[j];
            row[j] = least(substituted, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[n];
}

const language *lang_nearest(const char *text)
{
    size_t n = strlen(text);
    text = utf8_trim(text, &n);
    if (n > NAME_BYTES_MAX + DISTANCE_MAX)
        return NULL;
    const language *nearest = NULL;
    size_t best = DISTANCE_MAX + 1;
    for (size_t i = 0; i < ARRAY_LEN(languages); i++) {
        size_t distance = edit_distance(languages[i].language.name, text, n);
        if (distance < best) {
            best = distance;
            nearest = lang_at(i);
        }
    }
    return nearest;
}
