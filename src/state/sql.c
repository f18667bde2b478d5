/* SPDX-License-Identifier: PostgreSQL */
/*
 * sql.c - the schema of walmill.db, its statements, and how they are run.
 *
 * LSNs are stored as SQLite integers, the 64 bits as they are: an order in SQL must look at the sign first.
 */
#include "internal.h"

#include <assert.h>
#include <stdio.h>

/* A step that was released is never changed: a file of that version has it. */
const char *const wm_state_steps[WM_STATE_FORMAT] = {
	"CREATE TABLE source ("
	" name TEXT PRIMARY KEY, system_id TEXT NOT NULL, timeline INTEGER NOT NULL,"
	" slot TEXT NOT NULL, publication TEXT NOT NULL, slot_made INTEGER NOT NULL,"
	" consistent_lsn INTEGER NOT NULL, acked_lsn INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE reached ("
	" source TEXT NOT NULL, target TEXT NOT NULL, lsn INTEGER NOT NULL,"
	" PRIMARY KEY (source, target)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE bookmark ("
	" target TEXT NOT NULL, source TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,"
	" PRIMARY KEY (target, source, name)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE secret (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE dead_letter ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, target TEXT NOT NULL,"
	" rule TEXT NOT NULL, table_name TEXT NOT NULL, view TEXT NOT NULL,"
	" commit_lsn INTEGER NOT NULL, change INTEGER NOT NULL, op TEXT NOT NULL,"
	" key TEXT NOT NULL, row TEXT, class TEXT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL,"
	" first_time INTEGER NOT NULL, last_time INTEGER NOT NULL, attempts INTEGER NOT NULL,"
	" UNIQUE (source, target, rule, commit_lsn, change, key)) STRICT;"
	"CREATE INDEX dead_letter_rule ON dead_letter (rule);",
	"CREATE TABLE gap ("
	" source TEXT NOT NULL, oid INTEGER NOT NULL, PRIMARY KEY (source, oid)) STRICT, WITHOUT ROWID;"
	"ALTER TABLE reached ADD COLUMN passed INTEGER NOT NULL DEFAULT 0;"
	"UPDATE reached SET passed = coalesce((SELECT acked_lsn FROM source WHERE name = reached.source), 0);",
	/*
	 * One letter a row of a view, not one a change: the newest.  Of letters of before it is not known
	 * whether a later change of their key was applied, so their rows are not written again (replay 0).
	 */
	"CREATE TABLE letter ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, target TEXT NOT NULL,"
	" rule TEXT NOT NULL, table_name TEXT NOT NULL, view TEXT NOT NULL,"
	" commit_lsn INTEGER NOT NULL, change INTEGER NOT NULL, op TEXT NOT NULL, origin TEXT NOT NULL,"
	" identity TEXT NOT NULL, key TEXT NOT NULL, row TEXT, numbers TEXT NOT NULL, replay INTEGER NOT NULL,"
	" class TEXT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL,"
	" first_time INTEGER NOT NULL, last_time INTEGER NOT NULL, attempts INTEGER NOT NULL,"
	" superseded INTEGER NOT NULL, UNIQUE (source, target, rule, view, identity)) STRICT;"
	"CREATE INDEX letter_rule ON letter (rule);"
	"INSERT OR REPLACE INTO letter SELECT id, source, target, rule, table_name, view, commit_lsn, change, op,"
	" 'stream', CASE WHEN key IN ('', '{}') THEN '@' || id ELSE key END, key, row, '[]', 0, class, code, message,"
	" first_time, last_time, attempts, 0 FROM dead_letter ORDER BY id;"
	"DROP TABLE dead_letter;",
	"ALTER TABLE source ADD COLUMN reseeding INTEGER NOT NULL DEFAULT 0;",
};

#define LETTER_COLUMNS \
	"id, source, target, rule, table_name, view, commit_lsn, change, op, origin, identity, key, row, numbers, " \
	"replay, class, code, message, first_time, last_time, attempts, superseded"
#define SAME_CHANGE "commit_lsn = excluded.commit_lsn AND change = excluded.change"

