/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_apply.c - changes to rows of an upserting rule.
 */
#include "fixture.h"

#include <string.h>

#include "walmill/strutil.h"

#define BODY "public.t d id!^:integer n:integer body:text"
#define FULL_BODY "public.t f id^:integer n:integer body:text"
#define KEYED(k) ROW(k, NULL, NULL)

static enum wm_outcome
insert(struct fixture *fx, const char *const *row)
{
	return fx_apply(fx, WM_EVENT_INSERT, NULL, false, row, 0);
}

static enum wm_outcome
update(struct fixture *fx, const char *const *before, const char *const *after)
{
	return fx_apply(fx, WM_EVENT_UPDATE, before, false, after, 0);
}

static enum wm_outcome
update_full(struct fixture *fx, const char *const *before, const char *const *after)
{
	return fx_apply(fx, WM_EVENT_UPDATE, before, true, after, 0);
}

static void
plain_changes_pass_through(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx, "table: t", BODY);
	assert_rows(&fx, insert(&fx, ROW("1", NULL, "x")), "upsert 1|-|x");
	assert_rows(&fx, fx_apply(&fx, WM_EVENT_SEED, NULL, false, ROW("1", "2", ""), 0), "upsert 1|2|");
	assert_rows(&fx, update(&fx, NULL, ROW("1", "3", "y")), "upsert 1|3|y");
	assert_rows(&fx, fx_apply(&fx, WM_EVENT_DELETE, KEYED("1"), false, NULL, 0), "delete 1|-|-");
	assert_int_equal(fx_apply(&fx, WM_EVENT_TRUNCATE, NULL, false, NULL, 0), WM_PLAN_TRUNCATE);
	fx_close(&fx);
}

/* Without expressions a value of the row is the change's own bytes. */
static void
values_are_not_copied(void **state)
{
	struct fixture fx = { 0 };
	struct wm_value values[3] = {
		{ .data = "1", .len = 1, .kind = WM_VALUE_TEXT },
		{ .data = "\x01\x02", .len = 2, .kind = WM_VALUE_BINARY },
		{ .data = "body", .len = 4, .kind = WM_VALUE_TEXT },
	};
	struct wm_tuple after = { .n = 3, .values = values };
	struct wm_change change = { .kind = WM_EVENT_INSERT, .after = &after };

	(void)state;
	fx_open(&fx, "table: t, columns: {rename: {body: b}}", BODY);
	assert_int_equal(wm_plan_apply(fx.plan, &change, 0, fx.arena, &fx.rows, &fx.err), WM_PLAN_ROWS);
	assert_ptr_equal(fx.rows.row[0].values[2].data, values[2].data);
	assert_int_equal(fx.rows.row[0].values[1].kind, WM_VALUE_BINARY);
	assert_true(wm_arena_used(fx.arena) <= 3 * sizeof(struct wm_value) + 16);
	fx_close(&fx);
}

static void
events_not_listed_are_nothing(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx, "table: t, events: [insert]", BODY);
	assert_int_equal(update(&fx, NULL, ROW("1", "3", "y")), WM_PLAN_NOTHING);
	assert_int_equal(fx_apply(&fx, WM_EVENT_DELETE, KEYED("1"), false, NULL, 0), WM_PLAN_NOTHING);
	assert_int_equal(fx_apply(&fx, WM_EVENT_TRUNCATE, NULL, false, NULL, 0), WM_PLAN_NOTHING);
	assert_int_equal(insert(&fx, ROW("1", "3", "y")), WM_PLAN_ROWS);
	fx_close(&fx);
	fx_open(&fx, "table: t, events: [delete], on_truncate: ignore", BODY);
	assert_int_equal(insert(&fx, ROW("1", "3", "y")), WM_PLAN_NOTHING);
	assert_int_equal(fx_apply(&fx, WM_EVENT_SEED, NULL, false, ROW("1", "2", "x"), 0), WM_PLAN_ROWS);
	assert_int_equal(fx_apply(&fx, WM_EVENT_DELETE, KEYED("1"), false, NULL, 0), WM_PLAN_ROWS);
	fx_close(&fx);
	fx_open(&fx, "table: t, on_truncate: ignore", BODY);
	assert_int_equal(fx_apply(&fx, WM_EVENT_TRUNCATE, NULL, false, NULL, 0), WM_PLAN_NOTHING);
	fx_close(&fx);
}

