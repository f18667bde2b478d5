/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_sqlite.c - what is the sqlite back-end's alone: files, result codes, storage, rebuilding.
 *
 * What every target must do is in tests/conformance.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../../src/targets/sqlite/sqlite.h"
#include "walmill/config.h"
#include "walmill/targets.h"

struct place {
	char			 folder[40], path[60];
	struct wm_target	*t;
	sqlite3			*db;		/* an operator's own connection */
};

static struct wm_error err;

static void
set_path(struct wm_target *t, const char *path)
{
	assert_int_equal(wm_option_set(&t->ops->options[0], path, t, &err), WM_OK);
}

static int
set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return -1;
	snprintf(p->folder, sizeof(p->folder), "/tmp/wm-sqlite-XXXXXX");
	if (mkdtemp(p->folder) == NULL || wm_target_create(&wm_target_sqlite_ops, "w", &p->t, &err) != WM_OK)
		return -1;
	snprintf(p->path, sizeof(p->path), "%s/w.db", p->folder);
	set_path(p->t, p->path);
	*state = p;
	return 0;
}

static int
tear_down(void **state)
{
	static const char *const names[] = { "w.db", "w.db-wal", "w.db-shm", "other" };
	struct place *p = *state;
	char path[80];

	wm_target_destroy(p->t);
	sqlite3_close(p->db);
	for (size_t i = 0; i < WM_ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", p->folder, names[i]);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(p->folder), 0);
	free(p);
	return 0;
}

static enum wm_status
open_target(struct place *p)
{
	memset(&err, 0, sizeof(err));
	return p->t->ops->open(p->t, &err);
}

static void
sql(struct place *p, const char *text)
{
	if (p->db == NULL)
		assert_int_equal(sqlite3_open(p->path, &p->db), SQLITE_OK);
	if (sqlite3_exec(p->db, text, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", text, sqlite3_errmsg(p->db));
}

static void
assert_value(struct place *p, const char *text, const char *wanted)
{
	sqlite3_stmt *stmt;

	sql(p, "SELECT 1");
	if (sqlite3_prepare_v2(p->db, text, -1, &stmt, NULL) != SQLITE_OK)
		fail_msg("%s: %s", text, sqlite3_errmsg(p->db));
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(stmt, 0), wanted);
	sqlite3_finalize(stmt);
}

static void
assert_fails(struct place *p, enum wm_status status, const char *text)
{
	char wanted[400];

	snprintf(wanted, sizeof(wanted), "sqlite \"%s\": %s", p->path, text);
	assert_int_equal(err.status, status);
	assert_string_equal(err.text, wanted);
}

/* ---- views of two or three columns ---- */

struct small {
	struct wm_view		 view;
	struct wm_view_column	 columns[3];
	unsigned		 key;
};

static char id_name[] = "id", v_name[] = "v", w_name[] = "w", table_name[] = "t", rule_name[] = "r";

static void
make_small(struct small *s, const char *id, const char *v, const char *w)
{
	*s = (struct small){ .columns = { { .name = id_name, .key = true }, { .name = v_name }, { .name = w_name } } };
	wm_type_named(id, &s->columns[0].type);
	wm_type_named(v, &s->columns[1].type);
	wm_type_named(w, &s->columns[2].type);
	s->view = (struct wm_view){ .name = table_name, .rule = rule_name, .ncolumns = 3, .columns = s->columns,
		.nkeys = 1, .keys = &s->key };
}

static struct wm_value
text_value(const char *text)
{
	if (text == NULL)
		return (struct wm_value){ .kind = WM_VALUE_NULL };
	return (struct wm_value){ .kind = WM_VALUE_TEXT, .data = text, .len = (uint32_t)strlen(text) };
}

static enum wm_status
write_row(struct place *p, const struct small *s, const char *id, const char *v, const char *w)
{
	struct wm_value values[] = { text_value(id), text_value(v), text_value(w) };
	struct wm_row row = { .op = WM_ROW_UPSERT, .values = values };
	struct wm_view_batch rows = { .view = &s->view, .nrows = 1, .rows = &row };
	const struct wm_batch batch = { .nviews = 1, .views = &rows, .nrows = 1 };
	size_t bad;

	return p->t->ops->write(p->t, &batch, &bad, &err);
}

static void
ensure_and_commit(struct place *p, const struct small *s)
{
	enum wm_status status = p->t->ops->ensure(p->t, &s->view, &(enum wm_found){ 0 }, &err);

	if (status != WM_OK)
		fail_msg("%s", err.text);
	assert_int_equal(p->t->ops->commit(p->t, NULL, 0, &err), WM_OK);
}

static void
write_and_commit(struct place *p, const struct small *s, const char *id, const char *v, const char *w)
{
	if (write_row(p, s, id, v, w) != WM_OK)
		fail_msg("%s", err.text);
	assert_int_equal(p->t->ops->commit(p->t, NULL, 0, &err), WM_OK);
}

/* ---- opening ---- */

static void
a_missing_folder_is_named(void **state)
{
	struct place *p = *state;
	char path[80], wanted[300];

	snprintf(path, sizeof(path), "%s/none/w.db", p->folder);
	set_path(p->t, path);
	assert_int_equal(open_target(p), WM_FATAL);
	snprintf(wanted, sizeof(wanted), "sqlite \"%s\": the folder \"%s/none\" does not exist: create it, "
	    "writable for walmill", path, p->folder);
	assert_string_equal(err.text, wanted);
	assert_string_equal(err.code, "sqlite:14");
	/* Half open: both do no harm, and it opens once the path is right. */
	p->t->ops->close(p->t);
	p->t->ops->rollback(p->t);
	set_path(p->t, p->path);
	assert_int_equal(open_target(p), WM_OK);
}

static void
what_is_no_database_is_refused(void **state)
{
	struct place *p = *state;
	FILE *file = fopen(p->path, "w");

	assert_non_null(file);
	for (int i = 0; i < 100; i++)
		fputs("this is not a database\n", file);
	fclose(file);
	assert_int_equal(open_target(p), WM_FATAL);
	assert_fails(p, WM_FATAL, "could not switch to WAL mode: file is not a database "
	    "(the path names something that is not an SQLite database)");
	assert_string_equal(err.code, "sqlite:26");
	set_path(p->t, p->folder);
	assert_int_equal(open_target(p), WM_FATAL);
	assert_non_null(strstr(err.text, "this is a folder: \"path\" must name a file"));
}

static void
the_file_is_in_wal_mode(void **state)
{
	struct place *p = *state;
	struct wm_sqlite *s = (struct wm_sqlite *)p->t;
	struct small t;

	make_small(&t, "integer", "text", "text");
	assert_int_equal(s->busy_timeout, 5000000);
	assert_int_equal(open_target(p), WM_OK);
	/* Only looking makes no file. */
	assert_int_not_equal(access(p->path, F_OK), 0);
	ensure_and_commit(p, &t);
	assert_value(p, "PRAGMA journal_mode", "wal");
}

static int syncs, (*real_sync)(sqlite3_file *file, int flags);

static int
counted_sync(sqlite3_file *file, int flags)
{
	syncs++;
	return real_sync(file, flags);
}

static void
a_commit_waits_for_the_disk_and_one_that_is_to_be_soon_does_not(void **state)
{
	struct place *p = *state;
	struct wm_sqlite *s = (struct wm_sqlite *)p->t;
	struct wm_bookmark mark = { .source = "s", .name = "n", .value = "1" };
	struct sqlite3_io_methods methods;
	sqlite3_file *wal;
	struct small t;

	make_small(&t, "integer", "text", "text");
	assert_int_equal(open_target(p), WM_OK);
	assert_int_equal(p->t->ops->load(p->t, "s", NULL, NULL, &err), WM_OK);
	ensure_and_commit(p, &t);
	assert_int_equal(sqlite3_file_control(s->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal), SQLITE_OK);
	methods = *wal->pMethods;
	real_sync = methods.xSync;
	methods.xSync = counted_sync;
	wal->pMethods = &methods;
	syncs = 0;
	assert_int_equal(p->t->ops->commit_soon(p->t, &mark, 1, &err), WM_OK);
	assert_int_equal(syncs, 0);
	assert_value(p, "SELECT value FROM _walmill_bookmarks", "1");
	assert_int_equal(p->t->ops->commit(p->t, &mark, 1, &err), WM_OK);
	assert_int_equal(syncs, 1);
	p->t->ops->close(p->t);
}

static void
waiting_for_a_lock_ends(void **state)
{
	struct place *p = *state;
	struct small t;

	make_small(&t, "integer", "text", "text");
	((struct wm_sqlite *)p->t)->busy_timeout = 1000;
	assert_int_equal(open_target(p), WM_OK);
	ensure_and_commit(p, &t);
	sql(p, "BEGIN IMMEDIATE");
	assert_int_equal(p->t->ops->ensure(p->t, &t.view, &(enum wm_found){ 0 }, &err), WM_RETRY);
	assert_fails(p, WM_RETRY, "could not begin a transaction: database is locked "
	    "(another program holds the write lock)");
	assert_string_equal(err.code, "sqlite:5");
	sql(p, "ROLLBACK");
	ensure_and_commit(p, &t);
}

/* ---- refused rows ---- */

static void
a_row_that_is_refused(void **state)
{
	struct place *p = *state;
	struct small t;

	make_small(&t, "integer", "text", "bytea");
	assert_int_equal(open_target(p), WM_OK);
	ensure_and_commit(p, &t);
	sql(p, "CREATE UNIQUE INDEX u ON t (v); INSERT INTO t VALUES (1, 'taken', NULL)");
	assert_int_equal(write_row(p, &t, "2", "taken", NULL), WM_REJECT);
	assert_fails(p, WM_REJECT, "view \"t\": UNIQUE constraint failed: t.v");
	assert_string_equal(err.code, "sqlite:2067");
	assert_int_equal(write_row(p, &t, "not a number", "x", NULL), WM_REJECT);
	assert_fails(p, WM_REJECT, "view \"t\": datatype mismatch");
	assert_int_equal(write_row(p, &t, "3", "x", "\\xg0"), WM_REJECT);
	assert_fails(p, WM_REJECT, "view \"t\": column \"w\": a bytea value has something else than hex digits");
	assert_int_equal(write_row(p, &t, "3", "x", "\\001"), WM_REJECT);
	assert_fails(p, WM_REJECT, "view \"t\": column \"w\": a bytea value is not in hex form "
	    "(bytea_output = hex)");
	assert_int_equal(write_row(p, &t, NULL, "x", NULL), WM_REJECT);
	assert_fails(p, WM_REJECT, "view \"t\": key column \"id\" is null");
	write_and_commit(p, &t, "4", "x", "\\x00");
	assert_value(p, "SELECT group_concat(id) FROM t", "1,4");
}

static void
a_table_that_rolls_back_by_itself_is_fatal(void **state)
{
	struct place *p = *state;
	struct small t;

	make_small(&t, "integer", "text", "text");
	assert_int_equal(open_target(p), WM_OK);
	sql(p, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL ON CONFLICT ROLLBACK, w TEXT)");
	ensure_and_commit(p, &t);
	assert_int_equal(write_row(p, &t, "1", "x", NULL), WM_OK);
	assert_int_equal(write_row(p, &t, "2", NULL, NULL), WM_FATAL);
	assert_fails(p, WM_FATAL, "view \"t\": NOT NULL constraint failed: t.v (and the table's "
	    "definition rolled the whole transaction back)");
	assert_value(p, "SELECT count(*) FROM t", "0");
}

static void
a_table_dropped_meanwhile_is_made_again(void **state)
{
	struct place *p = *state;
	struct small t;

	make_small(&t, "integer", "text", "text");
	assert_int_equal(open_target(p), WM_OK);
	ensure_and_commit(p, &t);
	sql(p, "DROP TABLE t");
	assert_int_equal(write_row(p, &t, "1", "x", NULL), WM_RETRY);
	assert_fails(p, WM_RETRY, "view \"t\": the table was altered: no such table: t");
	p->t->ops->close(p->t);
	assert_int_equal(open_target(p), WM_OK);
	ensure_and_commit(p, &t);
	write_and_commit(p, &t, "1", "x", NULL);
	assert_value(p, "SELECT count(*) FROM t", "1");
}

static void
a_binary_value_is_our_mistake(void **state)
{
	struct place *p = *state;
	struct small t;
	struct wm_value values[] = { text_value("1"),
		{ .kind = WM_VALUE_BINARY, .data = "x", .len = 1 }, text_value("x") };
	struct wm_row row = { .op = WM_ROW_UPSERT, .values = values };
	struct wm_view_batch rows = { .view = &t.view, .nrows = 1, .rows = &row };
	const struct wm_batch batch = { .nviews = 1, .views = &rows, .nrows = 1 };
	size_t bad;

	make_small(&t, "integer", "text", "text");
	assert_int_equal(open_target(p), WM_OK);
	ensure_and_commit(p, &t);
	assert_int_equal(p->t->ops->write(p->t, &batch, &bad, &err), WM_FATAL);
	assert_non_null(strstr(err.text, "binary value"));
}

/* ---- storage ---- */

static void
storage_classes(void **state)
{
	static const struct {
		const char *type, *value, *declared, *storage;
	} samples[] = {
		{ "boolean", "t", "BOOLEAN", "integer" },
		{ "bigint", "-9223372036854775808", "INTEGER", "integer" },
		{ "double precision", "1.5", "REAL", "real" },
		{ "double precision", "NaN", "REAL", "text" },
		{ "double precision", "-Infinity", "REAL", "text" },
		{ "numeric(10,2)", "1.50", "NUMERIC", "real" },
		{ "numeric(15,0)", "123456789012345", "NUMERIC", "integer" },
		{ "numeric(10,2)", "NaN", "NUMERIC", "text" },
		{ "numeric(16,2)", "1.50", "TEXT", "text" },
		{ "numeric", "1", "TEXT", "text" },
		{ "text", "1", "TEXT", "text" },
		{ "bytea", "\\x", "BLOB", "blob" },
		{ "bytea", "\\x00ff", "BLOB", "blob" },
		{ "date", "2024-01-01", "TEXT", "text" },
		{ "interval", "1 day", "TEXT", "text" },
		{ "uuid", "00000000-0000-0000-0000-000000000000", "TEXT", "text" },
		{ "jsonb", "1", "TEXT", "text" },
		{ "integer[]", "{}", "TEXT", "text" },
		{ "inet", "::1", "TEXT", "text" },
	};
	struct place *p = *state;
	struct small t;

	assert_int_equal(open_target(p), WM_OK);
	for (size_t i = 0; i < WM_ARRAY_SIZE(samples); i++) {
		sql(p, "DROP TABLE IF EXISTS t");
		make_small(&t, "integer", samples[i].type, "text");
		ensure_and_commit(p, &t);
		write_and_commit(p, &t, "1", samples[i].value, NULL);
		assert_value(p, "SELECT type FROM pragma_table_info('t') WHERE name = 'v'", samples[i].declared);
		assert_value(p, "SELECT typeof(v) FROM t", samples[i].storage);
	}
}

static void
reals_are_written_as_postgresql_writes_them(void **state WM_UNUSED)
{
	static const struct {
		double value;
		const char *floating, *decimal;
	} samples[] = {
		{ 0, "0", "0" },
		{ 1, "1", "1" },
		{ -1.5, "-1.5", "-1.5" },
		{ 0.1, "0.1", "0.1" },
		{ 0.1 + 0.2, "0.30000000000000004", "0.30000000000000004" },
		{ 100, "100", "100" },
		{ 123456789012345, "123456789012345", "123456789012345" },
		{ 1e15, "1e+15", "1000000000000000" },
		{ 1.5e20, "1.5e+20", "150000000000000000000" },
		{ 1e23, "1e+23", "100000000000000000000000" },
		{ 0.0001, "0.0001", "0.0001" },
		{ 0.00001, "1e-05", "0.00001" },
		{ -1.25e-7, "-1.25e-07", "-0.000000125" },
		{ 5e-324, "5e-324", NULL },
		{ 1.7976931348623157e308, "1.7976931348623157e+308", NULL },
	};
	char text[WM_SQLITE_REAL_LEN];

	for (size_t i = 0; i < WM_ARRAY_SIZE(samples); i++) {
		wm_sqlite_real_text(samples[i].value, false, text, sizeof(text));
		assert_string_equal(text, samples[i].floating);
		wm_sqlite_real_text(samples[i].value, true, text, sizeof(text));
		if (samples[i].decimal != NULL)
			assert_string_equal(text, samples[i].decimal);
	}
	wm_sqlite_real_text(1.7976931348623157e308, true, text, sizeof(text));
	assert_int_equal(strlen(text), 309);
	assert_int_equal(strspn(text, "0123456789"), 309);
}

/* ---- rebuilding ---- */

static const char *
retype_b(const void *arg WM_UNUSED, const char *column)
{
	return strcmp(column, "b") == 0 || strcmp(column, "b \"x\"") == 0 ? "TEXT" : NULL;
}

static void
create_statements_are_rewritten(void **state WM_UNUSED)
{
	static const struct {
		const char *from, *to;		/* behind the name; NULL: not understood */
	} samples[] = {
		{ "CREATE TABLE t(a INT, b INT)", "(a INT, b TEXT)" },
		{ "CREATE TABLE t (b)", "(b TEXT)" },
		{ "CREATE TABLE \"t (x\" (b NUMERIC(10, 2) NOT NULL DEFAULT (1 + 2), c)",
		    "(b TEXT NOT NULL DEFAULT (1 + 2), c)" },
		{ "CREATE TABLE t(a DEFAULT ',b INT', b INTEGER PRIMARY KEY)", "(a DEFAULT ',b INT', b TEXT PRIMARY KEY)" },
		{ "CREATE TABLE t(a CHECK (a IN (1, 2)), `b` double  precision /* ) */ COLLATE NOCASE) STRICT",
		    "(a CHECK (a IN (1, 2)), `b` TEXT /* ) */ COLLATE NOCASE) STRICT" },
		{ "CREATE TABLE t(-- b INT,\n[b] \"odd type\" UNIQUE, PRIMARY KEY (a, b)) WITHOUT ROWID",
		    "(-- b INT,\n[b] TEXT UNIQUE, PRIMARY KEY (a, b)) WITHOUT ROWID" },
		{ "CREATE TABLE t(\"b \"\"x\"\"\" INT, CONSTRAINT b CHECK (1))", "(\"b \"\"x\"\"\" TEXT, CONSTRAINT b CHECK (1))" },
		{ "CREATE TABLE t(bb INT, B INT, c AS (b) STORED)", "(bb INT, B INT, c AS (b) STORED)" },
		{ "CREATE TABLE t", NULL },
		{ "CREATE TABLE t(a INT", NULL },
		{ "CREATE TABLE t(a INT, )", NULL },
	};
	struct wm_buf b;
	char wanted[200];

	for (size_t i = 0; i < WM_ARRAY_SIZE(samples); i++) {
		bool understood;

		wm_buf_init(&b, 1000);
		understood = wm_sqlite_create_sql(samples[i].from, "new \"t\"", retype_b, NULL, &b);
		assert_int_equal(understood, samples[i].to != NULL);
		if (samples[i].to != NULL) {
			snprintf(wanted, sizeof(wanted), "CREATE TABLE \"new \"\"t\"\"\" %s", samples[i].to);
			assert_string_equal(b.data, wanted);
		}
		wm_buf_free(&b);
	}
}

static void
a_rebuilt_table_keeps_what_is_the_users(void **state)
{
	struct place *p = *state;
	struct small t;

	assert_int_equal(open_target(p), WM_OK);
	sql(p, "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v INTEGER CHECK (v <> 13), w TEXT COLLATE NOCASE,"
	    " mine TEXT DEFAULT 'd', twice AS (id * 2)); -- a comment\n"
	    "CREATE INDEX i1 ON t (v, w DESC) WHERE v > 0;"
	    "CREATE UNIQUE INDEX i2 ON t (mine, id);"
	    "CREATE TABLE log (id);"
	    "CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.id); END;"
	    "CREATE VIEW vw AS SELECT id, v, mine FROM t;"
	    "INSERT INTO t (id, v, w, mine) VALUES (1, 7, 'a', 'm'), (2, NULL, 'b', NULL)");
	make_small(&t, "bigint", "text", "text");
	ensure_and_commit(p, &t);
	assert_value(p,
	    "SELECT group_concat(id || ' ' || typeof(v) || ' ' || coalesce(v, '-') || ' ' || coalesce(mine, '-')"
	    " || ' ' || twice, ', ') FROM t",
	    "1 text 7 m 2, 2 null - - 4");
	assert_value(p, "SELECT group_concat(name) FROM (SELECT name FROM sqlite_schema WHERE type <> 'table'"
	    " AND name NOT LIKE 'sqlite_%' ORDER BY name)", "i1,i2,tr,vw");
	assert_value(p, "SELECT count(*) FROM log", "2");
	write_and_commit(p, &t, "3", "007", "C");
	assert_value(p, "SELECT v || ' ' || mine FROM vw WHERE id = 3", "007 d");
	assert_value(p, "SELECT count(*) FROM log", "3");
	assert_value(p, "SELECT count(*) FROM t WHERE w = 'c'", "1");
	assert_value(p, "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%rebuild%'", "0");
	assert_int_equal(write_row(p, &t, "4", "13", NULL), WM_REJECT);
	assert_value(p, "PRAGMA integrity_check", "ok");
	/* Nothing is rebuilt when it fits: the table stays as it is. */
	p->t->ops->rollback(p->t);
	sql(p, "CREATE TABLE before AS SELECT rootpage FROM sqlite_schema WHERE name = 't'");
	ensure_and_commit(p, &t);
	assert_value(p, "SELECT rootpage = (SELECT rootpage FROM before) FROM sqlite_schema WHERE name = 't'", "1");
}

static void
a_type_that_is_given_is_left_alone(void **state)
{
	struct place *p = *state;
	struct small t;
	char override[] = "NUMERIC";

	assert_int_equal(open_target(p), WM_OK);
	sql(p, "CREATE TABLE t (id INTEGER PRIMARY KEY, v DECIMAL(10,2), w TEXT)");
	make_small(&t, "integer", "text", "text");
	t.columns[1].override = override;
	ensure_and_commit(p, &t);
	assert_value(p, "SELECT type FROM pragma_table_info('t') WHERE name = 'v'", "DECIMAL(10,2)");
}

static void
values_follow_their_type(void **state)
{
	static const struct {
		const char *from, *value, *to, *wanted, *storage;
	} samples[] = {
		{ "integer", "7", "text", "7", "text" },
		{ "boolean", "t", "text", "true", "text" },
		{ "boolean", "f", "integer", "0", "integer" },
		{ "integer", "5", "boolean", "1", "integer" },
		{ "double precision", "1e+20", "text", "1e+20", "text" },
		{ "double precision", "5", "numeric", "5", "text" },
		{ "numeric(10,6)", "0.00001", "numeric", "0.00001", "text" },
		{ "text", "0.30000000000000004", "double precision", "1", "real" },
		{ "text", "12", "integer", "12", "integer" },
		{ "text", "x", "integer", "x", "text" },
		{ "text", "\\x6162", "bytea", "ab", "blob" },
		{ "bytea", "\\x6162", "text", "\\x6162", "text" },
		{ "integer", NULL, "text", NULL, "null" },
	};
	struct place *p = *state;
	struct small t;

	assert_int_equal(open_target(p), WM_OK);
	for (size_t i = 0; i < WM_ARRAY_SIZE(samples); i++) {
		sql(p, "DROP TABLE IF EXISTS t");
		make_small(&t, "integer", samples[i].from, "text");
		ensure_and_commit(p, &t);
		write_and_commit(p, &t, "1", samples[i].value, "stays");
		make_small(&t, "integer", samples[i].to, "text");
		ensure_and_commit(p, &t);
		assert_value(p, "SELECT typeof(v) FROM t", samples[i].storage);
		if (strcmp(samples[i].storage, "real") == 0)
			assert_value(p, "SELECT v = 0.1 + 0.2 FROM t", samples[i].wanted);
		else if (samples[i].wanted != NULL)
			assert_value(p, "SELECT CAST(v AS TEXT) FROM t", samples[i].wanted);
		assert_value(p, "SELECT w FROM t", "stays");
	}
}

static void
keys_that_cannot_follow_are_refused(void **state)
{
	struct place *p = *state;
	struct small t;

	assert_int_equal(open_target(p), WM_OK);
	make_small(&t, "text", "text", "text");
	ensure_and_commit(p, &t);
	write_and_commit(p, &t, "abc", "x", "y");
	make_small(&t, "integer", "text", "text");
	assert_int_equal(p->t->ops->ensure(p->t, &t.view, &(enum wm_found){ 0 }, &err), WM_REJECT);
	assert_fails(p, WM_REJECT, "table \"t\": could not change a column's type: could not convert the "
	    "rows (empty the table and seed the rule again): datatype mismatch");
	assert_int_equal(p->t->ops->commit(p->t, NULL, 0, &err), WM_OK);
	assert_value(p, "SELECT id FROM t", "abc");
	assert_value(p, "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%rebuild%'", "0");
}

/* ---- names ---- */

static void
names_that_differ_only_in_case_are_refused(void **state)
{
	struct place *p = *state;
	struct small t;
	char upper[] = "V";

	assert_int_equal(open_target(p), WM_OK);
	make_small(&t, "integer", "text", "text");
	t.columns[2].name = upper;
	assert_int_equal(p->t->ops->ensure(p->t, &t.view, &(enum wm_found){ 0 }, &err), WM_REJECT);
	assert_fails(p, WM_REJECT, "table \"t\": SQLite takes the columns \"v\" and \"V\" for the same; "
	    "rename one of them in the rule (`columns: rename:`)");
	p->t->ops->rollback(p->t);
	sql(p, "CREATE TABLE T (id INTEGER PRIMARY KEY, v, w)");
	make_small(&t, "integer", "text", "text");
	assert_int_equal(p->t->ops->ensure(p->t, &t.view, &(enum wm_found){ 0 }, &err), WM_REJECT);
	assert_fails(p, WM_REJECT, "table \"t\": SQLite takes it for the table \"T\", which is there; "
	    "set another `view:`, or this spelling, in the rule");
}

static void
a_dot_is_part_of_the_name(void **state)
{
	struct place *p = *state;
	struct small t;
	char name[] = "public.t", reserved[] = "_walmill_bookmarks";

	assert_int_equal(open_target(p), WM_OK);
	make_small(&t, "integer", "text", "text");
	t.view.name = name;
	ensure_and_commit(p, &t);
	write_and_commit(p, &t, "1", "x", NULL);
	assert_value(p, "SELECT v FROM \"public.t\"", "x");
	t.view.name = reserved;
	assert_int_equal(p->t->ops->ensure(p->t, &t.view, &(enum wm_found){ 0 }, &err), WM_REJECT);
	assert_fails(p, WM_REJECT, "table \"_walmill_bookmarks\": the name is reserved; "
	    "set another `view:` in the rule");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_missing_folder_is_named),
		TEST(what_is_no_database_is_refused),
		TEST(the_file_is_in_wal_mode),
		TEST(a_commit_waits_for_the_disk_and_one_that_is_to_be_soon_does_not),
		TEST(waiting_for_a_lock_ends),
		TEST(a_row_that_is_refused),
		TEST(a_table_that_rolls_back_by_itself_is_fatal),
		TEST(a_table_dropped_meanwhile_is_made_again),
		TEST(a_binary_value_is_our_mistake),
		TEST(storage_classes),
		cmocka_unit_test(reals_are_written_as_postgresql_writes_them),
		cmocka_unit_test(create_statements_are_rewritten),
		TEST(a_rebuilt_table_keeps_what_is_the_users),
		TEST(a_type_that_is_given_is_left_alone),
		TEST(values_follow_their_type),
		TEST(keys_that_cannot_follow_are_refused),
		TEST(names_that_differ_only_in_case_are_refused),
		TEST(a_dot_is_part_of_the_name),
	};

	return cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);
}
