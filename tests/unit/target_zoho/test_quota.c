/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_quota.c - calls a minute and units a day, under a clock of the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../../src/targets/zoho_analytics/quota.h"

#define MINUTE (60 * WM_SEC)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static const unsigned limits[WM_ZOHO_NCLASSES] = { [WM_ZOHO_DML] = 5, [WM_ZOHO_BULK] = 3, [WM_ZOHO_METADATA] = 5,
	[WM_ZOHO_OVERALL] = 6 };

static struct wm_zoho_quota q;

static void
test_calls_a_minute(void **state)
{
	wm_usec wait;

	(void)state;
	wm_zoho_quota_init(&q, limits, -1, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(wm_zoho_quota_take(&q, WM_ZOHO_BULK, (100 + i) * WM_SEC), 0);
	wait = wm_zoho_quota_take(&q, WM_ZOHO_BULK, 103 * WM_SEC);
	assert_true(wait >= 57 * WM_SEC && wait <= 60 * WM_SEC);
	/* Others have their own. */
	assert_int_equal(wm_zoho_quota_take(&q, WM_ZOHO_DML, 103 * WM_SEC), 0);
	/* One for the first that is a minute old, and not three. */
	assert_int_equal(wm_zoho_quota_take(&q, WM_ZOHO_BULK, 103 * WM_SEC + wait), 0);
	assert_true(wm_zoho_quota_take(&q, WM_ZOHO_BULK, 103 * WM_SEC + wait) > 0);
}

static void
test_calls_of_all_kinds(void **state)
{
	(void)state;
	wm_zoho_quota_init(&q, limits, -1, 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(wm_zoho_quota_take(&q, WM_ZOHO_DML, 100 * WM_SEC), 0);
	assert_int_equal(wm_zoho_quota_take(&q, WM_ZOHO_METADATA, 100 * WM_SEC), 0);
	assert_true(wm_zoho_quota_take(&q, WM_ZOHO_METADATA, 100 * WM_SEC) > 0);
	/* In no minute more than the limit, wherever it begins. */
	for (wm_usec now = 100 * WM_SEC, n = 0; n < 50; now += WM_SEC / 2)
		if (wm_zoho_quota_take(&q, WM_ZOHO_DML, now) == 0) {
			n++;
			assert_true(now > 160 * WM_SEC);
			if (n == 6)
				break;
		}
}

static void
test_zoho_counted_more(void **state)
{
	(void)state;
	wm_zoho_quota_init(&q, limits, -1, 0);
	wm_zoho_quota_rate_exceeded(&q, WM_ZOHO_BULK, 100 * WM_SEC, HOUR + 20 * WM_SEC);
	assert_int_equal(wm_zoho_quota_take(&q, WM_ZOHO_BULK, 100 * WM_SEC), 41 * WM_SEC);
	assert_int_equal(wm_zoho_quota_take(&q, WM_ZOHO_DML, 100 * WM_SEC), 0);
	assert_int_equal(wm_zoho_quota_take(&q, WM_ZOHO_BULK, 141 * WM_SEC), 0);
}

static void
test_the_day(void **state)
{
	(void)state;
	wm_zoho_quota_init(&q, limits, 1000, 0);
	wm_zoho_quota_spend(&q, 400, 10 * DAY + HOUR);
	assert_true(wm_zoho_quota_left(&q, 10 * DAY + 2 * HOUR) == 600);
	assert_true(wm_zoho_quota_left(&q, 11 * DAY - 1) == 600);
	assert_true(wm_zoho_quota_left(&q, 11 * DAY) == 1000);
	/* A day that begins elsewhere. */
	wm_zoho_quota_init(&q, limits, 1000, 5 * HOUR);
	wm_zoho_quota_spend(&q, 400, 10 * DAY + 4 * HOUR);
	assert_true(wm_zoho_quota_left(&q, 10 * DAY + 5 * HOUR) == 1000);
	/* What Zoho says itself goes before what was counted; not knowing is no zero. */
	wm_zoho_quota_set(&q, 4000, 1500, 10 * DAY + 6 * HOUR);
	assert_true(wm_zoho_quota_left(&q, 10 * DAY + 6 * HOUR) == 2500);
	wm_zoho_quota_init(&q, limits, -1, 0);
	assert_true(wm_zoho_quota_left(&q, DAY) < 0);
}

static void
test_what_was_used_before(void **state)
{
	wm_usec noon = 10 * DAY + 12 * HOUR;

	(void)state;
	wm_zoho_quota_init(&q, limits, 1000, 0);
	wm_zoho_quota_restore(&q, 11 * DAY, 300, noon);
	wm_zoho_quota_spend(&q, 10, noon);
	assert_true(wm_zoho_quota_left(&q, noon) == 690);
	/* Another had noted less, a third more: the same units, seen earlier and later. */
	wm_zoho_quota_restore(&q, 11 * DAY, 250, noon);
	assert_true(wm_zoho_quota_left(&q, noon) == 690);
	wm_zoho_quota_restore(&q, 11 * DAY, 350, noon);
	assert_true(wm_zoho_quota_left(&q, noon) == 640);
	/* Yesterday's are no matter. */
	wm_zoho_quota_restore(&q, 10 * DAY, 900, noon);
	assert_true(wm_zoho_quota_left(&q, noon) == 640);
	assert_true(wm_zoho_quota_left(&q, 11 * DAY) == 1000);
	/* Zoho's own word goes before. */
	wm_zoho_quota_set(&q, 1000, 5, 11 * DAY);
	wm_zoho_quota_restore(&q, 12 * DAY, 350, 11 * DAY);
	assert_true(wm_zoho_quota_left(&q, 11 * DAY) == 995);
}

static void
test_used_up_at_noon(void **state)
{
	(void)state;
	wm_zoho_quota_init(&q, limits, 1000, 0);
	wm_zoho_quota_spend(&q, 900, 10 * DAY + 12 * HOUR);
	wm_zoho_quota_exhausted(&q, HOUR, 10 * DAY + 12 * HOUR);
	assert_true(wm_zoho_quota_left(&q, 10 * DAY + 12 * HOUR) == 0);
	/* Looked at again each hour, for Zoho's day may begin at another time. */
	assert_int_equal(wm_zoho_quota_closed(&q, 10 * DAY + 12 * HOUR), HOUR);
	assert_int_equal(wm_zoho_quota_closed(&q, 10 * DAY + 13 * HOUR), 0);
	wm_zoho_quota_exhausted(&q, HOUR, 11 * DAY - MINUTE);
	assert_int_equal(wm_zoho_quota_closed(&q, 11 * DAY - MINUTE), MINUTE);
	assert_int_equal(wm_zoho_quota_closed(&q, 11 * DAY), 0);
	assert_true(wm_zoho_quota_left(&q, 11 * DAY) == 1000);
}

static void
test_interval(void **state)
{
	wm_usec noon = 10 * DAY + 12 * HOUR;

	(void)state;
	wm_zoho_quota_init(&q, limits, 1000, 0);
	assert_int_equal(wm_zoho_quota_interval(&q, WM_PRIORITY_NORMAL, MINUTE, HOUR, noon), MINUTE);
	wm_zoho_quota_flushed(&q, WM_PRIORITY_NORMAL, 15, 1000);
	/* 12 hours at 15 units a flush: 900 of 1000 units are 60 flushes, one in 12 minutes. */
	assert_int_equal(wm_zoho_quota_interval(&q, WM_PRIORITY_NORMAL, MINUTE, HOUR, noon), 12 * MINUTE);
	wm_zoho_quota_spend(&q, 500, noon);
	assert_int_equal(wm_zoho_quota_interval(&q, WM_PRIORITY_NORMAL, MINUTE, HOUR, noon), 24 * MINUTE);
	wm_zoho_quota_spend(&q, 490, noon);
	assert_int_equal(wm_zoho_quota_interval(&q, WM_PRIORITY_NORMAL, MINUTE, HOUR, noon), HOUR);
	wm_zoho_quota_spend(&q, 20, noon);
	assert_int_equal(wm_zoho_quota_interval(&q, WM_PRIORITY_NORMAL, MINUTE, HOUR, noon), HOUR);
	/* At the next day's beginning all is there again. */
	assert_int_equal(wm_zoho_quota_interval(&q, WM_PRIORITY_NORMAL, MINUTE, HOUR, 11 * DAY), 24 * MINUTE);
	/* Where the plan is not known nothing is stretched. */
	wm_zoho_quota_init(&q, limits, -1, 0);
	wm_zoho_quota_flushed(&q, WM_PRIORITY_NORMAL, 15, 1000);
	assert_int_equal(wm_zoho_quota_interval(&q, WM_PRIORITY_NORMAL, MINUTE, HOUR, noon), MINUTE);
}

static wm_usec
interval(enum wm_priority priority, wm_usec wall)
{
	return wm_zoho_quota_interval(&q, priority, MINUTE, HOUR, wall);
}

/* 12 hours, 15 units a flush: once a minute costs 10800 units, once an hour 180. */
static void
test_low_widens_first(void **state)
{
	wm_usec noon = 10 * DAY + 12 * HOUR;

	(void)state;
	wm_zoho_quota_init(&q, limits, 100000, 0);
	for (enum wm_priority p = WM_PRIORITY_LOW; p < WM_PRIORITIES; p++)
		wm_zoho_quota_flushed(&q, p, 15, 1000);
	q.reserve = true;
	assert_int_equal(interval(WM_PRIORITY_LOW, noon), MINUTE);
	/* 28800 of the 32000 left are usable: high and normal take 10800 each, as before, low 7200. */
	wm_zoho_quota_spend(&q, 68000, noon);
	assert_int_equal(interval(WM_PRIORITY_HIGH, noon), MINUTE);
	assert_int_equal(interval(WM_PRIORITY_NORMAL, noon), MINUTE);
	assert_int_equal(interval(WM_PRIORITY_LOW, noon), 90 * WM_SEC);
	wm_zoho_quota_spend(&q, 12000, noon);
	assert_int_equal(interval(WM_PRIORITY_HIGH, noon), MINUTE);
	assert_int_equal(interval(WM_PRIORITY_NORMAL, noon), 90 * WM_SEC);
	assert_int_equal(interval(WM_PRIORITY_LOW, noon), HOUR);
}

static void
test_the_last_units_are_kept_for_high(void **state)
{
	wm_usec noon = 10 * DAY + 12 * HOUR;

	(void)state;
	wm_zoho_quota_init(&q, limits, 1000, 0);
	wm_zoho_quota_flushed(&q, WM_PRIORITY_NORMAL, 1, 1);
	wm_zoho_quota_spend(&q, 900, noon);
	/* Nobody has asked for high. */
	assert_int_equal(interval(WM_PRIORITY_NORMAL, noon), 8 * MINUTE);
	wm_zoho_quota_flushed(&q, WM_PRIORITY_HIGH, 1, 1);
	q.reserve = true;
	assert_int_equal(interval(WM_PRIORITY_NORMAL, noon), DAY);
	assert_int_equal(interval(WM_PRIORITY_LOW, noon), DAY);
	assert_int_equal(interval(WM_PRIORITY_HIGH, noon), 8 * MINUTE);
	/* Until the next day, when there may be none of that priority. */
	assert_int_equal(interval(WM_PRIORITY_NORMAL, 11 * DAY), HOUR);
	assert_false(q.reserve);
}

static void
test_how_long_it_lasts(void **state)
{
	(void)state;
	wm_zoho_quota_init(&q, limits, 1000, 0);
	wm_zoho_quota_spend(&q, 800, 10 * DAY + 12 * HOUR);
	assert_true(wm_zoho_quota_lasts(&q, 10 * DAY + 12 * HOUR) == 3 * 3600);
	wm_zoho_quota_init(&q, limits, 1000, 0);
	wm_zoho_quota_spend(&q, 100, 10 * DAY + 12 * HOUR);
	assert_true(wm_zoho_quota_lasts(&q, 10 * DAY + 12 * HOUR) < 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_a_minute),
		cmocka_unit_test(test_calls_of_all_kinds),
		cmocka_unit_test(test_zoho_counted_more),
		cmocka_unit_test(test_the_day),
		cmocka_unit_test(test_what_was_used_before),
		cmocka_unit_test(test_used_up_at_noon),
		cmocka_unit_test(test_interval),
		cmocka_unit_test(test_low_widens_first),
		cmocka_unit_test(test_the_last_units_are_kept_for_high),
		cmocka_unit_test(test_how_long_it_lasts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
