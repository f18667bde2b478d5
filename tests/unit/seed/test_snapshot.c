/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_snapshot.c - what a "xmin:xmax:xip" snapshot sees.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "walmill/seed.h"

static void
ended_before_xmin_is_seen(void **state)
{
	(void)state;
	assert_true(wm_snapshot_sees("100:120:100,105", 99));
	assert_true(wm_snapshot_sees("100:100:", 99));
}

static void
started_at_or_after_xmax_is_not_seen(void **state)
{
	(void)state;
	assert_false(wm_snapshot_sees("100:120:100,105", 120));
	assert_false(wm_snapshot_sees("100:120:100,105", 5000));
	assert_false(wm_snapshot_sees("100:100:", 100));
}

static void
running_ones_between_are_not_seen(void **state)
{
	(void)state;
	assert_false(wm_snapshot_sees("100:120:100,105,119", 100));
	assert_false(wm_snapshot_sees("100:120:100,105,119", 105));
	assert_false(wm_snapshot_sees("100:120:100,105,119", 119));
	assert_true(wm_snapshot_sees("100:120:100,105,119", 101));
	assert_true(wm_snapshot_sees("100:120:100,105,119", 118));
}

/* The stream names transactions by the lower 32 bits. */
static void
epochs_are_told_apart(void **state)
{
	(void)state;
	assert_true(wm_snapshot_sees("4294967300:4294967310:4294967300", 4294967295U));
	assert_false(wm_snapshot_sees("4294967300:4294967310:4294967300", 4));
	assert_true(wm_snapshot_sees("4294967300:4294967310:4294967300", 5));
	assert_false(wm_snapshot_sees("4294967290:4294967290:", 3));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ended_before_xmin_is_seen),
		cmocka_unit_test(started_at_or_after_xmax_is_not_seen),
		cmocka_unit_test(running_ones_between_are_not_seen),
		cmocka_unit_test(epochs_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