static void
changed_keys_delete_the_old_row(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx, "table: t", BODY);
	assert_rows(&fx, update(&fx, KEYED("1"), ROW("2", "3", "y")), "delete 1|-|-; upsert 2|3|y");
	/* An old key that is the new one: an index with more columns than the rule's key changed. */
	assert_rows(&fx, update(&fx, KEYED("1"), ROW("1", "3", "y")), "upsert 1|3|y");
	fx_close(&fx);
	fx_open(&fx, "table: t", FULL_BODY);
	assert_rows(&fx, update_full(&fx, ROW("1", "3", "x"), ROW("1", "4", "y")), "upsert 1|4|y");
	assert_rows(&fx, update_full(&fx, ROW("1", "3", "x"), ROW("2", "4", "y")), "delete 1|-|-; upsert 2|4|y");
	fx_close(&fx);
	fx_open(&fx, "table: t, key: [n]", "public.t i id!:integer n!:integer");
	assert_rows(&fx, update(&fx, ROW("1", "5"), ROW("2", "5")), "upsert 2|5");
	assert_rows(&fx, update(&fx, ROW("1", "5"), ROW("1", "6")), "delete -|5; upsert 1|6");
	fx_close(&fx);
}

static void
unchanged_values_make_an_update(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx, "table: t", BODY);
	assert_rows(&fx, update(&fx, NULL, ROW("1", "3", TOAST)), "update 1|3|~");
	assert_rows(&fx, update(&fx, KEYED("1"), ROW("2", "3", TOAST)), "update 2|3|~ was 1");
	assert_int_equal(
	    fx_apply(&fx, WM_EVENT_UPDATE, NULL, false, ROW("1", "3", TOAST), WM_PLAN_WHOLE),
	    WM_PLAN_REREAD);
	assert_int_equal(
	    fx_apply(&fx, WM_EVENT_UPDATE, KEYED("1"), false, ROW("2", "3", TOAST), WM_PLAN_WHOLE),
	    WM_PLAN_REREAD);
	/* The row as it was read again. */
	assert_rows(&fx, fx_apply(&fx, WM_EVENT_UPDATE, KEYED("1"), false, ROW("2", "3", "x"), WM_PLAN_WHOLE),
	    "delete 1|-|-; upsert 2|3|x");
	fx_close(&fx);
	/* An unchanged value that the view does not have matters to nobody. */
	fx_open(&fx, "table: t, columns: {exclude: [body]}", BODY);
	assert_rows(&fx, update(&fx, NULL, ROW("1", "3", TOAST)), "upsert 1|3");
	fx_close(&fx);
	/* A mask of an unchanged value is unchanged, and null is always known. */
	fx_open(&fx, "table: t, columns: {mask: {body: sha256}}", BODY);
	assert_rows(&fx, update(&fx, NULL, ROW("1", "3", TOAST)), "update 1|3|~");
	fx_close(&fx);
	fx_open(&fx, "table: t, columns: {mask: {body: null}}", BODY);
	assert_rows(&fx, update(&fx, NULL, ROW("1", "3", TOAST)), "upsert 1|3|-");
	fx_close(&fx);
}

static void
unchanged_values_are_taken_from_the_old_row(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx, "table: t, where: n > 0, columns: {compute: {len: \"length(body)\"}}", FULL_BODY);
	assert_rows(&fx, update_full(&fx, ROW("1", "3", "old"), ROW("1", "4", TOAST)), "upsert 1|4|old|3");
	assert_rows(&fx, update_full(&fx, ROW("1", "3", "old"), ROW("2", "4", TOAST)),
	    "delete 1|-|-|-; upsert 2|4|old|3");
	/* One that begins to match is whole. */
	assert_rows(&fx, update_full(&fx, ROW("1", "0", "old"), ROW("1", "4", TOAST)), "upsert 1|4|old|3");
	fx_close(&fx);
	/* A long key column, stored apart, comes with the old key. */
	fx_open(&fx, "table: t", "public.t d id!:text n:integer");
	assert_rows(&fx, update(&fx, ROW("long", NULL), ROW(TOAST, "4")), "upsert long|4");
	assert_int_equal(update(&fx, NULL, ROW(TOAST, "4")), WM_PLAN_BAD);
	fx_close(&fx);
}