static const char *const statements[WM_STMT_COUNT] = {
	[WM_STMT_BEGIN] = "BEGIN IMMEDIATE",
	[WM_STMT_COMMIT] = "COMMIT",
	[WM_STMT_ROLLBACK] = "ROLLBACK",
	[WM_STMT_SOURCE_GET] =
	    "SELECT system_id, timeline, slot, publication, slot_made, consistent_lsn, acked_lsn, reseeding "
	    "FROM source WHERE name = ?1",
	[WM_STMT_SOURCE_PUT] =
	    "INSERT OR REPLACE INTO source VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[WM_STMT_SOURCE_ACK] = "UPDATE source SET acked_lsn = ?2 WHERE name = ?1",
	[WM_STMT_SOURCE_SEEDED] = "UPDATE source SET reseeding = 0 WHERE name = ?1",
	[WM_STMT_SOURCE_DELETE] = "DELETE FROM source WHERE name = ?1",
	[WM_STMT_SOURCE_DELETE_REACHED] = "DELETE FROM reached WHERE source = ?1",
	[WM_STMT_SOURCE_DELETE_BOOKMARKS] = "DELETE FROM bookmark WHERE source = ?1",
	[WM_STMT_REACHED_GET] = "SELECT lsn, passed FROM reached WHERE source = ?1 AND target = ?2",
	[WM_STMT_REACHED_PUT] = "INSERT OR REPLACE INTO reached VALUES (?1, ?2, ?3, ?4)",
	[WM_STMT_REACHED_LIST] = "SELECT target FROM reached WHERE source = ?1",
	[WM_STMT_REACHED_DELETE] = "DELETE FROM reached WHERE source = ?1 AND target = ?2",
	[WM_STMT_GAP_ADD] = "INSERT OR IGNORE INTO gap VALUES (?1, ?2)",
	[WM_STMT_GAPS_GET] = "SELECT oid FROM gap WHERE source = ?1 ORDER BY oid",
	[WM_STMT_GAPS_CLEAR] = "DELETE FROM gap WHERE source = ?1",
	[WM_STMT_BOOKMARKS_LOAD] =
	    "SELECT name, value FROM bookmark WHERE target = ?1 AND source = ?2 ORDER BY name",
	[WM_STMT_BOOKMARK_PUT] = "INSERT OR REPLACE INTO bookmark VALUES (?1, ?2, ?3, ?4)",
	[WM_STMT_BOOKMARK_DELETE] =
	    "DELETE FROM bookmark WHERE target = ?1 AND source = ?2 AND name = ?3",
	[WM_STMT_MASK_KEY_GET] = "SELECT value FROM secret WHERE name = 'mask_key'",
	[WM_STMT_MASK_KEY_PUT] = "INSERT INTO secret VALUES ('mask_key', ?1)",
	[WM_STMT_LETTER_ADD] =
	    "INSERT INTO letter (source, target, rule, table_name, view, commit_lsn, change, op, origin, identity, key,"
	    " row, numbers, replay, class, code, message, first_time, last_time, attempts, superseded) "
	    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,"
	    " max(?20, 1), 0) "
	    "ON CONFLICT (source, target, rule, view, identity) DO UPDATE SET"
	    " attempts = CASE WHEN " SAME_CHANGE " THEN attempts + 1 ELSE excluded.attempts END,"
	    " first_time = CASE WHEN " SAME_CHANGE " THEN first_time ELSE excluded.first_time END,"
	    " table_name = excluded.table_name, commit_lsn = excluded.commit_lsn, change = excluded.change,"
	    " op = excluded.op, origin = excluded.origin, key = excluded.key, row = excluded.row,"
	    " numbers = excluded.numbers, replay = excluded.replay, class = excluded.class, code = excluded.code,"
	    " message = excluded.message, last_time = excluded.last_time, superseded = 0"
	    /* What waits in a batch is written later than what was refused before it got there.  LSNs are unsigned. */
	    " WHERE origin = 'seed' OR excluded.origin = 'seed' OR (excluded.commit_lsn < 0, excluded.commit_lsn, excluded.change)"
	    " >= (commit_lsn < 0, commit_lsn, change)",
	[WM_STMT_LETTERS] =
	    "SELECT " LETTER_COLUMNS " FROM letter WHERE id > ?1 AND (?2 IS NULL OR rule = ?2)"
	    " AND (?3 IS NULL OR class = ?3) AND (?4 = 0 OR last_time <= ?4) AND (?5 = 0 OR attempts <= ?5)"
	    " ORDER BY id LIMIT ?6",
	[WM_STMT_LETTER_GET] = "SELECT " LETTER_COLUMNS " FROM letter WHERE id = ?1",
	[WM_STMT_LETTER_FIND] =
	    "SELECT " LETTER_COLUMNS " FROM letter"
	    " WHERE source = ?1 AND target = ?2 AND rule = ?3 AND view = ?4 AND identity = ?5",
	[WM_STMT_LETTER_KEYS] =
	    "SELECT " LETTER_COLUMNS " FROM letter WHERE source = ?1 AND target = ?2 ORDER BY id",
	[WM_STMT_LETTER_COUNT] = "SELECT count(*) FROM letter WHERE ?1 IS NULL OR rule = ?1",
	[WM_STMT_LETTER_SUPERSEDE] = "UPDATE letter SET superseded = ?2 WHERE id = ?1",
	[WM_STMT_LETTER_DROP] = "DELETE FROM letter WHERE id = ?1",
	[WM_STMT_LETTER_DROP_VIEW] =
	    "DELETE FROM letter WHERE source = ?1 AND target = ?2 AND rule = ?3 AND view = ?4",
	[WM_STMT_LETTER_TRIED] =
	    "UPDATE letter SET attempts = attempts + 1, last_time = ?2, code = ?3, message = ?4 WHERE id = ?1",
};

