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
                                           "eng", "None", "Klingon", "\xFF",     "fil x" };
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        assert_null(lang_find(unknown[i]));
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
        cmocka_unit_test(list_is_complete_and_unambiguous),
        cmocka_unit_test(case_and_outer_space_do_not_matter),
        cmocka_unit_test(misspelt_names_are_recognised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
