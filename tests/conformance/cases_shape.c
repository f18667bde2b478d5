/* SPDX-License-Identifier: PostgreSQL */
/*
 * cases_shape.c - ensure and preflight: tables made, completed, changed, refused.
 */
#include "conformance.h"

#include <string.h>

#define T (f->target)
#define OPS (f->target->ops)

static void
refused(struct fixture *f, const struct wm_view *view, const char *word)
{
	assert_int_equal(OPS->ensure(T, view, &(enum wm_found){ 0 }, &error), WM_REJECT);
	assert_int_equal(error.status, WM_REJECT);
	if (strstr(error.text, word) == NULL)
		fail_msg("\"%s\" is not in: %s", word, error.text);
}

static void
ensure_twice_is_ensure_once(struct fixture *f)
{
	const struct wm_view *view = make_view(f, "t",
	    COLUMNS(KEY("id", "bigint"), COLUMN("v", "text"), COLUMN("n", "numeric(10,2)"),
		COLUMN("m", "numeric"), COLUMN("d", "timestamp with time zone"),
		COLUMN("a", "integer[]"), COLUMN("x", ""), COLUMN("b", "bytea"),
		COLUMN("f", "real"), COLUMN("o", "boolean"), COLUMN("s", "varchar(5)")));
	struct batch b = make_batch(f);

	start(f);
	ensure(f, view);
	ensure(f, view);
	add_view(&b, view);
	add_upsert(&b, VALUES("1", "v", "1.5", "2", NULL, "{1}", "c", "\\x", "1", "t", "s"));
	write_and_commit(f, &b);
	ensure(f, view);
	commit(f);
	OPS->close(T);
	start(f);
	ensure(f, view);
	write_and_commit(f, &b);
	assert_rows(f, "SELECT count(*) FROM t", "1");
}

static void
ensure_tells_what_it_found(struct fixture *f)
{
	const struct wm_view *view = make_view(f, "t", COLUMNS(KEY("id", "integer")));
	const struct wm_view *more = make_view(f, "t", COLUMNS(KEY("id", "integer"), COLUMN("v", "text")));
	enum wm_found found;

	start(f);
	OK(OPS->ensure(T, view, &found, &error));
	assert_int_equal(found, WM_FOUND_NONE);
	OK(OPS->ensure(T, view, &found, &error));
	assert_int_equal(found, WM_FOUND_ALL);
	if (OPS->rollback != NULL) {
		OPS->rollback(T);
		OK(OPS->ensure(T, view, &found, &error));
		assert_int_equal(found, WM_FOUND_NONE);
	}
	commit(f);
	OK(OPS->ensure(T, more, &found, &error));
	assert_int_equal(found, WM_FOUND_SOME);
}

static void
columns_are_added_and_others_stay(struct fixture *f)
{
	const struct wm_view *old = make_view(f, "t", COLUMNS(KEY("id", "integer"), COLUMN("gone", "text")));
	const struct wm_view *new = make_view(f, "t", COLUMNS(COLUMN("added", "numeric(8,2)"), KEY("id", "integer"),
	    COLUMN("more", "text")));
	struct batch first = make_batch(f), second = make_batch(f);

	start(f);
	ensure(f, old);
	add_view(&first, old);
	add_upsert(&first, VALUES("1", "x"));
	add_upsert(&first, VALUES("2", "y"));
	write_and_commit(f, &first);
	f->peer->sql(f, "ALTER TABLE t ADD COLUMN mine text DEFAULT 'user''s'");
	ensure(f, new);
	add_view(&second, new);
	add_upsert(&second, VALUES("1.5", "1", "m"));
	add_upsert(&second, VALUES(NULL, "3", "n"));
	write_and_commit(f, &second);
	assert_rows(f, "SELECT id, gone, mine, added, more FROM t WHERE id > 1 ORDER BY id",
	    "2|y|user's|<null>|<null>\n3|<null>|user's|<null>|n");
	assert_rows(f,
	    "SELECT id, gone, mine, added = 1.5 AND added IS NOT NULL, more FROM t WHERE id = 1 AND added = 1.5",
	    strcmp(f->peer->name, "sqlite") == 0 ? "1|x|user's|1|m" : "1|x|user's|t|m");
}

static void
ensure_in_the_middle_of_a_transaction(struct fixture *f)
{
	const struct wm_view *old = make_view(f, "t", COLUMNS(KEY("id", "integer"), COLUMN("a", "text")));
	const struct wm_view *new = make_view(
	    f, "t", COLUMNS(KEY("id", "integer"), COLUMN("a", "text"), COLUMN("b", "text")));
	struct batch first = make_batch(f), second = make_batch(f);

	start(f);
	ensure(f, old);
	commit(f);
	add_view(&first, old);
	add_upsert(&first, VALUES("1", "x"));
	write_batch(f, &first);
	ensure(f, new);
	add_view(&second, new);
	add_upsert(&second, VALUES("2", "y", "z"));
	add_update(&second, VALUES("1", UNCHANGED, "late"), NULL);
	write_and_commit(f, &second);
	assert_rows(f, "SELECT * FROM t ORDER BY id", "1|x|late\n2|y|z");
}

