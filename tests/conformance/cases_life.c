/* SPDX-License-Identifier: PostgreSQL */
/*
 * cases_life.c - transactions, bookmarks, closing and opening again, waiting for locks.
 */
#include "conformance.h"

#include <string.h>

#include "walmill/buf.h"

#define T (f->target)
#define OPS (f->target->ops)

static const struct wm_view *
simple_view(struct fixture *f)
{
	return make_view(f, "t", COLUMNS(KEY("id", "integer"), COLUMN("name", "text")));
}

static struct batch
one_row(struct fixture *f, const struct wm_view *view, const char *id, const char *name)
{
	struct batch b = make_batch(f);

	add_view(&b, view);
	add_upsert(&b, VALUES(id, name));
	return b;
}

static void
collect(void *arg, const char *name, const char *value)
{
	wm_buf_addf(arg, "%s=%s;", name, value);
}

static void
assert_bookmarks(struct fixture *f, const char *source, const char *wanted)
{
	struct wm_buf b;

	wm_buf_init(&b, 10000);
	OK(OPS->load(T, source, collect, &b, &error));
	assert_string_equal(b.data, wanted);
	wm_buf_free(&b);
}

static void
reopen(struct fixture *f)
{
	OPS->close(T);
	start(f);
}

static void
bookmarks_commit_with_the_data(struct fixture *f)
{
	const struct wm_bookmark first[] = {
		{ "shop", "position", "{\"lsn\": \"0/1\"}" },
		{ "shop", "seed", "it's" },
		{ "other", "position", "{\"lsn\": \"0/7\"}" },
	};
	const struct wm_bookmark second[] = {
		{ "shop", "position", "{\"lsn\": \"0/2\"}" },
		{ "shop", "seed", NULL },
	};
	const struct wm_view *view = simple_view(f);
	struct batch b = one_row(f, view, "1", "a");

	start(f);
	assert_bookmarks(f, "shop", "");
	ensure(f, view);
	write_batch(f, &b);
	OK(OPS->commit(T, first, 3, &error));
	reopen(f);
	assert_bookmarks(f, "shop", "position={\"lsn\": \"0/1\"};seed=it's;");
	assert_bookmarks(f, "other", "position={\"lsn\": \"0/7\"};");
	assert_bookmarks(f, "third", "");
	assert_rows(f, "SELECT * FROM t", "1|a");
	/* Without any data in between. */
	OK(OPS->commit(T, second, 2, &error));
	reopen(f);
	assert_bookmarks(f, "shop", "position={\"lsn\": \"0/2\"};");
	assert_bookmarks(f, "other", "position={\"lsn\": \"0/7\"};");
}

static void
rollback_forgets_data_and_tables(struct fixture *f)
{
	const struct wm_view *view = simple_view(f);
	struct batch b = one_row(f, view, "1", "a");

	start(f);
	ensure(f, view);
	write_batch(f, &b);
	OPS->rollback(T);
	assert_false(f->peer->has_table(f, "t"));
	/* Nothing is open now; and a second one does no harm. */
	OPS->rollback(T);
	OK(OPS->commit(T, NULL, 0, &error));
	assert_false(f->peer->has_table(f, "t"));
	ensure(f, view);
	write_and_commit(f, &b);
	assert_rows(f, "SELECT * FROM t", "1|a");
}

static void
bookmarks_stay_when_the_data_is_rolled_back(struct fixture *f)
{
	const struct wm_bookmark old = { "shop", "position", "old" };
	const struct wm_view *view = simple_view(f);
	struct batch b = one_row(f, view, "1", "a"), c = one_row(f, view, "1", "b");

	start(f);
	ensure(f, view);
	write_batch(f, &b);
	OK(OPS->commit(T, &old, 1, &error));
	ensure(f, view);
	write_batch(f, &c);
	OPS->rollback(T);
	assert_bookmarks(f, "shop", "position=old;");
	assert_rows(f, "SELECT * FROM t", "1|a");
}

static void
uncommitted_data_is_invisible(struct fixture *f)
{
	const struct wm_view *view = simple_view(f);
	struct batch b = one_row(f, view, "1", "a");
	struct batch c = one_row(f, view, "2", "b");

	start(f);
	ensure(f, view);
	commit(f);
	write_batch(f, &b);
	write_batch(f, &c);
	assert_rows(f, "SELECT * FROM t", "");
	commit(f);
	assert_rows(f, "SELECT * FROM t ORDER BY id", "1|a\n2|b");
}

