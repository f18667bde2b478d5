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

/* A target without a commit that need not wait commits; one without a single step says that it is not for this batch. */
static void
the_shorter_ways_to_commit_do_the_same(struct fixture *f)
{
	const struct wm_bookmark soon = { "shop", "position", "soon" }, step = { "shop", "position", "step" };
	const struct wm_view *view = simple_view(f);
	struct batch b = one_row(f, view, "1", "a"), c = one_row(f, view, "2", "b"), none = one_row(f, view, NULL, "c");

	start(f);
	ensure(f, view);
	OK(OPS->commit(T, NULL, 0, &error));
	if (OPS->commit_soon != NULL) {
		write_batch(f, &b);
		OK(OPS->commit_soon(T, &soon, 1, &error));
		assert_bookmarks(f, "shop", "position=soon;");
		assert_rows(f, "SELECT * FROM t ORDER BY id", "1|a");
	}
	if (OPS->write_commit == NULL)
		return;
	/* A key that is null is refused, whatever else is in the batch. */
	assert_int_equal(OPS->write_commit(T, &none.b, &step, 1, &error), WM_REJECT);
	/* A transaction is open: the rows belong to it. */
	write_batch(f, &c);
	assert_int_equal(OPS->write_commit(T, &c.b, &step, 1, &error), WM_REJECT);
	OPS->rollback(T);
	assert_bookmarks(f, "shop", "position=soon;");
	OK(OPS->write_commit(T, &c.b, &step, 1, &error));
	reopen(f);
	assert_bookmarks(f, "shop", "position=step;");
	assert_rows(f, "SELECT * FROM t ORDER BY id", "1|a\n2|b");
}

static void
what_one_step_cannot_store_leaves_nothing(struct fixture *f)
{
	const struct wm_bookmark mark = { "shop", "position", "1" };
	const struct wm_view *view = make_view(f, "picky", COLUMNS(KEY("id", "integer"), COLUMN("n", "integer")));
	struct batch b = make_batch(f);

	if (OPS->write_commit == NULL)
		skip();
	f->peer->sql(f, "CREATE TABLE picky (id integer PRIMARY KEY, n integer CHECK (n < 100))");
	start(f);
	ensure(f, view);
	OK(OPS->commit(T, NULL, 0, &error));
	add_view(&b, view);
	add_upsert(&b, VALUES("1", "1"));
	add_upsert(&b, VALUES("2", "200"));
	assert_int_equal(OPS->write_commit(T, &b.b, &mark, 1, &error), WM_REJECT);
	assert_rows(f, "SELECT * FROM picky", "");
	assert_bookmarks(f, "shop", "");
	/* The session is good for what follows. */
	b.b.views[0].nrows = b.b.nrows = 1;
	OK(OPS->write_commit(T, &b.b, &mark, 1, &error));
	assert_rows(f, "SELECT * FROM picky", "1|1");
	assert_bookmarks(f, "shop", "position=1;");
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
	{ "the shorter ways to commit do the same", the_shorter_ways_to_commit_do_the_same, WM_TARGET_TRANSACTIONAL, 0, 0 },
	{ "what one step cannot store leaves nothing", what_one_step_cannot_store_leaves_nothing,
	    WM_TARGET_TRANSACTIONAL, CAN_SQL, 0 },
	{ "uncommitted data is invisible", uncommitted_data_is_invisible, WM_TARGET_TRANSACTIONAL, 0, 0 },
	{ "close copes with everything", close_copes_with_everything, 0, 0, 0 },
	{ "a lock means retry", a_lock_means_retry, WM_TARGET_TRANSACTIONAL, 0, 0 },
	{ "instances of one section write side by side", instances_of_one_section_write_side_by_side,
	    WM_TARGET_PARALLEL, 0, 0 },
	{ "a clone writes to the same place", a_clone_writes_to_the_same_place, 0, 0, 0 },
	{ .name = NULL },
};
