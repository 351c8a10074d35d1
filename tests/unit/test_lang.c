/* text: the list of languages. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "text/text.h"

static void list_is_complete_and_unambiguous(void **state)
{
    assert_int_equal(lang_count(), 30);
    for (size_t i = 0; i < lang_count(); i++) {
        assert_ptr_equal(lang_find(lang_at(i)->name), lang_at(i));
        assert_ptr_equal(lang_find(lang_at(i)->code), lang_at(i));
        assert_ptr_equal(lang_nearest(lang_at(i)->name), lang_at(i));
    }
    assert_null(lang_at(30));
    assert_null(lang_at(SIZE_MAX));
    assert_string_equal(lang_at(0)->name, "Chinese");
    assert_string_equal(lang_at(29)->code, "mk");
}

static void case_and_outer_space_do_not_matter(void **state)
{
    static const char *const english[] = { "English", "english", "ENGLISH", " eN\n", "\u3000English\t" };
    for (size_t i = 0; i < ARRAY_LEN(english); i++)
        assert_string_equal(lang_find(english[i])->name, "English");
    assert_string_equal(lang_find("YUE")->name, "Cantonese");
    static const char *const unknown[] = { "",    " ",    "Englis",  "Englishh", "e n",
                                           "xyz", "None", "Klingon", "\xFF",     "fil x" };
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        assert_null(lang_find(unknown[i]));
}

static void assert_found(const char *const *texts, const char *name)
{
    for (; *texts; texts++) {
        const language *l = lang_find(*texts);
        if (name ? !l || strcmp(l->name, name) != 0 : l != NULL)
            fail_msg("'%s' is %s, expected %s", *texts, l ? l->name : "unknown", name ? name : "unknown");
    }
}

static void codes_tags_and_names_are_understood(void **state)
{
    static const struct {
        const char *name, *texts[16];
    } cases[] = {
        { "English", { "eng", "en-US", "EN_us", "en-GB-oed", "en-x-zh-HK", "en_US.UTF-8", "en-GB@euro" } },
        { "German", { "deu", "ger", "GER", "de-AT", "Deutsch", "DEUTSCH", "de-1996", "de-CH-1996", "de-Latn-DE" } },
        { "French", { "fra", "fre", "Français", "FRANÇAIS", "franc\u0327ais", "francais", "fr-CA" } },
        { "Spanish", { "spa", "es-419", "Español", "ESPAN\u0303OL", "castellano" } },
        { "Portuguese", { "pt_BR", "pt-pt", "por", "português" } },
        { "Russian", { "rus", "ru_RU", "русский", "РУССКИЙ", "Русский язык" } },
        { "Greek", { "ell", "gre", "ελληνικά", "ΕΛΛΗΝΙΚΑ" } },
        { "Macedonian", { "mkd", "mac", "МАКЕДОНСКИ" } },
        { "Chinese",
          { "zh-CN", "zh_TW", "zh-Hans", "ZH-HANT-TW", "zho", "chi", "cmn", "cmn-HK", "zh-cmn-Hans-HK", "中文", "漢語",
            "普通话", "國語", "mandarin", "zh-u-co-hk" } },
        { "Cantonese", { "yue", "zh-HK", "zh_Hant_HK", "zh-mo", "zh-yue", "zho-HK", "yue-CN", "粵語", "广东话" } },
        { "Japanese", { "jpn", "ja-JP", "日本語", " 日本語\u3000" } },
        { "Korean", { "kor", "한국어", "ko-KR" } },
        { "Filipino", { "fil", "tl", "tgl", "fil-PH", "Tagalog" } },
        { "Persian", { "fas", "per", "pes", "fa-AF", "فارسی", "Farsi" } },
        { "Indonesian", { "ind", "in_ID", "bahasa indonesia" } },
        { "Malay", { "msa", "may", "zsm", "Bahasa Melayu" } },
        { "Dutch", { "nld", "dut", "nl-BE", "Nederlands" } },
        { "Romanian", { "ron", "rum", "Română", "romana", "ro-MD" } },
        { "Czech", { "ces", "cze", "ČEŠTINA", "cestina" } },
        { "Vietnamese", { "vie", "Tiếng Việt", "tieng viet" } },
        { "Hindi", { "hin", "हिन्दी", "हिंदी" } },
        { "Turkish", { "tur", "TÜRKÇE" } },
        { "Thai", { "tha", "ไทย" } },
        { "Arabic", { "ara", "العربية", "ar-EG" } },
        { NULL,
          { "no", "nb-NO", "nn", "uk", "ukr", "he", "jp", "cn", "se", "gr", "zh-Hans-HK", "zh-hak", "en-yue",
            "norsk" } },
        { NULL,
          { "en-", "-en", "en--US", "en US", "e", "en-toolongsubtag", "bahasa", "Deutsch!", "deu ger", "en/US", "1en",
            "en\xFFg" } },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_found(cases[i].texts, cases[i].name);
}

static void languages_are_compared(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } pairs[] = {
        { "uk", "ukr", true },  { "he", "iw", true },       { "sk", "slo", true },           { "haw", "HAW-US", true },
        { "de", "ger", true },  { "Deutsch", "deu", true }, { "zh", "chi", true },           { "zh-HK", "chi", false },
        { "no", "nob", false }, { "haw", "gsw", false },    { "klingon", "klingon", false }, { "", "", false }
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        assert_int_equal(lang_same(pairs[i].a, pairs[i].b), pairs[i].same);
        assert_int_equal(lang_same(pairs[i].b, pairs[i].a), pairs[i].same);
    }
}

static void misspelt_names_are_recognised(void **state)
{
    static const struct {
        const char *text, *name;
    } near[] = {
        { "Englsh", "English" },          { "englihs", "English" },
        { "Germann", "German" },          { "Portugese", "Portuguese" },
        { " protuguese ", "Portuguese" }, { "Vietnameseqq", "Vietnamese" },
        { "Japanes", "Japanese" },        { "Tha", "Thai" },
        { "Macedonyan", "Macedonian" },
    };
    for (size_t i = 0; i < ARRAY_LEN(near); i++) {
        const language *l = lang_nearest(near[i].text);
        assert_non_null(l);
        assert_string_equal(l->name, near[i].name);
    }
    static const char *const far[] = {
        "", "x", "Klingon", "Engl", "Vietnameseqqq", "Portugueseqqqqqqqqqqqqqqqqqqqqqqqqq"
    };
    for (size_t i = 0; i < ARRAY_LEN(far); i++)
        assert_null(lang_nearest(far[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list_is_complete_and_unambiguous),    cmocka_unit_test(case_and_outer_space_do_not_matter),
        cmocka_unit_test(codes_tags_and_names_are_understood), cmocka_unit_test(languages_are_compared),
        cmocka_unit_test(misspelt_names_are_recognised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
