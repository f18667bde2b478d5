/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_buf.c - the growing buffer: growth, maximum, sticky failure, hand-over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "walmill/buf.h"
#include "walmill/strutil.h"

static void
is_a_string_from_the_start(void **unused WM_UNUSED)
{
	struct wm_buf b;

	wm_buf_init(&b, 10);
	assert_string_equal(b.data, "");
	assert_int_equal(b.len, 0);
	wm_buf_reset(&b);
	wm_buf_truncate(&b, 0);
	wm_buf_add(&b, NULL, 0);
	assert_false(b.failed);
	assert_string_equal(b.data, "");
	wm_buf_free(&b);
	wm_buf_free(&b);
}

static void
adds_bytes_strings_and_formats(void **unused WM_UNUSED)
{
	WM_AUTO(wm_buf_free) struct wm_buf b;

	wm_buf_init(&b, 1000);
	wm_buf_add(&b, "a\0b", 3);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.data, "a\0b", 4);
	wm_buf_reset(&b);
	wm_buf_adds(&b, "x=");
	wm_buf_addf(&b, "%d,%s", 42, "y");
	wm_buf_addf(&b, "%s", "");
	wm_buf_addc(&b, ';');
	assert_string_equal(b.data, "x=42,y;");
	assert_int_equal(b.len, 7);
	wm_buf_truncate(&b, 2);
	assert_string_equal(b.data, "x=");
}

static void
grows_and_keeps_what_it_had(void **unused WM_UNUSED)
{
	WM_AUTO(wm_buf_free) struct wm_buf b;

	wm_buf_init(&b, 1 << 20);
	for (int i = 0; i < 10000; i++)
		wm_buf_addf(&b, "%04d", i);
	assert_false(b.failed);
	assert_int_equal(b.len, 40000);
	assert_memory_equal(b.data, "000000010002", 12);
	assert_string_equal(b.data + 39992, "99989999");
}

static void
a_format_longer_than_the_room_is_whole(void **unused WM_UNUSED)
{
	WM_AUTO(wm_buf_free) struct wm_buf b;
	char big[500];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	wm_buf_init(&b, 1000);
	wm_buf_adds(&b, "<");
	wm_buf_addf(&b, "%s>", big);
	assert_false(b.failed);
	assert_int_equal(b.len, 501);
	assert_string_equal(b.data + 499, "x>");
}

static void
maximum_is_exact_and_failure_sticks(void **unused WM_UNUSED)
{
	WM_AUTO(wm_buf_free) struct wm_buf b;

	wm_buf_init(&b, 4);
	wm_buf_adds(&b, "abcd");
	assert_false(b.failed);
	wm_buf_addc(&b, 'e');
	assert_true(b.failed);
	assert_string_equal(b.data, "abcd");

	wm_buf_reset(&b);
	assert_false(b.failed);
	wm_buf_adds(&b, "ab");
	wm_buf_adds(&b, "cde");
	assert_true(b.failed);
	/* It would fit, but what was to stand before it is missing. */
	wm_buf_adds(&b, "c");
	wm_buf_addf(&b, "%d", 1);
	assert_string_equal(b.data, "ab");
	assert_null(wm_buf_reserve(&b, 1));

	wm_buf_reset(&b);
	wm_buf_addf(&b, "%d", 1234);
	assert_false(b.failed);
	wm_buf_addf(&b, "%d", 5);
	assert_true(b.failed);
	assert_string_equal(b.data, "1234");
}

static void
failed_format_leaves_no_trace(void **unused WM_UNUSED)
{
	WM_AUTO(wm_buf_free) struct wm_buf b;

	wm_buf_init(&b, 100);
	wm_buf_adds(&b, "kept");
	wm_buf_addf(&b, "%200d", 1);
	assert_true(b.failed);
	assert_int_equal(b.len, 4);
	assert_string_equal(b.data, "kept");
}

static void
sizes_that_overflow_fail(void **unused WM_UNUSED)
{
	WM_AUTO(wm_buf_free) struct wm_buf b;

	wm_buf_init(&b, SIZE_MAX);
	wm_buf_addc(&b, 'x');
	assert_null(wm_buf_reserve(&b, SIZE_MAX));
	assert_true(b.failed);
	assert_string_equal(b.data, "x");
}

static void
reserve_gives_room_to_write(void **unused WM_UNUSED)
{
	WM_AUTO(wm_buf_free) struct wm_buf b;
	char *at;

	wm_buf_init(&b, 1000);
	wm_buf_adds(&b, "ab");
	at = wm_buf_reserve(&b, 500);
	assert_non_null(at);
	memset(at, 'z', 500);
	b.len += 500;
	assert_int_equal(strlen(b.data), 502);
	assert_memory_equal(b.data, "abzz", 4);
}

static void
steal_hands_over(void **unused WM_UNUSED)
{
	struct wm_buf b;
	char *s;

	wm_buf_init(&b, 3);
	wm_buf_adds(&b, "abc");
	s = wm_buf_steal(&b);
	assert_string_equal(s, "abc");
	free(s);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");

	/* An empty string is one too, and the maximum is still there. */
	s = wm_buf_steal(&b);
	assert_string_equal(s, "");
	free(s);
	wm_buf_adds(&b, "abcd");
	assert_true(b.failed);
	assert_null(wm_buf_steal(&b));
	assert_false(b.failed);
	assert_string_equal(b.data, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_a_string_from_the_start),
		cmocka_unit_test(adds_bytes_strings_and_formats),
		cmocka_unit_test(grows_and_keeps_what_it_had),
		cmocka_unit_test(a_format_longer_than_the_room_is_whole),
		cmocka_unit_test(maximum_is_exact_and_failure_sticks),
		cmocka_unit_test(failed_format_leaves_no_trace),
		cmocka_unit_test(sizes_that_overflow_fail),
		cmocka_unit_test(reserve_gives_room_to_write),
		cmocka_unit_test(steal_hands_over),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
