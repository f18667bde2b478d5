/* SPDX-License-Identifier: PostgreSQL */
/*
 * sqlite_peer.c - the sqlite target seen from outside: a file in a folder of its own.
 */
#include "conformance.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "walmill/buf.h"
#include "walmill/config.h"
#include "walmill/targets.h"

struct place {
	char	 folder[64], path[80];
	sqlite3	*db, *locker;
};

static const char *
unavailable(void)
{
	return NULL;
}

static void
set_option(struct fixture *f, const char *name, const char *text)
{
	for (const struct wm_option *o = f->peer->ops->options; o->name != NULL; o++)
		if (strcmp(o->name, name) == 0)
			OK(wm_option_set(o, text, f->target, &error));
}

static void
set_up(struct fixture *f)
{
	struct place *p = wm_arena_calloc(f->arena, 1, sizeof(*p));

	assert_non_null(p);
	f->place = p;
	snprintf(p->folder, sizeof(p->folder), "/tmp/wm-conformance-XXXXXX");
	assert_non_null(mkdtemp(p->folder));
	snprintf(p->path, sizeof(p->path), "%s/warehouse.db", p->folder);
	OK(wm_target_create(f->peer->ops, "warehouse", &f->target, &error));
	set_option(f, "path", p->path);
	set_option(f, "busy_timeout", "50ms");
}

static void
tear_down(struct fixture *f)
{
	static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };
	struct place *p = f->place;
	char path[100];

	(void)sqlite3_close(p->db);
	(void)sqlite3_close(p->locker);
	for (size_t i = 0; i < WM_ARRAY_SIZE(suffixes); i++) {
		snprintf(path, sizeof(path), "%s%s", p->path, suffixes[i]);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(p->folder), 0);
}

static sqlite3 *
connection(struct fixture *f)
{
	struct place *p = f->place;

	if (p->db == NULL)
		assert_int_equal(sqlite3_open(p->path, &p->db), SQLITE_OK);
	return p->db;
}

static void
run(sqlite3 *db, const char *text)
{
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", text, sqlite3_errmsg(db));
}

static void
sql(struct fixture *f, const char *text)
{
	run(connection(f), text);
}

/* A real as float8 is written, not with SQLite's 15 digits. */
static void
add_real(struct wm_buf *b, double v)
{
	char text[40];
	double back = 0;

	for (int precision = 1; precision <= 17; precision++) {
		snprintf(text, sizeof(text), "%.*g", precision, v);
		if (sscanf(text, "%lf", &back) == 1 && back == v)
			break;
	}
	wm_buf_adds(b, text);
}

static void
add_cell(struct wm_buf *b, sqlite3_stmt *stmt, int i)
{
	const unsigned char *bytes;

	switch (sqlite3_column_type(stmt, i)) {
	case SQLITE_NULL:
		wm_buf_adds(b, "<null>");
		break;
	case SQLITE_FLOAT:
		add_real(b, sqlite3_column_double(stmt, i));
		break;
	case SQLITE_BLOB:
		bytes = sqlite3_column_blob(stmt, i);
		wm_buf_adds(b, "\\x");
		for (int j = 0; j < sqlite3_column_bytes(stmt, i); j++)
			wm_buf_addf(b, "%02x", bytes[j]);
		break;
	default:
		wm_buf_add(b, sqlite3_column_text(stmt, i), (size_t)sqlite3_column_bytes(stmt, i));
		break;
	}
}

static const char *
query(struct fixture *f, const char *text)
{
	sqlite3 *db = connection(f);
	struct wm_buf b;
	sqlite3_stmt *stmt;
	const char *rows;
	int rc;

	wm_buf_init(&b, 64 << 20);
	if (sqlite3_prepare_v2(db, text, -1, &stmt, NULL) != SQLITE_OK)
		fail_msg("%s: %s", text, sqlite3_errmsg(db));
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		wm_buf_adds(&b, b.len > 0 ? "\n" : "");
		for (int i = 0; i < sqlite3_column_count(stmt); i++) {
			wm_buf_adds(&b, i > 0 ? "|" : "");
			add_cell(&b, stmt, i);
		}
	}
	assert_int_equal(rc, SQLITE_DONE);
	(void)sqlite3_finalize(stmt);
	assert_false(b.failed);
	rows = wm_arena_dup(f->arena, b.data, b.len);
	wm_buf_free(&b);
	return rows;
}

/* The write lock is the whole file's. */
static void
lock(struct fixture *f, const char *table)
{
	struct place *p = f->place;

	(void)table;
	assert_int_equal(sqlite3_open(p->path, &p->locker), SQLITE_OK);
	run(p->locker, "BEGIN IMMEDIATE");
}

static void
unlock(struct fixture *f)
{
	struct place *p = f->place;

	run(p->locker, "ROLLBACK");
}

static bool
has_table(struct fixture *f, const char *table)
{
	char text[200];

	snprintf(text, sizeof(text), "SELECT count(*) FROM sqlite_schema WHERE name = '%s'", table);
	return strcmp(query(f, text), "1") == 0;
}

/* Exact decimals are numbers, without the zeros behind them; the rest stays as PostgreSQL writes it. */
static const char *
shown(struct fixture *f, const char *type, const char *text)
{
	char *number;
	size_t n;

	if (strcmp(type, "boolean") == 0)
		return text[0] == 't' ? "1" : "0";
	if (strncmp(type, "numeric(10", 10) != 0 || strchr(text, '.') == NULL)
		return text;
	number = wm_arena_strdup(f->arena, text);
	assert_non_null(number);
	n = strlen(number);
	while (number[n - 1] == '0')
		n--;
	number[number[n - 1] == '.' ? n - 1 : n] = '\0';
	return number;
}

const struct peer sqlite_peer = {
	.name = "sqlite",
	.can = CAN_SQL | CAN_EMPTY_TEXT | CAN_RETYPE | CAN_LARGE_TEXT,
	.ops = &wm_target_sqlite_ops,
	.unavailable = unavailable,
	.set_up = set_up,
	.tear_down = tear_down,
	.sql = sql,
	.query = query,
	.lock = lock,
	.unlock = unlock,
	.has_table = has_table,
	.shown = shown,
};
