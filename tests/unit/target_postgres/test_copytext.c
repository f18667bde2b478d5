/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_copytext.c - values in COPY's text format, byte by byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../../src/targets/postgres/copytext.h"

static void
assert_text(const char *value, size_t len, const char *wanted)
{
	struct wm_buf b;

	wm_buf_init(&b, 1000);
	wm_copytext_add(&b, value, len);
	assert_false(b.failed);
	assert_int_equal(b.len, strlen(wanted));
	assert_string_equal(b.data, wanted);
	wm_buf_free(&b);
}

static void
ordinary_text_stays_as_it_is(void **state WM_UNUSED)
{
	assert_text("abc", 3, "abc");
	assert_text("abc", 2, "ab");
	assert_text("", 0, "");
	assert_text(NULL, 0, "");
	assert_text("\"q', \v\b\f\x7f", 9, "\"q', \v\b\f\x7f");
	assert_text("gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x98", 11, "gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x98");
}

static void
ends_of_values_and_rows_are_escaped(void **state WM_UNUSED)
{
	assert_text("a\tb", 3, "a\\tb");
	assert_text("\n", 1, "\\n");
	assert_text("\r\n\t", 3, "\\r\\n\\t");
	assert_text("x\n", 2, "x\\n");
	assert_text("\nx", 2, "\\nx");
}

static void
no_text_reads_as_null_or_as_the_end(void **state WM_UNUSED)
{
	assert_text("\\N", 2, "\\\\N");
	assert_text("\\.", 2, "\\\\.");
	assert_text("\\", 1, "\\\\");
	assert_text("\\\\x41\\", 6, "\\\\\\\\x41\\\\");
	assert_string_equal(WM_COPYTEXT_NULL, "\\N");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary_text_stays_as_it_is),
		cmocka_unit_test(ends_of_values_and_rows_are_escaped),
		cmocka_unit_test(no_text_reads_as_null_or_as_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
