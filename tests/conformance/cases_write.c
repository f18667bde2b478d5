/* SPDX-License-Identifier: PostgreSQL */
/*
 * cases_write.c - whole rows: upserts, deletes, truncates, refused rows, names, many rows.
 */
#include "conformance.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define T (f->target)
#define OPS (f->target->ops)

static const struct wm_view *
simple_view(struct fixture *f, const char *name)
{
	return make_view(f, name, COLUMNS(KEY("id", "integer"), COLUMN("name", "text")));
}

static void
upserts_insert_and_replace(struct fixture *f)
{
	const struct wm_view *view = simple_view(f, "t");
	struct batch first = make_batch(f), second = make_batch(f);

	start(f);
	ensure(f, view);
	add_view(&first, view);
	add_upsert(&first, VALUES("1", "a"));
	add_upsert(&first, VALUES("2", "b"));
	add_upsert(&first, VALUES("3", NULL));
	write_and_commit(f, &first);
	assert_rows(f, "SELECT * FROM t ORDER BY id", "1|a\n2|b\n3|<null>");
	add_view(&second, view);
	add_upsert(&second, VALUES("3", "c"));
	add_upsert(&second, VALUES("1", NULL));
	add_upsert(&second, VALUES("-4", "d"));
	write_and_commit(f, &second);
	assert_rows(f, "SELECT * FROM t ORDER BY id", "-4|d\n1|<null>\n2|b\n3|c");
}

static void
an_empty_text_is_no_null(struct fixture *f)
{
	const struct wm_view *view = simple_view(f, "t");
	struct batch b = make_batch(f);

	start(f);
	ensure(f, view);
	add_view(&b, view);
	add_upsert(&b, VALUES("1", ""));
	add_upsert(&b, VALUES("2", NULL));
	write_and_commit(f, &b);
	assert_rows(f, "SELECT * FROM t ORDER BY id", "1|\n2|<null>");
}

static void
redelivery_changes_nothing(struct fixture *f)
{
	const struct wm_view *view = make_view(f, "t", COLUMNS(KEY("id", "integer"), COLUMN("a", "text"),
	    COLUMN("b", "text")));
	struct batch before = make_batch(f), b = make_batch(f);
	const char *rows = "2|new|b2\n3|a3|new\n14|a4|moved\n5|a5|b5";

	start(f);
	ensure(f, view);
	add_view(&before, view);
	add_upsert(&before, VALUES("1", "a1", "b1"));
	add_upsert(&before, VALUES("2", "a2", "b2"));
	add_upsert(&before, VALUES("3", "a3", "b3"));
	add_upsert(&before, VALUES("4", "a4", "b4"));
	write_and_commit(f, &before);
	add_view(&b, view);
	add_delete(&b, VALUES("1"));
	add_upsert(&b, VALUES("2", "new", "b2"));
	add_update(&b, VALUES("3", UNCHANGED, "new"), NULL);
	add_update(&b, VALUES("14", UNCHANGED, "moved"), VALUES("4"));
	add_upsert(&b, VALUES("5", "a5", "b5"));
	for (int i = 0; i < 3; i++) {
		write_and_commit(f, &b);
		assert_rows(f, "SELECT * FROM t ORDER BY a <> 'new', a", rows);
	}
}

static void
deletes_ignore_missing_rows(struct fixture *f)
{
	const struct wm_view *view = simple_view(f, "t");
	struct batch first = make_batch(f), second = make_batch(f);

	start(f);
	ensure(f, view);
	add_view(&first, view);
	add_upsert(&first, VALUES("1", "a"));
	add_upsert(&first, VALUES("2", "b"));
	write_and_commit(f, &first);
	add_view(&second, view);
	add_delete(&second, VALUES("7"));
	add_delete(&second, VALUES("1"));
	add_upsert(&second, VALUES("3", "c"));
	write_and_commit(f, &second);
	assert_rows(f, "SELECT * FROM t ORDER BY id", "2|b\n3|c");
}

