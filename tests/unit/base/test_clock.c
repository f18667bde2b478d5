/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_clock.c - time's text form, PostgreSQL's epoch, back-off.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "walmill/clock.h"
#include "walmill/compiler.h"

static void
formats_in_utc(void **unused WM_UNUSED)
{
	static const struct {
		wm_usec		 t;
		const char	*text;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00.000000Z" },
		{ 1795249800123456, "2026-11-21T08:30:00.123456Z" },
		{ -1, "1969-12-31T23:59:59.999999Z" },
		{ INT64_MAX, "294247-01-10T04:00:54.775807Z" },
		{ INT64_MIN, "-290308-12-21T19:59:05.224192Z" },
	};
	char buf[32];

	for (size_t i = 0; i < WM_ARRAY_SIZE(cases); i++)
		assert_string_equal(wm_clock_format(cases[i].t, buf, sizeof(buf)), cases[i].text);
}

static void
converts_postgresql_time(void **unused WM_UNUSED)
{
	assert_int_equal(wm_clock_from_pg(0), 946684800 * WM_SEC);
	assert_int_equal(wm_clock_to_pg(946684800 * WM_SEC), 0);
	assert_int_equal(wm_clock_to_pg(wm_clock_from_pg(848565000123456)), 848565000123456);
	/* Any 64 bits may come from the wire. */
	assert_true(wm_clock_from_pg(INT64_MAX) == INT64_MAX);
	assert_true(wm_clock_to_pg(INT64_MIN) == INT64_MIN);
}

static void
clocks_run(void **unused WM_UNUSED)
{
	wm_usec mono = wm_clock_mono();

	assert_true(mono > 0);
	assert_true(wm_clock_mono() >= mono);
	/* 2024-01-01 */
	assert_true(wm_clock_wall() > 1704067200 * WM_SEC);
}

static void
backoff_doubles_to_its_maximum(void **unused WM_UNUSED)
{
	static const wm_usec bounds[] = { 100, 200, 400, 800, 1000, 1000, 1000 };
	struct wm_backoff b;

	wm_backoff_init(&b, 100, 1000);
	for (int round = 0; round < 100; round++) {
		for (size_t i = 0; i < WM_ARRAY_SIZE(bounds); i++) {
			wm_usec wait = wm_backoff_next(&b);

			assert_in_range(wait, bounds[i] / 2, bounds[i]);
		}
		wm_backoff_reset(&b);
		assert_int_equal(b.attempts, 0);
	}
}

static void
backoff_is_spread(void **unused WM_UNUSED)
{
	struct wm_backoff b;
	int low = 0, high = 0;

	wm_backoff_init(&b, 1000, 1000);
	for (int i = 0; i < 200; i++) {
		wm_usec wait = wm_backoff_next(&b);

		assert_in_range(wait, 500, 1000);
		low += wait < 750;
		high += wait > 750;
	}
	/* Either would be zero once in 2^190 runs. */
	assert_true(low > 0 && high > 0);
}

static void
backoff_never_overflows(void **unused WM_UNUSED)
{
	struct wm_backoff b;

	wm_backoff_init(&b, 1, INT64_MAX);
	for (int i = 0; i < 200; i++)
		assert_true(wm_backoff_next(&b) > 0);
	assert_true(wm_backoff_next(&b) >= INT64_MAX / 2);
}

static void
backoff_heeds_what_was_asked(void **unused WM_UNUSED)
{
	struct wm_backoff b;

	wm_backoff_init(&b, 1000, 1000);
	assert_in_range(wm_backoff_asked(&b, 0), 500, 1000);
	assert_in_range(wm_backoff_asked(&b, 400), 500, 1000);
	assert_in_range(wm_backoff_asked(&b, 7 * WM_SEC), 7 * WM_SEC + 60, 7 * WM_SEC + 125);
	/* A moment far away is not believed. */
	assert_in_range(wm_backoff_asked(&b, INT64_MAX), 3600 * WM_SEC, 3600 * WM_SEC + 125);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_in_utc),
		cmocka_unit_test(converts_postgresql_time),
		cmocka_unit_test(clocks_run),
		cmocka_unit_test(backoff_doubles_to_its_maximum),
		cmocka_unit_test(backoff_is_spread),
		cmocka_unit_test(backoff_never_overflows),
		cmocka_unit_test(backoff_heeds_what_was_asked),
	};

	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