static void
where_decides_what_the_view_holds(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx, "table: t, where: n > 10", BODY);
	assert_rows(&fx, insert(&fx, ROW("1", "11", "x")), "upsert 1|11|x");
	assert_int_equal(insert(&fx, ROW("1", "10", "x")), WM_PLAN_NOTHING);
	assert_int_equal(insert(&fx, ROW("1", NULL, "x")), WM_PLAN_NOTHING);
	assert_rows(&fx, update(&fx, NULL, ROW("1", "11", "x")), "upsert 1|11|x");
	assert_rows(&fx, update(&fx, NULL, ROW("1", "9", "x")), "delete 1|-|-");
	assert_rows(&fx, update(&fx, NULL, ROW("1", "9", TOAST)), "delete 1|-|-");
	assert_rows(&fx, update(&fx, KEYED("1"), ROW("2", "9", "x")), "delete 1|-|-; delete 2|-|-");
	assert_rows(&fx, update(&fx, KEYED("1"), ROW("2", "12", "x")), "delete 1|-|-; upsert 2|12|x");
	/* It may be about to match for the first time: the target would have nothing to update. */
	assert_int_equal(update(&fx, NULL, ROW("1", "11", TOAST)), WM_PLAN_REREAD);
	assert_rows(&fx, fx_apply(&fx, WM_EVENT_DELETE, KEYED("1"), false, NULL, 0), "delete 1|-|-");
	fx_close(&fx);
	fx_open(&fx, "table: t, where: length(body) > 1", BODY);
	assert_int_equal(update(&fx, NULL, ROW("1", "11", TOAST)), WM_PLAN_REREAD);
	fx_close(&fx);
	fx_open(&fx, "table: t, where: length(body) > 1, columns: {exclude: [body]}", BODY);
	assert_rows(&fx, insert(&fx, ROW("1", "9", "xx")), "upsert 1|9");
	assert_int_equal(insert(&fx, ROW("1", "9", "x")), WM_PLAN_NOTHING);
	assert_int_equal(update(&fx, NULL, ROW("1", "11", TOAST)), WM_PLAN_REREAD);
	fx_close(&fx);
	fx_open(&fx, "table: t, where: n > 10, columns: {exclude: [body]}", BODY);
	assert_rows(&fx, update(&fx, NULL, ROW("1", "11", TOAST)), "upsert 1|11");
	fx_close(&fx);
}

static void
a_seed_over_older_rows_deletes_what_where_refuses(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx, "table: t, where: n > 10", BODY);
	assert_int_equal(fx_apply(&fx, WM_EVENT_SEED, NULL, false, ROW("1", "9", "x"), 0), WM_PLAN_NOTHING);
	assert_rows(&fx, fx_apply(&fx, WM_EVENT_SEED, NULL, false, ROW("1", "9", "x"), WM_PLAN_RESEED), "delete 1|-|-");
	assert_rows(&fx,
	    fx_apply(&fx, WM_EVENT_SEED, NULL, false, ROW("1", "19", "x"), WM_PLAN_RESEED),
	    "upsert 1|19|x");
	/* Only a seed. */
	assert_int_equal(
	    fx_apply(&fx, WM_EVENT_INSERT, NULL, false, ROW("1", "9", "x"), WM_PLAN_RESEED),
	    WM_PLAN_NOTHING);
	fx_close(&fx);
}

static void
computed_columns_need_their_inputs(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx,
	    "table: t, columns: {compute: {twice: \"n * 2\", len: \"length(body)\", both: \"n || body\"}}",
	    BODY);
	assert_rows(&fx, insert(&fx, ROW("1", "4", "abc")), "upsert 1|4|abc|8|3|4abc");
	assert_int_equal(update(&fx, NULL, ROW("1", "5", TOAST)), WM_PLAN_REREAD);
	fx_close(&fx);
	/* Nothing that the column is made of has changed. */
	fx_open(&fx, "table: t, columns: {compute: {twice: \"n * 2\", len: \"length(body)\"}}", BODY);
	assert_rows(&fx, update(&fx, NULL, ROW("1", "5", TOAST)), "update 1|5|~|10|~");
	fx_close(&fx);
	fx_open(&fx, "table: t, columns: {include: [id], compute: {ok: \"n > 1\"}, type: {ok: boolean}}", BODY);
	assert_rows(&fx, insert(&fx, ROW("1", "4", "abc")), "upsert 1|t");
	assert_rows(&fx, insert(&fx, ROW("1", "0", "abc")), "upsert 1|f");
	assert_rows(&fx, insert(&fx, ROW("1", NULL, "abc")), "upsert 1|-");
	fx_close(&fx);
}

