/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_doubt.c - how long a way is left alone that has failed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "walmill/compiler.h"
#include "walmill/doubt.h"

static unsigned
turns_without(struct wm_doubt *d)
{
	unsigned n = 0;

	while (wm_doubt_passes(d))
		n++;
	return n;
}

static void
a_way_that_fails_is_left_alone_for_twice_as_long_each_time(void **unused WM_UNUSED)
{
	struct wm_doubt d = { 0 };

	assert_int_equal(turns_without(&d), 0);
	for (unsigned turns = 1; turns <= 1024; turns *= 2) {
		wm_doubt_note(&d, false);
		assert_int_equal(turns_without(&d), turns);
	}
	wm_doubt_note(&d, false);
	assert_int_equal(turns_without(&d), 1024);
}

static void
one_that_works_again_is_trusted(void **unused WM_UNUSED)
{
	struct wm_doubt d = { 0 };

	for (int i = 0; i < 5; i++)
		wm_doubt_note(&d, false);
	assert_int_equal(turns_without(&d), 16);
	wm_doubt_note(&d, true);
	assert_int_equal(turns_without(&d), 0);
	wm_doubt_note(&d, false);
	assert_int_equal(turns_without(&d), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_way_that_fails_is_left_alone_for_twice_as_long_each_time),
		cmocka_unit_test(one_that_works_again_is_trusted),
	};

	return cmocka_run_group_tests_name("doubt", tests, NULL, NULL);
}
