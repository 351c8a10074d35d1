/* The edit distance of 'qasr bench', against distances counted by hand and the rules that every distance obeys. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../cli/edit.h"

static void expect(const char *text, const char *reference, edit_unit unit, size_t distance, size_t n)
{
    size_t d, n_reference;
    assert_true(edit_distance(&d, &n_reference, text, reference, unit));
    assert_int_equal(d, distance);
    assert_int_equal(n_reference, n);
    assert_true(edit_distance(&d, &n_reference, reference, text, unit)); /* the same in both directions */
    assert_int_equal(d, distance);
}

static void characters(void **state)
{
    expect("", "", EDIT_CHARACTERS, 0, 0);
    expect("abc", "", EDIT_CHARACTERS, 3, 0);
    expect("", "abc", EDIT_CHARACTERS, 3, 3);
    expect("kitten", "sitting", EDIT_CHARACTERS, 3, 7);
    expect("intention", "execution", EDIT_CHARACTERS, 5, 9);
    expect("ab", "ba", EDIT_CHARACTERS, 2, 2);
    expect("вторник", "вторники", EDIT_CHARACTERS, 1, 8); /* not bytes */
    expect("中文", "日文", EDIT_CHARACTERS, 1, 2);
    expect("\x80\x80", "a", EDIT_CHARACTERS, 1, 1); /* stray continuation bytes are one unit */
}

static void words(void **state)
{
    expect("the cat sat", "the cat sat", EDIT_WORDS, 0, 3);
    expect(" the  cat\tsat\n", "the cat sat", EDIT_WORDS, 0, 3);
    expect("the cat", "the black cat sat", EDIT_WORDS, 2, 4);
    expect("the cat", "The cat", EDIT_WORDS, 1, 2);
    expect("cats", "cat", EDIT_WORDS, 1, 1);
    expect("  \n", "", EDIT_WORDS, 0, 0);
    expect("одно два", "одно слово два", EDIT_WORDS, 1, 3);
}

static void rates(void **state)
{
    assert_float_equal(edit_rate("kitten", "sitting", EDIT_CHARACTERS), 3.0 / 7, 1e-12);
    assert_float_equal(edit_rate("a b c d", "a", EDIT_WORDS), 3, 1e-12); /* may be above 1 */
    assert_true(edit_rate("", "", EDIT_WORDS) == 0);
    assert_true(isnan(edit_rate("a", "", EDIT_CHARACTERS)));
    assert_true(isnan(edit_rate("a", " ", EDIT_WORDS)));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(characters), cmocka_unit_test(words), cmocka_unit_test(rates) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