static void
checks_refuse_rows(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx, "table: t, where: n <> 7, columns: {check: {body: \"body like '%@%'\", n: \"n >= 0\"}}", BODY);
	assert_rows(&fx, insert(&fx, ROW("1", "4", "a@b")), "upsert 1|4|a@b");
	assert_int_equal(insert(&fx, ROW("1", "-123", "a@b")), WM_PLAN_BAD);
	assert_int_equal(fx.err.status, WM_REJECT);
	assert_string_equal(fx.err.code, "check");
	assert_string_equal(fx.err.text, "rule \"t\": a row of table public.t fails columns.check of \"n\"");
	assert_int_equal(update(&fx, NULL, ROW("1", "4", "nobody")), WM_PLAN_BAD);
	assert_string_equal(fx.err.text, "rule \"t\": a row of table public.t fails columns.check of \"body\"");
	assert_int_equal(fx_apply(&fx, WM_EVENT_SEED, NULL, false, ROW("1", "-4", "a@b"), 0), WM_PLAN_BAD);
	/* As in SQL, NULL is no failure; nor does a row matter that where refuses, or one that goes. */
	assert_rows(&fx, insert(&fx, ROW("1", "4", NULL)), "upsert 1|4|-");
	assert_int_equal(insert(&fx, ROW("1", "7", "nobody")), WM_PLAN_NOTHING);
	assert_rows(&fx, fx_apply(&fx, WM_EVENT_DELETE, KEYED("1"), false, NULL, 0), "delete 1|-|-");
	fx_close(&fx);
	/* The row may be missing at the target because it failed before. */
	fx_open(&fx, "table: t, columns: {check: {n: \"n >= 0\"}}", BODY);
	assert_int_equal(update(&fx, NULL, ROW("1", "4", TOAST)), WM_PLAN_REREAD);
	fx_close(&fx);
	fx_open(&fx, "table: t, columns: {exclude: [body], check: {n: \"body <> ''\"}}", BODY);
	assert_int_equal(update(&fx, NULL, ROW("1", "4", TOAST)), WM_PLAN_REREAD);
	fx_close(&fx);
}

static void
rows_without_a_key_are_bad(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx, "table: t, key: [n]", "public.t f id:integer n:integer");
	assert_int_equal(insert(&fx, ROW("1", NULL)), WM_PLAN_BAD);
	assert_int_equal(fx.err.status, WM_REJECT);
	assert_string_equal(fx.err.code, "key");
	assert_string_equal(fx.err.text, "rule \"t\": key column \"n\" of a row of table public.t has no value");
	/* It was never written, so there is nothing to delete. */
	assert_int_equal(fx_apply(&fx, WM_EVENT_DELETE, ROW("1", NULL), true, NULL, 0), WM_PLAN_NOTHING);
	assert_rows(&fx, update_full(&fx, ROW("1", NULL), ROW("1", "5")), "upsert 1|5");
	fx_close(&fx);
}

static void
soft_deletes_mark_the_row(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx, "table: t, on_delete: soft, where: n > 0", BODY);
	assert_rows(&fx, insert(&fx, ROW("1", "2", "x")), "upsert 1|2|x|f");
	assert_rows(&fx, fx_apply(&fx, WM_EVENT_DELETE, KEYED("1"), false, NULL, 0), "update 1|~|~|t");
	assert_rows(&fx, fx_apply(&fx, WM_EVENT_DELETE, KEYED("1"), false, NULL, WM_PLAN_WHOLE), "update 1|~|~|t");
	assert_rows(&fx, update(&fx, NULL, ROW("1", "0", "x")), "update 1|~|~|t");
	assert_rows(&fx,
	    fx_apply(&fx, WM_EVENT_SEED, NULL, false, ROW("1", "0", "x"), WM_PLAN_RESEED),
	    "update 1|~|~|t");
	/* A new key is the same row: nothing has been deleted. */
	assert_rows(&fx, update(&fx, KEYED("1"), ROW("2", "3", "x")), "delete 1|-|-|-; upsert 2|3|x|f");
	fx_close(&fx);
	fx_open(&fx, "table: t, on_delete: soft", BODY);
	assert_rows(&fx, update(&fx, NULL, ROW("1", "2", TOAST)), "update 1|2|~|f");
	fx_close(&fx);
	fx_open(&fx, "table: t, on_delete: soft, where: n > 0", FULL_BODY);
	assert_rows(&fx,
	    fx_apply(&fx, WM_EVENT_DELETE, ROW("1", "2", "x"), true, NULL, WM_PLAN_WHOLE),
	    "upsert 1|2|x|t");
	assert_rows(&fx,
	    fx_apply(&fx, WM_EVENT_DELETE, ROW("1", "0", "x"), true, NULL, WM_PLAN_WHOLE),
	    "update 1|~|~|t");
	assert_rows(&fx, fx_apply(&fx, WM_EVENT_DELETE, ROW("1", "2", "x"), true, NULL, 0), "update 1|~|~|t");
	fx_close(&fx);
}