static void
truncate_comes_before_the_rows(struct fixture *f)
{
	const struct wm_view *view = simple_view(f, "t"), *other = simple_view(f, "other");
	struct batch first = make_batch(f), second = make_batch(f), third = make_batch(f);

	start(f);
	ensure(f, view);
	ensure(f, other);
	add_view(&first, view);
	add_upsert(&first, VALUES("1", "a"));
	add_upsert(&first, VALUES("2", "b"));
	add_view(&first, other);
	add_upsert(&first, VALUES("1", "stays"));
	write_and_commit(f, &first);
	add_view(&second, view);
	add_truncate(&second);
	add_upsert(&second, VALUES("2", "new"));
	add_upsert(&second, VALUES("3", "c"));
	write_and_commit(f, &second);
	assert_rows(f, "SELECT * FROM t ORDER BY id", "2|new\n3|c");
	add_view(&third, view);
	add_truncate(&third);
	write_and_commit(f, &third);
	assert_rows(f, "SELECT * FROM t", "");
	assert_rows(f, "SELECT * FROM other", "1|stays");
}

static void
composite_keys(struct fixture *f)
{
	/* The key's columns neither first nor together, and of several types. */
	const struct wm_view *view = make_view(f, "t", COLUMNS(COLUMN("note", "text"), KEY("region", "text"),
	    COLUMN("n", "bigint"), KEY("day", "date"), KEY("id", "integer")));
	struct batch first = make_batch(f), second = make_batch(f);

	start(f);
	ensure(f, view);
	add_view(&first, view);
	add_upsert(&first, VALUES("a", "eu", "1", "2024-02-29", "7"));
	add_upsert(&first, VALUES("b", "eu", "2", "2024-02-28", "7"));
	add_upsert(&first, VALUES("c", "us", "3", "2024-02-29", "7"));
	add_upsert(&first, VALUES("d", "us", "4", "2024-02-29", "8"));
	write_and_commit(f, &first);
	add_view(&second, view);
	add_upsert(&second, VALUES("A", "eu", "10", "2024-02-29", "7"));
	add_delete(&second, VALUES("eu", "2024-02-28", "7"));
	add_update(&second, VALUES(UNCHANGED, "us", "30", "2024-02-29", "7"), NULL);
	add_update(&second, VALUES(UNCHANGED, "us", "40", "2024-03-01", "9"), VALUES("us", "2024-02-29", "8"));
	write_and_commit(f, &second);
	assert_rows(f, "SELECT * FROM t ORDER BY n",
	    "A|eu|10|2024-02-29|7\nc|us|30|2024-02-29|7\nd|us|40|2024-03-01|9");
}

static void
a_table_of_keys_only(struct fixture *f)
{
	const struct wm_view *view = make_view(f, "t", COLUMNS(KEY("a", "integer"), KEY("b", "text")));
	struct batch first = make_batch(f), second = make_batch(f);

	start(f);
	ensure(f, view);
	add_view(&first, view);
	add_upsert(&first, VALUES("1", "x"));
	add_upsert(&first, VALUES("1", "y"));
	write_and_commit(f, &first);
	add_view(&second, view);
	add_upsert(&second, VALUES("1", "y"));
	add_upsert(&second, VALUES("2", "x"));
	add_delete(&second, VALUES("1", "x"));
	write_and_commit(f, &second);
	assert_rows(f, "SELECT * FROM t ORDER BY a", "1|y\n2|x");
}

