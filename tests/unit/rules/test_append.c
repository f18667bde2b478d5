/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_append.c - changes to rows of an appending rule: every event a row.
 */
#include "fixture.h"

/* The fixture's position and time, as the view's first columns show them. */
#define HEAD(op) "upsert 4294967301|7|" op "|2026-11-20 08:30:00.123456+00|"
#define BODY "public.t d id!^:integer n:integer body:text"
#define FULL_BODY "public.t f id^:integer n:integer body:text"

static enum wm_outcome
apply(struct fixture *fx, enum wm_event_kind kind, const char *const *before, const char *const *after)
{
	return fx_apply(fx, kind, before, fx->rel->identity == WM_IDENTITY_FULL, after, 0);
}

static void
every_event_is_a_row(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx, "table: t, mode: append", BODY);
	assert_rows(&fx, apply(&fx, WM_EVENT_INSERT, NULL, ROW("1", "2", "x")), HEAD("insert") "1|2|x");
	assert_rows(&fx, apply(&fx, WM_EVENT_SEED, NULL, ROW("1", "2", "x")), HEAD("seed") "1|2|x");
	assert_rows(&fx, apply(&fx, WM_EVENT_UPDATE, NULL, ROW("1", "3", "x")), HEAD("update") "1|3|x");
	assert_rows(&fx, apply(&fx, WM_EVENT_UPDATE, ROW("1", NULL, NULL), ROW("2", "3", "x")), HEAD("update") "2|3|x");
	assert_rows(&fx, apply(&fx, WM_EVENT_DELETE, ROW("1", NULL, NULL), NULL), HEAD("delete") "1|-|-");
	assert_int_equal(apply(&fx, WM_EVENT_TRUNCATE, NULL, NULL), WM_PLAN_NOTHING);
	fx_close(&fx);
	fx_open(&fx, "table: t, mode: append, on_delete: ignore", BODY);
	assert_int_equal(apply(&fx, WM_EVENT_DELETE, ROW("1", NULL, NULL), NULL), WM_PLAN_NOTHING);
	fx_close(&fx);
	fx_open(&fx, "table: t, mode: append, events: [insert]", "public.t n id:integer");
	assert_rows(&fx, apply(&fx, WM_EVENT_INSERT, NULL, ROW("1")), HEAD("insert") "1");
	assert_int_equal(apply(&fx, WM_EVENT_UPDATE, NULL, ROW("1")), WM_PLAN_NOTHING);
	fx_close(&fx);
}

static void
rows_are_whole_if_they_can_be(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx, "table: t, mode: append", BODY);
	assert_int_equal(apply(&fx, WM_EVENT_UPDATE, NULL, ROW("1", "3", TOAST)), WM_PLAN_REREAD);
	assert_rows(&fx, fx_vanished(&fx, WM_EVENT_UPDATE, NULL, false, ROW("1", "3", TOAST)), HEAD("update") "1|3|-");
	fx_close(&fx);
	fx_open(&fx, "table: t, mode: append", FULL_BODY);
	assert_rows(&fx, apply(&fx, WM_EVENT_UPDATE, ROW("1", "2", "x"), ROW("1", "3", TOAST)), HEAD("update") "1|3|x");
	assert_rows(&fx, apply(&fx, WM_EVENT_DELETE, ROW("1", "2", "x"), NULL), HEAD("delete") "1|2|x");
	fx_close(&fx);
}

static void
where_turns_leaving_rows_into_deletes(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx, "table: t, mode: append, where: n > 10", BODY);
	assert_rows(&fx, apply(&fx, WM_EVENT_INSERT, NULL, ROW("1", "11", "x")), HEAD("insert") "1|11|x");
	assert_int_equal(apply(&fx, WM_EVENT_INSERT, NULL, ROW("1", "9", "x")), WM_PLAN_NOTHING);
	assert_int_equal(apply(&fx, WM_EVENT_SEED, NULL, ROW("1", "9", "x")), WM_PLAN_NOTHING);
	/* What the row holds now is not for the view to see. */
	assert_rows(&fx, apply(&fx, WM_EVENT_UPDATE, NULL, ROW("1", "9", "x")), HEAD("delete") "1|-|-");
	assert_rows(&fx, apply(&fx, WM_EVENT_UPDATE, ROW("1", NULL, NULL), ROW("2", "9", "x")), HEAD("delete") "1|-|-");
	assert_rows(&fx, apply(&fx, WM_EVENT_DELETE, ROW("1", NULL, NULL), NULL), HEAD("delete") "1|-|-");
	fx_close(&fx);
	fx_open(&fx, "table: t, mode: append, where: n > 10", FULL_BODY);
	assert_rows(&fx, apply(&fx, WM_EVENT_UPDATE, ROW("1", "11", "x"), ROW("1", "9", "y")), HEAD("delete") "1|11|x");
	assert_int_equal(apply(&fx, WM_EVENT_UPDATE, ROW("1", "8", "x"), ROW("1", "9", "y")), WM_PLAN_NOTHING);
	assert_int_equal(apply(&fx, WM_EVENT_DELETE, ROW("1", "8", "x"), NULL), WM_PLAN_NOTHING);
	assert_rows(&fx, apply(&fx, WM_EVENT_DELETE, ROW("1", "18", "x"), NULL), HEAD("delete") "1|18|x");
	fx_close(&fx);
}

static void
computed_columns_of_a_bare_key_are_null(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx,
	    "table: t, mode: append, columns: {include: [id], compute: {a: \"coalesce(n, 0)\", b: \"id + 1\"}, "
	    "check: {n: \"n is not null\"}}",
	    BODY);
	assert_rows(&fx, apply(&fx, WM_EVENT_INSERT, NULL, ROW("1", "2", "x")), HEAD("insert") "1|2|2");
	assert_int_equal(apply(&fx, WM_EVENT_INSERT, NULL, ROW("1", NULL, "x")), WM_PLAN_BAD);
	assert_rows(&fx, apply(&fx, WM_EVENT_DELETE, ROW("1", NULL, NULL), NULL), HEAD("delete") "1|-|2");
	fx_close(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_event_is_a_row),
		cmocka_unit_test(rows_are_whole_if_they_can_be),
		cmocka_unit_test(where_turns_leaving_rows_into_deletes),
		cmocka_unit_test(computed_columns_of_a_bare_key_are_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
