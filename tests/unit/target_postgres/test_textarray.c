/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_textarray.c - text[] in binary form, byte by byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../src/targets/postgres/textarray.h"

static void
elements_and_nulls_stand_behind_the_header(void **state WM_UNUSED)
{
	static const char wanted[] = "\0\0\0\1"
				     "\0\0\0\1"
				     "\0\0\0\31"
				     "\0\0\0\3"
				     "\0\0\0\1"
				     "\0\0\0\2ab"
				     "\377\377\377\377"
				     "\0\0\0\0";
	struct wm_value text = { .data = "ab", .len = 2, .kind = WM_VALUE_TEXT };
	struct wm_value null = { .kind = WM_VALUE_NULL };
	struct wm_value empty = { .kind = WM_VALUE_TEXT };
	struct wm_buf b;

	wm_buf_init(&b, 1000);
	wm_textarray_begin(&b);
	wm_textarray_add(&b, &text);
	wm_textarray_add(&b, &null);
	wm_textarray_add(&b, &empty);
	wm_textarray_end(&b, 3);
	assert_false(b.failed);
	assert_int_equal(b.len, sizeof(wanted) - 1);
	assert_memory_equal(b.data, wanted, b.len);
	wm_buf_free(&b);
}

static void
an_unchanged_value_is_null(void **state WM_UNUSED)
{
	struct wm_value v = { .data = "x", .len = 1, .kind = WM_VALUE_UNCHANGED };
	struct wm_buf b;

	wm_buf_init(&b, 1000);
	wm_textarray_begin(&b);
	wm_textarray_add(&b, &v);
	wm_textarray_end(&b, 1);
	assert_int_equal(b.len, WM_TEXTARRAY_HEADER + WM_TEXTARRAY_ITEM);
	assert_memory_equal(b.data + WM_TEXTARRAY_HEADER, "\377\377\377\377", 4);
	wm_buf_free(&b);
}

static void
begin_forgets_what_was_there(void **state WM_UNUSED)
{
	struct wm_buf b;

	wm_buf_init(&b, 1000);
	for (int i = 0; i < 2; i++) {
		wm_textarray_begin(&b);
		wm_textarray_add_bytes(&b, "abc", 3);
		wm_textarray_end(&b, 1);
	}
	assert_int_equal(b.len, WM_TEXTARRAY_HEADER + WM_TEXTARRAY_ITEM + 3);
	assert_memory_equal(b.data + 12, "\0\0\0\1", 4);
	wm_buf_free(&b);
}

static void
a_full_buffer_stays_failed(void **state WM_UNUSED)
{
	struct wm_buf b;

	wm_buf_init(&b, WM_TEXTARRAY_HEADER + 5);
	wm_textarray_begin(&b);
	wm_textarray_add_bytes(&b, "abc", 3);
	wm_textarray_end(&b, 1);
	assert_true(b.failed);
	wm_buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elements_and_nulls_stand_behind_the_header),
		cmocka_unit_test(an_unchanged_value_is_null),
		cmocka_unit_test(begin_forgets_what_was_there),
		cmocka_unit_test(a_full_buffer_stays_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