static void
ignored_deletes_leave_the_row(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx, "table: t, on_delete: ignore, where: n > 0", BODY);
	assert_int_equal(fx_apply(&fx, WM_EVENT_DELETE, KEYED("1"), false, NULL, 0), WM_PLAN_NOTHING);
	assert_rows(&fx, update(&fx, KEYED("1"), ROW("2", "3", "x")), "delete 1|-|-; upsert 2|3|x");
	assert_rows(&fx, update(&fx, NULL, ROW("1", "0", "x")), "delete 1|-|-");
	fx_close(&fx);
}

static void
keys_are_dressed_as_in_the_view(void **state)
{
	char hash[2][65];
	struct fixture fx = { 0 };
	WM_AUTO(wm_freep) char *expected = NULL;

	(void)state;
	fx_open(&fx, "table: t, columns: {mask: {id: sha256}}", "public.t d id!:text n:integer");
	for (int i = 0; i < 2; i++) {
		insert(&fx, ROW(i == 0 ? "a" : "b", "1"));
		memcpy(hash[i], fx.rows.row[0].values[0].data, 64);
		hash[i][64] = '\0';
	}
	expected = wm_asprintf("delete %s|-; upsert %s|1", hash[0], hash[1]);
	assert_rows(&fx, update(&fx, ROW("a", NULL), ROW("b", "1")), expected);
	fx_close(&fx);
}

static void
keys_may_be_computed(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx, "table: t, key: [k], where: n > 0, columns: {compute: {k: \"lower(id)\"}}",
	    "public.t d id!:text n:integer");
	assert_rows(&fx, insert(&fx, ROW("A", "1")), "upsert A|1|a");
	assert_rows(&fx, update(&fx, ROW("A", NULL), ROW("B", "1")), "delete -|-|a; upsert B|1|b");
	assert_rows(&fx, update(&fx, ROW("A", NULL), ROW("a", "1")), "upsert a|1|a");
	assert_rows(&fx, update(&fx, ROW("A", NULL), ROW("B", "0")), "delete -|-|a; delete -|-|b");
	assert_rows(&fx, fx_apply(&fx, WM_EVENT_DELETE, ROW("A", NULL), false, NULL, 0), "delete -|-|a");
	assert_rows(&fx, fx_vanished(&fx, WM_EVENT_UPDATE, ROW("A", NULL), false, ROW("B", "0")),
	    "delete -|-|a; delete -|-|b");
	fx_close(&fx);
}

static void
vanished_rows_are_deleted(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx, "table: t, where: length(body) > 0", BODY);
	assert_rows(&fx, fx_vanished(&fx, WM_EVENT_UPDATE, NULL, false, ROW("1", "2", TOAST)), "delete 1|-|-");
	assert_rows(&fx, fx_vanished(&fx, WM_EVENT_UPDATE, KEYED("1"), false, ROW("2", "2", TOAST)),
	    "delete 1|-|-; delete 2|-|-");
	fx_close(&fx);
}

