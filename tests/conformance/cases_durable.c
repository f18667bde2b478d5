/* SPDX-License-Identifier: PostgreSQL */
/*
 * cases_durable.c - targets without transactions: each write is durable when it returns, and may come again.
 */
#include "conformance.h"

#include <stdio.h>
#include <string.h>

#define T (f->target)
#define OPS (f->target->ops)

static const struct wm_view *
simple_view(struct fixture *f)
{
	return make_view(f, "t", COLUMNS(KEY("id", "integer"), COLUMN("name", "text")));
}

static struct batch
some_rows(struct fixture *f, const struct wm_view *view, int n, const char *name)
{
	struct batch b = make_batch(f);
	char id[16];

	add_view(&b, view);
	for (int i = 1; i <= n; i++) {
		snprintf(id, sizeof(id), "%d", i);
		add_upsert(&b, VALUES(id, name));
	}
	return b;
}

static void
a_write_is_durable_when_it_returns(struct fixture *f)
{
	const struct wm_view *view = simple_view(f);
	struct batch b = some_rows(f, view, 3, "a");

	assert_null(OPS->load);
	assert_null(OPS->commit);
	assert_null(OPS->rollback);
	start(f);
	ensure(f, view);
	write_batch(f, &b);
	OPS->close(T);
	assert_rows(f, "SELECT * FROM t ORDER BY id", "1|a\n2|a\n3|a");
}

static void
whole_rows_may_come_again(struct fixture *f)
{
	const struct wm_view *view = simple_view(f);
	struct batch few = some_rows(f, view, 3, "few"), many = some_rows(f, view, 500, "many"), b = make_batch(f);

	start(f);
	ensure(f, view);
	add_view(&b, view);
	add_truncate(&b);
	add_upsert(&b, VALUES("1", "alone"));
	for (int i = 0; i < 3; i++)
		write_batch(f, &few);
	assert_rows(f, "SELECT count(*), count(DISTINCT name) FROM t", "3|1");
	for (int i = 0; i < 3; i++)
		write_batch(f, &many);
	assert_rows(f, "SELECT count(*), count(DISTINCT id), count(DISTINCT name) FROM t", "500|500|1");
	for (int i = 0; i < 3; i++)
		write_batch(f, &b);
	assert_rows(f, "SELECT * FROM t", "1|alone");
}

static void
trouble_means_retry(struct fixture *f)
{
	const struct wm_view *view = simple_view(f);
	struct batch few = some_rows(f, view, 2, "few"), many = some_rows(f, view, 500, "many");
	const struct batch *const batches[] = { &few, &many };

	start(f);
	ensure(f, view);
	for (size_t i = 0; i < 2; i++) {
		size_t bad = 7;

		f->peer->lock(f, "t");
		assert_int_equal(OPS->write(T, &batches[i]->b, &bad, &error), WM_RETRY);
		assert_int_equal(error.status, WM_RETRY);
		assert_string_not_equal(error.code, "");
		assert_string_not_equal(error.text, "");
		assert_int_equal(bad, 7);
		/* As the pipeline does. */
		OPS->close(T);
		f->peer->unlock(f);
		start(f);
		ensure(f, view);
		write_batch(f, batches[i]);
	}
	assert_rows(f, "SELECT count(*), count(DISTINCT name) FROM t", "500|1");
}

static void
what_is_not_refused_goes_through(struct fixture *f)
{
	const struct wm_view *view = make_view(f, "picky", COLUMNS(KEY("id", "integer"),
	    COLUMN_AS("v", "text", f->peer->picky_type)));
	struct batch b = make_batch(f);
	char id[16];

	assert_non_null(f->peer->picky_value);
	start(f);
	ensure(f, view);
	add_view(&b, view);
	for (int i = 0; i < 300; i++) {
		snprintf(id, sizeof(id), "%d", i);
		add_upsert(&b, VALUES(id, i == 0 || i == 17 || i == 299 ? f->peer->picky_value : "good"));
	}
	assert_int_equal(write_splitting(f, &b.b), 3);
	assert_non_null(strstr(error.text, "picky"));
	assert_null(strstr(error.text, f->peer->picky_value));
	assert_rows(f, "SELECT count(*), sum(id) FROM picky WHERE v = 'good'", "297|44534");
}

const struct test_case durable_cases[] = {
	{ "a write is durable when it returns", a_write_is_durable_when_it_returns, 0, 0, WM_TARGET_TRANSACTIONAL },
	{ "whole rows may come again", whole_rows_may_come_again, 0, 0, WM_TARGET_TRANSACTIONAL },
	{ "trouble means retry", trouble_means_retry, 0, 0, WM_TARGET_TRANSACTIONAL },
	{ "what is not refused goes through, part by part", what_is_not_refused_goes_through,
	    0, 0, WM_TARGET_TRANSACTIONAL },
	{ .name = NULL },
};
