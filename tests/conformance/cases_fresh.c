/* SPDX-License-Identifier: PostgreSQL */
/*
 * cases_fresh.c - rows that are held to be new: a hint, which must not show.
 */
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct wm_view *
notes_view(struct fixture *f, const char *name)
{
	const struct wm_view *view = make_view(f, name, COLUMNS(KEY("id", "integer"), COLUMN("note", "text")));

	ensure(f, view);
	return view;
}

/* Rows from first on. */
static void
add_rows(struct batch *b, int first, int n, const char *note)
{
	for (int i = first; i < first + n; i++) {
		char id[16];

		snprintf(id, sizeof(id), "%d", i);
		add_upsert(b, VALUES(id, note));
	}
}

static void
new_rows_in_any_number(struct fixture *f)
{
	static const int sizes[] = { 1, 499, 500, 501, 3000 };
	const struct wm_view *view;
	int first = 0;

	start(f);
	view = notes_view(f, "t");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct batch b = make_batch(f);
		char wanted[40];

		add_view(&b, view);
		add_rows(&b, first, sizes[i], "n");
		set_fresh(&b);
		write_and_commit(f, &b);
		first += sizes[i];
		snprintf(wanted, sizeof(wanted), "%d|%d|%d", first, first, first - 1);
		assert_rows(f, "SELECT count(*), count(note), max(id) FROM t", wanted);
	}
}

static void
values_with_marks_of_their_own(struct fixture *f)
{
	static const char *const notes[] = { "", NULL, "\\N", "\\.", "\\", "\\\\", "a\tb", "a\nb",
		"\r\n", "\n\\.\n", "\\t", "\\x41", "\"", "'", "NULL", "\v\b\f", " ",
		"\xc3\xbc\xe6\x97\xa5", "\x01\x7f" };
	enum { N = sizeof(notes) / sizeof(*notes) };
	const struct wm_view *view, *plain;
	struct batch many = make_batch(f), few = make_batch(f);

	start(f);
	view = notes_view(f, "t");
	plain = notes_view(f, "plain");
	add_view(&many, view);
	add_view(&few, plain);
	for (int i = 0; i < N; i++) {
		add_rows(&many, i, 1, notes[i]);
		add_rows(&few, i, 1, notes[i]);
	}
	add_rows(&many, N, MANY, "filler");
	set_fresh(&many);
	write_batch(f, &many);
	write_and_commit(f, &few);
	assert_rows(f, "SELECT count(*) FROM plain JOIN t ON t.id = plain.id WHERE t.note = plain.note"
	    " OR t.note IS NULL AND plain.note IS NULL", "19");
	assert_rows(f, "SELECT note FROM t WHERE id IN (2, 3, 9)", "\\N\n\\.\n\n\\.\n");
}

static void
a_row_larger_than_any_buffer(struct fixture *f)
{
	enum { SIZE = 3000001 };
	const struct wm_view *view;
	struct batch b = make_batch(f);
	char *note = malloc(SIZE + 1);

	assert_non_null(note);
	for (int i = 0; i < SIZE; i++)
		note[i] = "\\\\\\\n\tx"[i % 6];
	note[SIZE] = '\0';
	start(f);
	view = notes_view(f, "t");
	add_view(&b, view);
	add_rows(&b, 0, MANY, "n");
	add_rows(&b, MANY, 1, note);
	set_fresh(&b);
	write_and_commit(f, &b);
	assert_rows(f, "SELECT note FROM t WHERE id = 600", note);
	free(note);
}

static void
rows_that_are_there_nevertheless(struct fixture *f)
{
	const struct wm_view *view;

	start(f);
	view = notes_view(f, "t");
	/* More than once: a target may remember. */
	for (int i = 0; i < 5; i++) {
		struct batch b = make_batch(f), again = make_batch(f);
		char note[16], wanted[80];

		snprintf(note, sizeof(note), "%d", i);
		add_view(&b, view);
		add_rows(&b, i * 2 * MANY, MANY, note);
		set_fresh(&b);
		write_batch(f, &b);
		add_view(&again, view);
		add_rows(&again, i * 2 * MANY + MANY - 1, MANY, note);
		set_fresh(&again);
		write_and_commit(f, &again);
		snprintf(wanted, sizeof(wanted), "%d|%d|%d", (i + 1) * (2 * MANY - 1), i, 2 * MANY - 1);
		assert_rows(f,
		    "SELECT (SELECT count(*) FROM t), note, count(*) FROM t GROUP BY note ORDER BY note DESC LIMIT 1",
		    wanted);
	}
}