/* A view that outlives the source's rows keeps one whose last state cannot be read any more. */
static void
vanished_rows_stay_where_deletes_are_not_applied(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx,
	    "table: t, on_delete: soft, where: length(body) > 0, columns: {compute: {both: \"n || body\"}}",
	    BODY);
	assert_rows(&fx, fx_vanished(&fx, WM_EVENT_UPDATE, NULL, false, ROW("1", "2", TOAST)), "update 1|2|~|~|f");
	assert_rows(&fx, fx_vanished(&fx, WM_EVENT_UPDATE, KEYED("1"), false, ROW("2", "2", TOAST)),
	    "update 2|2|~|~|f was 1");
	fx_close(&fx);
	fx_open(&fx, "table: t, on_delete: ignore", BODY);
	assert_rows(&fx, fx_vanished(&fx, WM_EVENT_UPDATE, NULL, false, ROW("1", "2", TOAST)), "update 1|2|~");
	fx_close(&fx);
}

/* A dead letter keeps what the rule can shape, whatever it says of the row. */
static void
refused_rows_are_shaped_as_far_as_can_be(void **state)
{
	struct wm_value values[2] = {
		{ .data = "A", .len = 1, .kind = WM_VALUE_TEXT },
		{ .data = "hidden", .len = 6, .kind = WM_VALUE_TEXT },
	};
	struct wm_tuple tuple = { .n = 2, .values = values };
	struct wm_change change = { .kind = WM_EVENT_INSERT, .at = { .commit_lsn = 0x100000005, .index = 7 },
		.commit_time = 1795163400123456, .after = &tuple };
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx,
	    "table: t, key: [k], columns: {compute: {k: \"lower(id)\"}, check: {n: \"n > 1\"}, mask: {n: redact}}, where: \"0\"",
	    "public.t d id!:text n:text");
	fx.rows.n = 1;
	assert_true(wm_plan_salvage(fx.plan, &change, fx.arena, &fx.rows.row[0]));
	assert_null(strstr(fx_rows(&fx), "hidden"));
	assert_memory_equal(fx_rows(&fx), "upsert A|", 9);
	assert_int_equal(fx.rows.row[0].at.index, 7);
	change.kind = WM_EVENT_DELETE;
	change.before = &tuple;
	change.after = NULL;
	assert_true(wm_plan_salvage(fx.plan, &change, fx.arena, &fx.rows.row[0]));
	assert_string_equal(fx_rows(&fx), "delete ~|~|a");
	values[0] = (struct wm_value){ 0 };
	assert_true(wm_plan_salvage(fx.plan, &change, fx.arena, &fx.rows.row[0]));
	assert_string_equal(fx_rows(&fx), "delete ~|~|-");
	change.kind = WM_EVENT_TRUNCATE;
	assert_false(wm_plan_salvage(fx.plan, &change, fx.arena, &fx.rows.row[0]));
	fx_close(&fx);
}

static void
expressions_that_fail_are_left_out_of_refused_rows(void **state)
{
	struct wm_value values[2] = {
		{ .data = "7", .len = 1, .kind = WM_VALUE_TEXT },
		{ .data = "no json", .len = 7, .kind = WM_VALUE_TEXT },
	};
	struct wm_tuple tuple = { .n = 2, .values = values };
	struct wm_change change = { .kind = WM_EVENT_UPDATE, .at = { .commit_lsn = 0x100000005, .index = 7 },
		.commit_time = 1795163400123456, .after = &tuple };
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx, "table: t, columns: {compute: {inner: \"json_extract(n, '$.a')\"}}",
	    "public.t d id!:integer n:text");
	assert_int_equal(wm_plan_apply(fx.plan, &change, 0, fx.arena, &fx.rows, &fx.err), WM_PLAN_BAD);
	fx.rows.n = 1;
	assert_true(wm_plan_salvage(fx.plan, &change, fx.arena, &fx.rows.row[0]));
	assert_string_equal(fx_rows(&fx), "update 7|no json|~");
	fx_close(&fx);
}

static void
the_source_key_is_known_unless_it_is_dressed(void **state)
{
	struct wm_value values[3] = {
		{ .data = "7", .len = 1, .kind = WM_VALUE_TEXT }, { .kind = WM_VALUE_UNCHANGED }, { .kind = WM_VALUE_UNCHANGED }
	};
	struct wm_tuple tuple;
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx, "table: t, columns: {rename: {id: nr}}", BODY);
	assert_true(wm_plan_source_row(fx.plan, values, fx.arena, &tuple));
	assert_int_equal(tuple.n, 3);
	assert_string_equal(tuple.values[0].data, "7");
	values[0].kind = WM_VALUE_UNCHANGED;
	assert_false(wm_plan_source_row(fx.plan, values, fx.arena, &tuple));
	fx_close(&fx);
	values[0].kind = WM_VALUE_TEXT;
	fx_open(&fx, "table: t, columns: {mask: {id: sha256}}", BODY);
	assert_false(wm_plan_source_row(fx.plan, values, fx.arena, &tuple));
	fx_close(&fx);
}

