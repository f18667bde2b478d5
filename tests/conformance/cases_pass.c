/* SPDX-License-Identifier: PostgreSQL */
/*
 * cases_pass.c - rows in COPY's binary form, which the target stores without a look.
 */
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "walmill/buf.h"

enum { OLD_SOURCE = 100000 };		/* of a source older than any target */

/* Hands out bytes in pieces, and fails at the end when it is told to. */
struct feed {
	struct wm_buf	 bytes;
	size_t		 at, piece;
	unsigned	 calls;
	enum wm_status	 broken;
};

static enum wm_status
next_piece(void *arg, const char **ret, size_t *ret_len, struct wm_error *err)
{
	struct feed *feed = arg;
	size_t left = feed->bytes.len - feed->at;

	feed->calls++;
	if (left == 0 && feed->broken != WM_OK)
		return wm_fail(err, feed->broken, "the source is gone");
	*ret_len = left < feed->piece ? left : feed->piece;
	*ret = feed->bytes.data + feed->at;
	feed->at += *ret_len;
	return WM_OK;
}

static void
add_number(struct wm_buf *b, uint32_t n, int bytes)
{
	for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
		wm_buf_addc(b, (char)(n >> shift & 0xff));
}

static struct feed
make_feed(size_t piece)
{
	struct feed feed = { .piece = piece };

	wm_buf_init(&feed.bytes, 64 << 20);
	wm_buf_add(&feed.bytes, "PGCOPY\n\377\r\n", 11);	/* with its NUL */
	add_number(&feed.bytes, 0, 4);
	add_number(&feed.bytes, 0, 4);
	return feed;
}

/* An integer and a text, or NULL. */
static void
add_row(struct feed *feed, int id, const char *note)
{
	add_number(&feed->bytes, 2, 2);
	add_number(&feed->bytes, 4, 4);
	add_number(&feed->bytes, (uint32_t)id, 4);
	add_number(&feed->bytes, note == NULL ? UINT32_MAX : (uint32_t)strlen(note), 4);
	if (note != NULL)
		wm_buf_adds(&feed->bytes, note);
}

static enum wm_status
pass(struct fixture *f, const struct wm_view *view, struct feed *feed, int version, uint64_t *rows)
{
	struct wm_passage passage = { .version = version, .next = next_piece, .arg = feed };
	enum wm_status st;

	if (feed->broken == WM_OK)
		add_number(&feed->bytes, 0xffff, 2);
	st = f->target->ops->pass(f->target, view, &passage, rows, &error);
	wm_buf_free(&feed->bytes);
	return st;
}

static const struct wm_view *
notes_view(struct fixture *f)
{
	const struct wm_view *view = make_view(f, "t", COLUMNS(KEY("id", "integer"), COLUMN("note", "text")));

	ensure(f, view);
	return view;
}

static void
begin(struct fixture *f)
{
	if (f->peer->ops->pass == NULL)
		skip();
	start(f);
}

static void
rows_cut_anywhere(struct fixture *f)
{
	static const size_t pieces[] = { 1, 7, 1 << 20 };
	const struct wm_view *view;
	uint64_t rows;

	begin(f);
	view = notes_view(f);
	for (int i = 0; i < 3; i++) {
		struct feed feed = make_feed(pieces[i]);

		for (int id = 0; id < 1000; id++)
			add_row(&feed, i * 1000 + id, id % 10 == 0 ? NULL : "a\tb\\");
		OK(pass(f, view, &feed, OLD_SOURCE, &rows));
		assert_int_equal(rows, 1000);
		commit(f);
	}
	assert_rows(f, "SELECT count(*), count(note), max(id) FROM t", "3000|2700|2999");
	assert_rows(f, "SELECT note FROM t WHERE id = 1", "a\tb\\");
}

static void
no_rows(struct fixture *f)
{
	const struct wm_view *view;
	struct feed feed;
	uint64_t rows = 7;

	begin(f);
	feed = make_feed(5);
	view = notes_view(f);
	OK(pass(f, view, &feed, OLD_SOURCE, &rows));
	assert_int_equal(rows, 0);
	commit(f);
	assert_rows(f, "SELECT count(*) FROM t", "0");
}