enum wm_status
wm_state_prepare(struct wm_state *s, struct wm_error *err)
{
	for (int i = 0; i < WM_STMT_COUNT; i++)
		if (sqlite3_prepare_v3(s->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &s->stmts[i], NULL) !=
		    SQLITE_OK)
			return wm_state_fail(s, "prepare a statement", err);
	return WM_OK;
}

sqlite3_stmt *
wm_state_begin(struct wm_state *s, enum wm_state_stmt which)
{
	pthread_mutex_lock(&s->mutex);
	return s->stmts[which];
}

sqlite3_stmt *
wm_state_stmt(struct wm_state *s, enum wm_state_stmt which)
{
	return s->stmts[which];
}

void
wm_state_end(struct wm_state *s)
{
	for (int i = 0; i < WM_STMT_COUNT; i++) {
		sqlite3_reset(s->stmts[i]);
		sqlite3_clear_bindings(s->stmts[i]);
	}
	pthread_mutex_unlock(&s->mutex);
}

void
wm_state_bind_text(sqlite3_stmt *stmt, int at, const char *text)
{
	/* The caller's text outlives the statement's use, so that no copy is needed. */
	int rc = text == NULL ? sqlite3_bind_null(stmt, at) : sqlite3_bind_text(stmt, at, text, -1, SQLITE_STATIC);

	assert(rc == SQLITE_OK || rc == SQLITE_TOOBIG);
	(void)rc;
}

const char *
wm_state_text(sqlite3_stmt *stmt, int column)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);

	return text == NULL ? "" : text;
}

enum wm_status
wm_state_fail(struct wm_state *s, const char *what, struct wm_error *err)
{
	int rc = sqlite3_extended_errcode(s->db);
	enum wm_status status;
	const char *advice;
	char code[24];

	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		status = WM_RETRY;
		advice = "another program holds it open for writing";
		break;
	case SQLITE_FULL:
		status = WM_RETRY;
		advice = "make room on its file system";
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		status = WM_OPERATOR;
		advice =
		    "the file is damaged: put a backup of the state folder back, or run \"walmill teardown\" with a new "
		    "state folder and seed again";
		break;
	default:
		status = WM_FATAL;
		advice = "see that the state folder and its files can be written by this user";
	}
	snprintf(code, sizeof(code), "sqlite:%d", rc);
	return wm_fail_code(err, status, code, "state file \"%s\": could not %s: %s (%s)", s->path, what,
	    sqlite3_errmsg(s->db), advice);
}

enum wm_status
wm_state_step(struct wm_state *s, sqlite3_stmt *stmt, const char *what, bool *ret_row, struct wm_error *err)
{
	int rc = sqlite3_step(stmt);

	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return wm_state_fail(s, what, err);
	*ret_row = rc == SQLITE_ROW;
	return WM_OK;
}

enum wm_status
wm_state_run(struct wm_state *s, sqlite3_stmt *stmt, const char *what, struct wm_error *err)
{
	bool row = false;
	enum wm_status status = wm_state_step(s, stmt, what, &row, err);

	assert(status != WM_OK || !row);
	return status;
}

enum wm_status
wm_state_finish(struct wm_state *s, enum wm_status status, const char *what, struct wm_error *err)
{
	if (status == WM_OK)
		status = wm_state_run(s, s->stmts[WM_STMT_COMMIT], what, err);
	if (status != WM_OK)
		sqlite3_step(s->stmts[WM_STMT_ROLLBACK]);
	return status;
}