static void
a_table_without_a_unique_key_is_refused(struct fixture *f)
{
	const struct wm_view *view = make_view(f, "theirs", COLUMNS(KEY("a", "integer"), KEY("b", "text"),
	    COLUMN("c", "text"))), *good = make_view(f, "good", COLUMNS(KEY("id", "integer")));
	struct batch b = make_batch(f);

	start(f);
	f->peer->sql(f, "CREATE TABLE theirs (a integer NOT NULL, b text NOT NULL, c text, d text)");
	f->peer->sql(f, "CREATE INDEX i1 ON theirs (a, b)");
	f->peer->sql(f, "CREATE UNIQUE INDEX i2 ON theirs (a, b, c)");
	f->peer->sql(f, "CREATE UNIQUE INDEX i3 ON theirs (b)");
	f->peer->sql(f, "CREATE UNIQUE INDEX i4 ON theirs (a, b) WHERE c IS NULL");
	refused(f, view, "CREATE UNIQUE INDEX");
	assert_non_null(strstr(error.text, "theirs"));
	/* Others go on in the same transaction. */
	ensure(f, good);
	commit(f);
	assert_true(f->peer->has_table(f, "good"));
	f->peer->sql(f, "DROP INDEX i3");
	f->peer->sql(f, "CREATE UNIQUE INDEX i5 ON theirs (b, a)");
	ensure(f, view);
	add_view(&b, view);
	add_upsert(&b, VALUES("1", "x", "c"));
	add_upsert(&b, VALUES("1", "x2", NULL));
	write_and_commit(f, &b);
	assert_rows(f, "SELECT * FROM theirs ORDER BY b", "1|x|c|<null>\n1|x2|<null>|<null>");
}

static void
what_is_not_a_table_is_refused(struct fixture *f)
{
	const struct wm_view *view = make_view(f, "v", COLUMNS(KEY("id", "integer")));

	start(f);
	f->peer->sql(f, "CREATE TABLE base (id integer PRIMARY KEY)");
	f->peer->sql(f, "CREATE VIEW v AS SELECT * FROM base");
	refused(f, view, "view");
}

static void
a_column_that_nobody_fills_is_refused(struct fixture *f)
{
	const struct wm_view *view = make_view(f, "theirs", COLUMNS(KEY("id", "integer")));

	start(f);
	f->peer->sql(f,
	    "CREATE TABLE theirs (id integer PRIMARY KEY, must text NOT NULL, may text NOT NULL DEFAULT 'x')");
	refused(f, view, "must");
}

static void
a_type_that_is_none_is_refused(struct fixture *f)
{
	const struct wm_view *view = make_view(f, "t", COLUMNS(KEY("id", "integer"),
	    COLUMN_AS("v", "text", "text); DROP TABLE base; --")));

	start(f);
	if ((f->peer->can & CAN_SQL) != 0)
		f->peer->sql(f, "CREATE TABLE base (id integer PRIMARY KEY)");
	refused(f, view, "\"v\"");
	assert_int_equal(f->peer->has_table(f, "base"), (f->peer->can & CAN_SQL) != 0);
	commit(f);
	assert_false(f->peer->has_table(f, "t"));
}

static void
an_override_is_the_type(struct fixture *f)
{
	const struct wm_view *view = make_view(f, "t", COLUMNS(KEY("id", "integer"),
	    COLUMN_AS("n", "numeric", "numeric(12, 3)"), COLUMN_AS("i", "integer", "text")));
	struct batch b = make_batch(f);

	start(f);
	ensure(f, view);
	ensure(f, view);
	add_view(&b, view);
	add_upsert(&b, VALUES("1", "2.125", "007"));
	write_and_commit(f, &b);
	assert_rows(f, "SELECT id, n, i FROM t", "1|2.125|007");
}

static void
a_type_changes_and_the_values_follow(struct fixture *f)
{
	const struct wm_view *old = make_view(f, "t", COLUMNS(KEY("id", "integer"), COLUMN("v", "integer"),
	    COLUMN("w", "numeric(10,2)"), COLUMN("x", "double precision"), COLUMN("y", "text")));
	const struct wm_view *new = make_view(f, "t", COLUMNS(KEY("id", "bigint"), COLUMN("v", "text"),
	    COLUMN("w", "numeric"), COLUMN("x", "text"), COLUMN("y", "integer")));
	struct batch first = make_batch(f), second = make_batch(f);

	start(f);
	ensure(f, old);
	add_view(&first, old);
	add_upsert(&first, VALUES("1", "7", "1.25", "0.30000000000000004", "42"));
	add_upsert(&first, VALUES("2", NULL, NULL, "1e+300", NULL));
	write_and_commit(f, &first);
	ensure(f, new);
	add_view(&second, new);
	add_upsert(&second, VALUES("9000000000", "007", "1234567890123456789012345678901234567890.5", "x", "-1"));
	write_and_commit(f, &second);
	assert_rows(f, "SELECT id, v, w, x, y FROM t ORDER BY id",
	    "1|7|1.25|0.30000000000000004|42\n2|<null>|<null>|1e+300|<null>\n"
	    "9000000000|007|1234567890123456789012345678901234567890.5|x|-1");
}