static void
a_value_larger_than_any_buffer(struct fixture *f)
{
	enum { SIZE = 5000000 };
	const struct wm_view *view;
	struct feed feed;
	uint64_t rows;
	char *note;

	begin(f);
	feed = make_feed(SIZE * 2);
	note = malloc(SIZE + 1);
	assert_non_null(note);
	memset(note, 'x', SIZE);
	note[SIZE] = '\0';
	view = notes_view(f);
	for (int i = 0; i < 3; i++)
		add_row(&feed, i, note);
	free(note);
	OK(pass(f, view, &feed, OLD_SOURCE, &rows));
	commit(f);
	assert_rows(f, "SELECT count(*), min(length(note)) FROM t", "3|5000000");
}

/* The transaction goes on, with what came before and after. */
static void
around(struct fixture *f, const struct wm_view *view, int id)
{
	struct batch b = make_batch(f);
	char text[16];

	snprintf(text, sizeof(text), "%d", id);
	add_view(&b, view);
	add_upsert(&b, VALUES(text, "beside"));
	write_batch(f, &b);
}

static void
a_row_that_is_there(struct fixture *f)
{
	const struct wm_view *view;
	struct feed feed;
	uint64_t rows;

	begin(f);
	feed = make_feed(100);
	view = notes_view(f);
	around(f, view, 500);
	for (int id = 0; id < 1000; id++)
		add_row(&feed, id, "n");
	assert_int_equal(pass(f, view, &feed, OLD_SOURCE, &rows), WM_REJECT);
	around(f, view, 2000);
	commit(f);
	assert_rows(f, "SELECT id, note FROM t ORDER BY id", "500|beside\n2000|beside");
}

static void
a_key_without_a_value(struct fixture *f)
{
	const struct wm_view *view = make_view(f, "u", COLUMNS(COLUMN("n", "integer"), KEY("name", "text")));
	struct feed feed;
	uint64_t rows;

	begin(f);
	feed = make_feed(100);
	ensure(f, view);
	add_row(&feed, 1, "named");
	add_row(&feed, 2, NULL);
	assert_int_equal(pass(f, view, &feed, OLD_SOURCE, &rows), WM_REJECT);
	commit(f);
	assert_rows(f, "SELECT count(*) FROM u", "0");
}

static void
a_source_that_breaks_off(struct fixture *f)
{
	static const enum wm_status broken[] = { WM_RETRY, WM_FATAL, WM_REJECT };
	const struct wm_view *view;

	begin(f);
	view = notes_view(f);
	for (int i = 0; i < 3; i++) {
		struct feed feed = make_feed(1000);
		uint64_t rows;

		feed.broken = broken[i];
		for (int id = 0; id < 1000; id++)
			add_row(&feed, id, "n");
		assert_int_equal(pass(f, view, &feed, OLD_SOURCE, &rows), broken[i]);
		assert_string_equal(error.text, "the source is gone");
	}
	around(f, view, 1);
	commit(f);
	assert_rows(f, "SELECT id, note FROM t", "1|beside");
}

static void
a_source_that_is_newer(struct fixture *f)
{
	const struct wm_view *view;
	struct feed feed;
	uint64_t rows;

	begin(f);
	feed = make_feed(100);
	view = notes_view(f);
	assert_int_equal(pass(f, view, &feed, 990000, &rows), WM_REJECT);
	assert_int_equal(feed.calls, 0);
	around(f, view, 1);
	commit(f);
	assert_rows(f, "SELECT count(*) FROM t", "1");
}

/* Bytes would mean something else there. */
static void
a_column_of_another_type(struct fixture *f)
{
	static const char *const tables[] = { "id integer PRIMARY KEY, note varchar",
		"id bigint PRIMARY KEY, note text", "id integer UNIQUE, note text",
		"id integer PRIMARY KEY, note text GENERATED ALWAYS AS ('g') STORED, more text" };
	const struct wm_view *view = make_view(f, "t", COLUMNS(KEY("id", "integer"), COLUMN("note", "text")));

	begin(f);
	for (int i = 0; i < 4; i++) {
		struct feed feed = make_feed(100);
		enum wm_found found;
		uint64_t rows;
		char sql[200];

		snprintf(sql, sizeof(sql), "DROP TABLE IF EXISTS t; CREATE TABLE t (%s)", tables[i]);
		f->peer->sql(f, sql);
		if (f->target->ops->ensure(f->target, view, &found, &error) == WM_OK)
			commit(f);
		else
			f->target->ops->rollback(f->target);
		add_row(&feed, 1, "n");
		assert_int_equal(pass(f, view, &feed, OLD_SOURCE, &rows), WM_REJECT);
		assert_int_equal(feed.calls, 0);
		commit(f);
		assert_rows(f, "SELECT count(*) FROM t", "0");
	}
}