static void
names_of_every_kind(struct fixture *f)
{
	const struct wm_view *view = make_view(f, "Or\"der's",
	    COLUMNS(KEY("select", "integer"), COLUMN("two words", "text"),
		COLUMN("quo\"te", "text"),
		COLUMN("gr\303\266\303\237e \360\237\220\230", "text"),
		COLUMN("UPPER", "text"), COLUMN("it's; --", "text"), COLUMN("?1", "text"),
		COLUMN("$1 %s", "text"), COLUMN("[x]", "text"), COLUMN("`y`", "text"),
		COLUMN("excluded", "text"), COLUMN("1st", "text")));
	struct batch first = make_batch(f), second = make_batch(f);

	start(f);
	ensure(f, view);
	add_view(&first, view);
	add_upsert(&first, VALUES("1", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"));
	add_upsert(&first, VALUES("2", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"));
	write_and_commit(f, &first);
	add_view(&second, view);
	add_update(&second, VALUES("11", "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", UNCHANGED), VALUES("1"));
	add_delete(&second, VALUES("2"));
	write_and_commit(f, &second);
	assert_rows(f, "SELECT \"two words\", \"quo\"\"te\", \"gr\303\266\303\237e \360\237\220\230\", \"UPPER\","
	    " \"it's; --\", \"?1\", \"$1 %s\", \"[x]\", \"`y`\", \"excluded\", \"1st\", \"select\""
	    " FROM \"Or\"\"der's\"", "A|B|C|D|E|F|G|H|I|J|k|11");
}

static void
two_layouts_of_one_table(struct fixture *f)
{
	/* Two rules that write to one table, each its own columns, in another order. */
	const struct wm_view *a = make_view(
	    f, "t", COLUMNS(KEY("id", "integer"), COLUMN("x", "text"), COLUMN("y", "text")));
	const struct wm_view *b = make_view(
	    f, "t", COLUMNS(COLUMN("z", "text"), COLUMN("x", "text"), KEY("id", "integer")));
	struct batch batch = make_batch(f);

	start(f);
	ensure(f, a);
	ensure(f, b);
	add_view(&batch, a);
	add_upsert(&batch, VALUES("1", "x1", "y1"));
	add_view(&batch, b);
	add_upsert(&batch, VALUES("z1", "x2", "1"));
	add_upsert(&batch, VALUES("z2", "x2", "2"));
	add_view(&batch, a);
	add_upsert(&batch, VALUES("2", "x3", "y3"));
	write_and_commit(f, &batch);
	assert_rows(f, "SELECT id, x, y, z FROM t ORDER BY id", "1|x2|y1|z1\n2|x3|y3|z2");
}

/* ---- rows that the target refuses ---- */

/* The operator's table takes no n above 99. */
static const struct wm_view *
picky_view(struct fixture *f)
{
	const struct wm_view *view = make_view(f, "picky", COLUMNS(KEY("id", "integer"), COLUMN("n", "integer")));

	start(f);
	f->peer->sql(f, "CREATE TABLE picky (id integer PRIMARY KEY, n integer CHECK (n < 100))");
	ensure(f, view);
	return view;
}

static void
a_refused_row_is_named_and_the_batch_without_effect(struct fixture *f)
{
	const struct wm_view *view = picky_view(f), *other = simple_view(f, "other");
	struct batch before = make_batch(f), b = make_batch(f), after = make_batch(f);
	size_t bad = 12345;

	ensure(f, other);
	add_view(&before, view);
	add_upsert(&before, VALUES("1", "1"));
	write_batch(f, &before);
	add_view(&b, other);
	add_upsert(&b, VALUES("1", "a"));
	add_upsert(&b, VALUES("2", "b"));
	add_view(&b, view);
	add_truncate(&b);
	add_delete(&b, VALUES("1"));
	add_upsert(&b, VALUES("2", "99"));
	add_upsert(&b, VALUES("3", "100"));
	add_upsert(&b, VALUES("4", "4"));
	assert_int_equal(OPS->write(T, &b.b, &bad, &error), WM_REJECT);
	if (bad != WM_BAD_UNKNOWN)
		assert_int_equal(bad, 4);
	assert_int_equal(error.status, WM_REJECT);
	assert_non_null(strstr(error.text, "picky"));
	/* No row value in an error. */
	assert_null(strstr(error.text, "100)."));
	/* The transaction goes on, with what was written before. */
	add_view(&after, view);
	add_upsert(&after, VALUES("5", "5"));
	write_and_commit(f, &after);
	assert_rows(f, "SELECT * FROM picky ORDER BY id", "1|1\n5|5");
	assert_rows(f, "SELECT * FROM other", "");
}

static void
what_is_not_refused_goes_through(struct fixture *f)
{
	const struct wm_view *view = picky_view(f);
	struct batch b = make_batch(f);
	char id[16];

	add_view(&b, view);
	for (int i = 0; i < 40; i++) {
		snprintf(id, sizeof(id), "%d", i);
		add_upsert(&b, VALUES(id, i == 0 || i == 17 || i == 39 ? "1000" : id));
	}
	assert_int_equal(write_splitting(f, &b.b), 3);
	commit(f);
	assert_rows(f, "SELECT count(*), sum(n), sum(id), min(id), max(id) FROM picky", "37|724|724|1|38");
}

static void
a_refused_update_is_named(struct fixture *f)
{
	const struct wm_view *view = make_view(f, "picky", COLUMNS(KEY("id", "integer"), COLUMN("n", "integer"),
	    COLUMN("note", "text")));
	struct batch before = make_batch(f), b = make_batch(f);

	(void)picky_view(f);
	ensure(f, view);
	add_view(&before, view);
	add_upsert(&before, VALUES("1", "1", "a"));
	add_upsert(&before, VALUES("2", "2", "b"));
	add_upsert(&before, VALUES("3", "3", "c"));
	write_batch(f, &before);
	add_view(&b, view);
	add_update(&b, VALUES("1", "10", UNCHANGED), NULL);
	add_update(&b, VALUES("12", "200", UNCHANGED), VALUES("2"));
	add_update(&b, VALUES("13", "30", UNCHANGED), VALUES("3"));
	assert_int_equal(write_splitting(f, &b.b), 1);
	commit(f);
	assert_rows(f, "SELECT * FROM picky ORDER BY note", "1|10|a\n2|2|b\n13|30|c");
}

static void
a_null_key_is_refused(struct fixture *f)
{
	const struct wm_view *view = simple_view(f, "t");
	struct batch b = make_batch(f);
	size_t bad = 12345;

	start(f);
	ensure(f, view);
	add_view(&b, view);
	add_upsert(&b, VALUES("1", "a"));
	add_upsert(&b, VALUES(NULL, "b"));
	assert_int_equal(OPS->write(T, &b.b, &bad, &error), WM_REJECT);
	if (bad != WM_BAD_UNKNOWN)
		assert_int_equal(bad, 1);
	assert_non_null(strstr(error.text, "id"));
	commit(f);
	/* Without transactions the others may have been written: they are, again, by what the pipeline does next. */
	if ((OPS->caps & WM_TARGET_TRANSACTIONAL) != 0)
		assert_rows(f, "SELECT * FROM t", "");
}

static void
an_empty_batch_is_no_error(struct fixture *f)
{
	const struct wm_view *view = simple_view(f, "t");
	struct batch none = make_batch(f), no_rows = make_batch(f);

	start(f);
	ensure(f, view);
	write_batch(f, &none);
	add_view(&no_rows, view);
	write_and_commit(f, &no_rows);
	assert_rows(f, "SELECT * FROM t", "");
}

static void
ten_thousand_rows_in_a_batch(struct fixture *f)
{
	const struct wm_view *view = simple_view(f, "t");
	struct batch first = make_batch(f), second = make_batch(f);
	char id[16], name[32];

	start(f);
	ensure(f, view);
	add_view(&first, view);
	add_view(&second, view);
	for (int i = 1; i <= 10000; i++) {
		snprintf(id, sizeof(id), "%d", i);
		snprintf(name, sizeof(name), "row %d", i);
		add_upsert(&first, VALUES(id, name));
		if (i % 3 == 0)
			add_delete(&second, VALUES(id));
		else
			add_upsert(&second, VALUES(id, i % 3 == 1 ? "one" : NULL));
	}
	write_and_commit(f, &first);
	assert_rows(f, "SELECT count(*), sum(id), count(DISTINCT name) FROM t", "10000|50005000|10000");
	write_and_commit(f, &second);
	assert_rows(f, "SELECT name, count(*), sum(id % 3) FROM t GROUP BY name ORDER BY name IS NULL",
	    "one|3334|3334\n<null>|3333|6666");
}

const struct test_case write_cases[] = {
	{ "upserts insert and replace", upserts_insert_and_replace, 0, 0, 0 },
	{ "an empty text is no null", an_empty_text_is_no_null, 0, CAN_EMPTY_TEXT, 0 },
	{ "redelivery changes nothing", redelivery_changes_nothing, WM_TARGET_PARTIAL, 0, 0 },
	{ "deletes ignore missing rows", deletes_ignore_missing_rows, 0, 0, 0 },
	{ "truncate comes before the rows", truncate_comes_before_the_rows, 0, 0, 0 },
	{ "composite keys", composite_keys, WM_TARGET_PARTIAL, 0, 0 },
	{ "a table of keys only", a_table_of_keys_only, 0, 0, 0 },
	{ "names of every kind", names_of_every_kind, WM_TARGET_PARTIAL, 0, 0 },
	{ "two layouts of one table", two_layouts_of_one_table, 0, 0, 0 },
	{ "a refused row is named and the batch without effect", a_refused_row_is_named_and_the_batch_without_effect,
	    WM_TARGET_TRANSACTIONAL, 0, 0 },
	{ "what is not refused goes through", what_is_not_refused_goes_through, WM_TARGET_TRANSACTIONAL, 0, 0 },
	{ "a refused update is named", a_refused_update_is_named, WM_TARGET_TRANSACTIONAL | WM_TARGET_PARTIAL, 0, 0 },
	{ "a null key is refused", a_null_key_is_refused, 0, 0, 0 },
	{ "an empty batch is no error", an_empty_batch_is_no_error, 0, 0, 0 },
	{ "ten thousand rows in a batch", ten_thousand_rows_in_a_batch, 0, 0, 0 },
	{ .name = NULL },
};