static void
a_change_of_another_shape_is_no_row(void **state)
{
	struct fixture fx = { 0 };
	struct wm_value values[2] = { 0 };
	struct wm_tuple tuple = { .n = 2, .values = values };
	struct wm_change change = { .kind = WM_EVENT_INSERT, .after = &tuple };

	(void)state;
	fx_open(&fx, "table: t", BODY);
	assert_int_equal(wm_plan_apply(fx.plan, &change, 0, fx.arena, &fx.rows, &fx.err), WM_PLAN_BAD);
	assert_int_equal(fx.err.status, WM_FATAL);
	assert_string_equal(fx.err.text, "a change of table public.t does not have the table's 3 columns");
	change = (struct wm_change){ .kind = WM_EVENT_DELETE };
	assert_int_equal(wm_plan_apply(fx.plan, &change, 0, fx.arena, &fx.rows, &fx.err), WM_PLAN_BAD);
	assert_int_equal(fx.rows.n, 0);
	fx_close(&fx);
}

static bool
is_fresh(struct fixture *fx, enum wm_event_kind kind, const char *const *before, unsigned flags)
{
	enum wm_outcome outcome = fx_apply(fx, kind, before, false, ROW("1", "a"), flags);

	assert_int_equal(outcome, WM_PLAN_ROWS);
	return fx->rows.row[fx->rows.n - 1].fresh;
}

static void
what_the_view_should_not_have_is_fresh(void **state)
{
	static const char *const rules[] = { "table: t", "table: t, mode: append" };

	(void)state;
	for (int append = 0; append < 2; append++) {
		struct fixture fx = { 0 };

		fx_open(&fx, rules[append], "public.t d id!^:integer a:text");
		assert_true(is_fresh(&fx, WM_EVENT_INSERT, NULL, 0));
		assert_true(is_fresh(&fx, WM_EVENT_SEED, NULL, 0));
		/* A seed that begins again; a stream whose rows may be in the seed. */
		assert_false(is_fresh(&fx, WM_EVENT_SEED, NULL, WM_PLAN_RESEED));
		assert_false(is_fresh(&fx, WM_EVENT_INSERT, NULL, WM_PLAN_WHOLE));
		/* An update is a row of its own in a log only. */
		assert_int_equal(is_fresh(&fx, WM_EVENT_UPDATE, NULL, 0), append);
		assert_int_equal(is_fresh(&fx, WM_EVENT_UPDATE, ROW("2", NULL), 0), append);
		fx_close(&fx);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_changes_pass_through),
		cmocka_unit_test(values_are_not_copied),
		cmocka_unit_test(events_not_listed_are_nothing),
		cmocka_unit_test(changed_keys_delete_the_old_row),
		cmocka_unit_test(unchanged_values_make_an_update),
		cmocka_unit_test(unchanged_values_are_taken_from_the_old_row),
		cmocka_unit_test(where_decides_what_the_view_holds),
		cmocka_unit_test(a_seed_over_older_rows_deletes_what_where_refuses),
		cmocka_unit_test(computed_columns_need_their_inputs),
		cmocka_unit_test(checks_refuse_rows),
		cmocka_unit_test(rows_without_a_key_are_bad),
		cmocka_unit_test(soft_deletes_mark_the_row),
		cmocka_unit_test(ignored_deletes_leave_the_row),
		cmocka_unit_test(keys_are_dressed_as_in_the_view),
		cmocka_unit_test(keys_may_be_computed),
		cmocka_unit_test(vanished_rows_are_deleted),
		cmocka_unit_test(vanished_rows_stay_where_deletes_are_not_applied),
		cmocka_unit_test(refused_rows_are_shaped_as_far_as_can_be),
		cmocka_unit_test(expressions_that_fail_are_left_out_of_refused_rows),
		cmocka_unit_test(the_source_key_is_known_unless_it_is_dressed),
		cmocka_unit_test(a_change_of_another_shape_is_no_row),
		cmocka_unit_test(what_the_view_should_not_have_is_fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