static void
close_copes_with_everything(struct fixture *f)
{
	const struct wm_view *view = simple_view(f);
	struct batch b = one_row(f, view, "1", "a"), c = one_row(f, view, "2", "b");

	OPS->close(T);
	OPS->close(T);
	OK(OPS->open(T, &error));
	OPS->close(T);
	start(f);
	ensure(f, view);
	write_and_commit(f, &b);
	write_batch(f, &c);
	OPS->close(T);
	OPS->close(T);
	/* Only what had not been committed is lost: nothing, where a write is durable when it returns. */
	start(f);
	assert_rows(f, "SELECT * FROM t ORDER BY id",
	    (OPS->caps & WM_TARGET_TRANSACTIONAL) != 0 ? "1|a" : "1|a\n2|b");
	ensure(f, view);
	write_and_commit(f, &c);
	assert_rows(f, "SELECT * FROM t ORDER BY id", "1|a\n2|b");
}

static void
a_lock_means_retry(struct fixture *f)
{
	const struct wm_bookmark mark = { "shop", "position", "2" };
	const struct wm_view *view = simple_view(f);
	struct batch b = one_row(f, view, "1", "a"), c = one_row(f, view, "2", "b");
	enum wm_status status;
	size_t bad = 7;

	start(f);
	ensure(f, view);
	write_and_commit(f, &b);
	f->peer->lock(f, "t");
	status = OPS->write(T, &c.b, &bad, &error);
	assert_int_equal(status, WM_RETRY);
	assert_int_equal(error.status, WM_RETRY);
	assert_string_not_equal(error.code, "");
	assert_string_not_equal(error.text, "");
	assert_int_equal(bad, 7);
	/* As the pipeline does. */
	OPS->close(T);
	f->peer->unlock(f);
	start(f);
	ensure(f, view);
	write_batch(f, &c);
	OK(OPS->commit(T, &mark, 1, &error));
	assert_rows(f, "SELECT * FROM t ORDER BY id", "1|a\n2|b");
	assert_bookmarks(f, "shop", "position=2;");
}

static void
instances_of_one_section_write_side_by_side(struct fixture *f)
{
	const struct wm_view *view = simple_view(f);
	struct batch b = one_row(f, view, "1", "a"), c = one_row(f, view, "2", "b");
	struct wm_target *second;
	size_t bad;

	OK(wm_target_clone(T, &second, &error));
	assert_string_equal(second->name, "warehouse");
	start(f);
	ensure(f, view);
	commit(f);
	OK(second->ops->open(second, &error));
	OK(second->ops->ensure(second, view, &(enum wm_found){ 0 }, &error));
	write_batch(f, &b);
	OK(second->ops->write(second, &c.b, &bad, &error));
	OK(second->ops->commit(second, NULL, 0, &error));
	assert_rows(f, "SELECT * FROM t", "2|b");
	commit(f);
	assert_rows(f, "SELECT * FROM t ORDER BY id", "1|a\n2|b");
	wm_target_destroy(second);
}

static void
a_clone_writes_to_the_same_place(struct fixture *f)
{
	const struct wm_view *view = simple_view(f);
	struct batch b = one_row(f, view, "1", "a");
	struct wm_target *model = T;

	OK(wm_target_clone(model, &f->target, &error));
	wm_target_destroy(model);
	start(f);
	ensure(f, view);
	write_and_commit(f, &b);
	assert_rows(f, "SELECT * FROM t", "1|a");
}

const struct test_case life_cases[] = {
	{ "bookmarks commit with the data", bookmarks_commit_with_the_data, WM_TARGET_TRANSACTIONAL, 0, 0 },
	{ "rollback forgets data and tables", rollback_forgets_data_and_tables, WM_TARGET_TRANSACTIONAL, 0, 0 },
	{ "bookmarks stay when the data is rolled back", bookmarks_stay_when_the_data_is_rolled_back,
	    WM_TARGET_TRANSACTIONAL, 0, 0 },
	{ "uncommitted data is invisible", uncommitted_data_is_invisible, WM_TARGET_TRANSACTIONAL, 0, 0 },
	{ "close copes with everything", close_copes_with_everything, 0, 0, 0 },
	{ "a lock means retry", a_lock_means_retry, WM_TARGET_TRANSACTIONAL, 0, 0 },
	{ "instances of one section write side by side", instances_of_one_section_write_side_by_side,
	    WM_TARGET_PARALLEL, 0, 0 },
	{ "a clone writes to the same place", a_clone_writes_to_the_same_place, 0, 0, 0 },
	{ .name = NULL },
};