static void
new_rows_beside_all_others(struct fixture *f)
{
	const struct wm_view *one, *two, *three;
	struct batch before = make_batch(f), b = make_batch(f);

	start(f);
	one = notes_view(f, "one");
	two = notes_view(f, "two");
	three = notes_view(f, "three");
	add_view(&before, one);
	add_rows(&before, -3, 4, "old");
	add_view(&before, two);
	add_rows(&before, 0, 10, "old");
	write_and_commit(f, &before);
	add_view(&b, one);
	add_rows(&b, 1, MANY, "new");
	add_delete(&b, VALUES("-3"));
	add_view(&b, two);
	add_truncate(&b);
	add_rows(&b, 0, MANY, "new");
	add_view(&b, three);
	add_rows(&b, 0, 2, "new");
	set_fresh(&b);
	b.b.views[0].rows[0].fresh = false;
	write_batch(f, &b);
	commit(f);
	assert_rows(f, "SELECT note, count(*) FROM one GROUP BY note ORDER BY note", "new|600\nold|3");
	assert_rows(f, "SELECT note, count(*) FROM two GROUP BY note", "new|600");
	assert_rows(f, "SELECT count(*) FROM three", "2");
}

static void
new_rows_beside_partial_updates(struct fixture *f)
{
	const struct wm_view *view;
	struct batch before = make_batch(f), b = make_batch(f);

	start(f);
	view = notes_view(f, "t");
	add_view(&before, view);
	add_rows(&before, -5, 3, "old");
	write_and_commit(f, &before);
	add_view(&b, view);
	add_update(&b, VALUES("-5", "changed"), NULL);
	/* Its old key is one of the new rows'. */
	add_update(&b, VALUES("-8", UNCHANGED), VALUES("-4"));
	add_rows(&b, -4, 1, "new");
	add_rows(&b, 0, MANY, "new");
	set_fresh(&b);
	write_and_commit(f, &b);
	assert_rows(f, "SELECT id, note FROM t WHERE id < 1 ORDER BY id", "-8|old\n-5|changed\n-4|new\n-3|old\n0|new");
	assert_rows(f, "SELECT count(*) FROM t", "604");
}

static void
new_rows_that_are_refused(struct fixture *f)
{
	const struct wm_view *view = make_view(f, "picky", COLUMNS(KEY("id", "integer"), COLUMN("n", "integer")));
	struct batch before = make_batch(f), b = make_batch(f);
	char id[16];

	start(f);
	f->peer->sql(f, "CREATE TABLE picky (id integer PRIMARY KEY, n integer CHECK (n < 99))");
	ensure(f, view);
	add_view(&before, view);
	add_upsert(&before, VALUES("-1", "1"));
	write_batch(f, &before);
	add_view(&b, view);
	for (int i = 0; i < 3 * MANY; i++) {
		snprintf(id, sizeof(id), "%d", i);
		add_upsert(&b, VALUES(id, i == 0 || i == 700 || i == 3 * MANY - 1 ? "99" : "1"));
	}
	set_fresh(&b);
	assert_int_equal(write_splitting(f, &b.b), 3);
	commit(f);
	assert_rows(f, "SELECT count(*), sum(n), min(id), max(id) FROM picky", "1798|1798|-1|1798");
}

const struct test_case fresh_cases[] = {
	{ "new rows in any number", new_rows_in_any_number, 0, 0, 0 },
	{ "values with marks of their own", values_with_marks_of_their_own, 0, 0, 0 },
	{ "a row larger than any buffer", a_row_larger_than_any_buffer, 0, CAN_LARGE_TEXT, 0 },
	{ "rows that are there nevertheless", rows_that_are_there_nevertheless, 0, 0, 0 },
	{ "new rows beside all others", new_rows_beside_all_others, 0, 0, 0 },
	{ "new rows beside partial updates", new_rows_beside_partial_updates, WM_TARGET_PARTIAL, 0, 0 },
	{ "new rows that are refused", new_rows_that_are_refused, WM_TARGET_TRANSACTIONAL, CAN_SQL, 0 },
	{ .name = NULL },
};
