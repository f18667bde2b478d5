/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_progress.c - the line that sync shows, from hand-made snapshots.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../../../src/cli/progress.h"
#include "capture.h"

static char shop[] = "shop", warehouse[] = "warehouse", orders[] = "orders", customers[] = "customers";
static char table[] = "public.orders";

struct fixture {
	struct wm_source_status	 source;
	struct wm_target_status	 target;
	struct wm_rule_status	 rules[2];
	struct wm_snapshot	 s;
};

static void
fill(struct fixture *f)
{
	*f = (struct fixture){
		.source = { .name = shop, .state = "streaming" },
		.target = { .name = warehouse, .type = "sqlite", .state = "ok" },
		.rules = {
			{ .name = orders, .source = shop, .target = warehouse, .table = table, .view = orders,
			    .state = "seeding", .rows_read = 1000, .seed_total = 8000 },
			{ .name = customers, .source = shop, .target = warehouse, .table = table, .view = customers,
			    .state = "streaming", .rows_read = 2500, .seed_total = 2000 },
		},
	};
	f->s = (struct wm_snapshot){ .nsources = 1,
		.ntargets = 1,
		.nrules = 2,
		.sources = &f->source,
		.targets = &f->target,
		.rules = f->rules };
}

static void
assert_line(struct wm_progress *p, const struct fixture *f, wm_usec now, size_t width, const char *expected)
{
	WM_AUTO(wm_buf_free) struct wm_buf line;

	wm_buf_init(&line, 1000);
	wm_progress_line(p, &f->s, now, width, &line);
	assert_string_equal(line.data, expected);
}

static void
seed_shows_share_rate_and_time_left(void **state)
{
	struct wm_progress *p = wm_progress_create(true);
	struct fixture f;

	(void)state;
	fill(&f);
	assert_line(p, &f, WM_SEC, 0, "seeding [######..............] 33%, 3,500 of 10,500 rows");
	f.rules[0].rows_read = 3000;
	assert_line(p, &f, 2 * WM_SEC, 0,
	    "seeding [##########..........] 52%, 5,500 of 10,500 rows, 2,000 rows/s, 2.5 s left");
	assert_line(p, &f, 2 * WM_SEC, 20, "seeding [##########.");
	wm_progress_destroy(p);
}

/* More rows than estimated: never over 100 %. */
static void
a_low_estimate_does_not_pass_the_end(void **state)
{
	struct wm_progress *p = wm_progress_create(true);
	struct fixture f;

	(void)state;
	fill(&f);
	f.rules[0].rows_read = 9000;
	assert_line(p, &f, WM_SEC, 0, "seeding [####################] 100%, 11,500 of 11,500 rows");
	wm_progress_destroy(p);
}

static void
the_stream_shows_rate_lag_and_latency(void **state)
{
	struct wm_progress *p = wm_progress_create(true);
	struct fixture f;

	(void)state;
	fill(&f);
	f.rules[0].state = "streaming";
	f.source.changes = 100;
	assert_line(p, &f, WM_SEC, 0, "streaming, 100 changes, 0 rows/s, lag 0 B, 0 ms");
	f.source.changes = 1100;
	f.target.lag_bytes = 2048;
	f.target.lag_s = 0.25;
	f.s.latency_p50 = 0.003;
	f.s.latency_p99 = 0.012;
	assert_line(p, &f, 3 * WM_SEC, 0,
	    "streaming, 1,100 changes, 500 rows/s, lag 2.0 KiB, 250 ms, commit to visible 3 ms (p99 12 ms)");
	f.source.state = "retrying";
	assert_line(p, &f, 20 * WM_SEC, 0,
	    "retrying, 1,100 changes, 0 rows/s, lag 2.0 KiB, 250 ms, commit to visible 3 ms (p99 12 ms)");
	wm_progress_destroy(p);
}

/* A rate is that of the last seconds, not of all time. */
static void
old_samples_do_not_count(void **state)
{
	struct wm_progress *p = wm_progress_create(true);
	struct fixture f;
	wm_usec now = WM_SEC;

	(void)state;
	fill(&f);
	f.rules[0].state = "streaming";
	for (int i = 0; i < 100; i++, now += 200 * WM_MSEC) {
		WM_AUTO(wm_buf_free) struct wm_buf line;

		f.source.changes += i < 50 ? 1000 : 10;
		wm_buf_init(&line, 1000);
		wm_progress_line(p, &f.s, now, 0, &line);
	}
	f.source.changes += 10;
	assert_line(p, &f, now, 0, "streaming, 50,510 changes, 50 rows/s, lag 0 B, 0 ms");
	wm_progress_destroy(p);
}

/* What update(now) logs; empty: nothing. */
static void
assert_logs(struct wm_progress *p, const struct fixture *f, wm_usec now, const char *expected)
{
	char text[2000];
	struct capture c = capture_begin(stderr);

	wm_progress_update(p, &f->s, now);
	capture_end(&c, text, sizeof(text));
	if (*expected == '\0')
		assert_string_equal(text, "");
	else
		assert_non_null(strstr(text, expected));
}

/* Log lines are far apart, and so are the two counts that a rate is made from. */
static void
the_log_shows_the_rate_since_its_last_line(void **state)
{
	struct wm_progress *p = wm_progress_create(false);
	struct fixture f;

	(void)state;
	fill(&f);
	assert_logs(p, &f, WM_SEC, "");
	f.rules[0].rows_read = 3000;
	assert_logs(p, &f, 2 * WM_SEC,
	    "progress: seeding [##########..........] 52%, 5,500 of 10,500 rows, 2,000 rows/s, 2.5 s left\n");
	f.rules[0].state = "streaming";
	f.source.changes = 1000;
	assert_logs(p, &f, 11 * WM_SEC, "");
	assert_logs(p, &f, 12 * WM_SEC, "progress: streaming, 1,000 changes, 100 rows/s, lag 0 B, 0 ms\n");
	assert_logs(p, &f, 60 * WM_SEC, "");
	wm_progress_destroy(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seed_shows_share_rate_and_time_left),
		cmocka_unit_test(a_low_estimate_does_not_pass_the_end),
		cmocka_unit_test(the_stream_shows_rate_lag_and_latency),
		cmocka_unit_test(old_samples_do_not_count),
		cmocka_unit_test(the_log_shows_the_rate_since_its_last_line),
	};

	return cmocka_run_group_tests_name("cli_progress", tests, NULL, NULL);
}