static void
the_keys_type_changes(struct fixture *f)
{
	const struct wm_view *old = make_view(f, "t", COLUMNS(KEY("id", "integer"), COLUMN("v", "text")));
	const struct wm_view *new = make_view(f, "t", COLUMNS(KEY("id", "text"), COLUMN("v", "text")));
	struct batch first = make_batch(f), second = make_batch(f);

	start(f);
	ensure(f, old);
	add_view(&first, old);
	add_upsert(&first, VALUES("1", "a"));
	add_upsert(&first, VALUES("20", "b"));
	write_and_commit(f, &first);
	f->peer->sql(f, "ALTER TABLE t ADD COLUMN mine text DEFAULT 'kept'");
	ensure(f, new);
	add_view(&second, new);
	add_upsert(&second, VALUES("001", "c"));
	add_upsert(&second, VALUES("20", "B"));
	add_upsert(&second, VALUES("abc", "d"));
	write_and_commit(f, &second);
	assert_rows(f, "SELECT id, v, mine FROM t ORDER BY v", "20|B|kept\n1|a|kept\n001|c|kept\nabc|d|kept");
}

static size_t
count_of(const struct wm_diags *d, enum wm_severity severity)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++)
		n += d->list[i].severity == severity;
	return n;
}

static void
preflight_reports_and_changes_nothing(struct fixture *f)
{
	const struct wm_view *fresh = make_view(f, "fresh", COLUMNS(KEY("id", "integer")));
	const struct wm_view *theirs = make_view(f, "theirs", COLUMNS(KEY("id", "integer"), COLUMN("more", "text")));
	struct wm_diags d = { 0 };

	if (OPS->preflight == NULL)
		skip();
	start(f);
	f->peer->sql(f, "CREATE TABLE theirs (id integer NOT NULL, v text)");
	OK(OPS->preflight(T, fresh, &d, &error));
	assert_int_equal(count_of(&d, WM_ERROR), 0);
	assert_false(f->peer->has_table(f, "fresh"));
	wm_diags_free(&d);
	d = (struct wm_diags){ 0 };
	OK(OPS->preflight(T, theirs, &d, &error));
	assert_int_equal(count_of(&d, WM_ERROR), 1);
	assert_int_equal(d.errors, 1);
	for (size_t i = 0; i < d.n; i++) {
		if (d.list[i].severity != WM_ERROR)
			continue;
		assert_non_null(strstr(d.list[i].place, "theirs"));
		assert_non_null(strstr(d.list[i].fix, "CREATE UNIQUE INDEX"));
	}
	wm_diags_free(&d);
	f->peer->sql(f, "CREATE UNIQUE INDEX u ON theirs (id)");
	d = (struct wm_diags){ 0 };
	OK(OPS->preflight(T, theirs, &d, &error));
	assert_int_equal(count_of(&d, WM_ERROR), 0);
	assert_int_equal(count_of(&d, WM_NOTE), 1);
	wm_diags_free(&d);
	assert_rows(f, "SELECT * FROM theirs", "");
}

const struct test_case shape_cases[] = {
	{ "ensure twice is ensure once", ensure_twice_is_ensure_once, 0, 0, 0 },
	{ "ensure tells what it found", ensure_tells_what_it_found, 0, 0, 0 },
	{ "columns are added and others stay", columns_are_added_and_others_stay, 0, CAN_SQL, 0 },
	{ "ensure in the middle of a transaction", ensure_in_the_middle_of_a_transaction,
	    WM_TARGET_TRANSACTIONAL | WM_TARGET_PARTIAL, 0, 0 },
	{ "a table without a unique key is refused", a_table_without_a_unique_key_is_refused, 0, CAN_SQL, 0 },
	{ "what is not a table is refused", what_is_not_a_table_is_refused, 0, CAN_SQL, 0 },
	{ "a column that nobody fills is refused", a_column_that_nobody_fills_is_refused, 0, CAN_SQL, 0 },
	{ "a type that is none is refused", a_type_that_is_none_is_refused, 0, 0, 0 },
	{ "an override is the type", an_override_is_the_type, 0, 0, 0 },
	{ "a type changes and the values follow", a_type_changes_and_the_values_follow, 0, CAN_RETYPE, 0 },
	{ "the key's type changes", the_keys_type_changes, 0, CAN_SQL | CAN_RETYPE, 0 },
	{ "preflight reports and changes nothing", preflight_reports_and_changes_nothing, 0, CAN_SQL, 0 },
	{ .name = NULL },
};