/* ---- views that get their key once the rows are there ---- */

static struct wm_view
bare_view(struct fixture *f)
{
	struct wm_view view;

	if (f->peer->ops->make_key == NULL)
		skip();
	view = *make_view(f, "t", COLUMNS(KEY("id", "integer"), COLUMN("note", "text")));
	view.bare = true;
	start(f);
	ensure(f, &view);
	commit(f);
	return view;
}

static void
pass_ids(struct fixture *f, const struct wm_view *view, int from, int to)
{
	struct feed feed = make_feed(1000);
	uint64_t rows;

	for (int id = from; id < to; id++)
		add_row(&feed, id, "passed");
	OK(pass(f, view, &feed, OLD_SOURCE, &rows));
}

static void
a_key_after_the_rows(struct fixture *f)
{
	struct wm_view view = bare_view(f);

	pass_ids(f, &view, 0, 1000);
	commit(f);
	OK(f->target->ops->make_key(f->target, &view, &error));
	commit(f);
	/* Another time it is there already. */
	OK(f->target->ops->make_key(f->target, &view, &error));
	commit(f);
	view.bare = false;
	ensure(f, &view);
	around(f, &view, 5);
	around(f, &view, 5000);
	commit(f);
	assert_rows(f, "SELECT note, count(*) FROM t GROUP BY note ORDER BY note", "beside|2\npassed|999");
}

static void
a_key_that_was_rolled_back(struct fixture *f)
{
	struct wm_view view = bare_view(f);
	enum wm_found found;

	pass_ids(f, &view, 0, 10);
	commit(f);
	OK(f->target->ops->make_key(f->target, &view, &error));
	f->target->ops->rollback(f->target);
	view.bare = false;
	assert_int_equal(f->target->ops->ensure(f->target, &view, &found, &error), WM_REJECT);
	f->target->ops->rollback(f->target);
	OK(f->target->ops->make_key(f->target, &view, &error));
	ensure(f, &view);
	around(f, &view, 5);
	commit(f);
	assert_rows(f, "SELECT count(*) FROM t", "10");
}

static void
rows_of_one_key(struct fixture *f)
{
	struct wm_view view = bare_view(f);

	pass_ids(f, &view, 0, 10);
	pass_ids(f, &view, 5, 15);
	commit(f);
	assert_int_equal(f->target->ops->make_key(f->target, &view, &error), WM_REJECT);
	pass_ids(f, &view, 20, 25);
	commit(f);
	assert_rows(f, "SELECT count(*) FROM t", "25");
	f->peer->sql(f, "DELETE FROM t WHERE ctid NOT IN (SELECT min(ctid) FROM t GROUP BY id)");
	OK(f->target->ops->make_key(f->target, &view, &error));
	commit(f);
	assert_rows(f, "SELECT count(*) FROM t", "20");
}

const struct test_case pass_cases[] = {
	{ .name = "rows cut anywhere", .run = rows_cut_anywhere },
	{ .name = "no rows", .run = no_rows },
	{ .name = "a value larger than any buffer", .run = a_value_larger_than_any_buffer },
	{ .name = "a row that is there", .run = a_row_that_is_there },
	{ .name = "a key without a value", .run = a_key_without_a_value },
	{ .name = "a source that breaks off", .run = a_source_that_breaks_off },
	{ .name = "a source that is newer", .run = a_source_that_is_newer },
	{ .name = "a column of another type", .run = a_column_of_another_type },
	{ .name = "a key after the rows", .run = a_key_after_the_rows },
	{ .name = "a key that was rolled back", .run = a_key_that_was_rolled_back },
	{ .name = "rows of one key", .run = rows_of_one_key },
	{ .name = NULL },
};
