/* SPDX-License-Identifier: PostgreSQL */
/*
 * connection.c - opening the file, transactions, and what SQLite's result codes mean.
 *
 * WAL, so that readers of the file never wait for walmill; synchronous=FULL, so that a commit
 * survives a power loss.  Foreign keys stay unchecked: the source has checked them, and batches
 * are not in their order.
 */
#include "sqlite.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "walmill/clock.h"
#include "walmill/fault.h"
#include "walmill/strutil.h"

/*
 * SQLite's WAL file shrinks back to this after a large transaction.  It is synced before it is copied into the file; a
 * commit that has to last syncs it itself (wm_sqlite_sync).
 */
#define SETTINGS \
	"PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=OFF; PRAGMA journal_size_limit=67108864;"

static enum wm_status
classify(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
	case SQLITE_SCHEMA:
	case SQLITE_FULL:
	case SQLITE_IOERR:
	case SQLITE_NOMEM:
		return WM_RETRY;
	case SQLITE_ERROR:		/* raised by SQL: a trigger, an expression of the table's */
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
	case SQLITE_TOOBIG:
		return WM_REJECT;
	default:
		return WM_FATAL;
	}
}

/* What to do about it; "" when the message says it. */
static const char *
advice(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_BUSY:
		return " (another program holds the write lock)";
	case SQLITE_CORRUPT:
		return " (restore the file, or move it away and seed again)";
	case SQLITE_NOTADB:
		return " (the path names something that is not an SQLite database)";
	case SQLITE_FULL:
		return " (make space, it goes on by itself)";
	case SQLITE_READONLY:
		return " (walmill must be able to write to the file and its folder)";
	default:
		return "";
	}
}

static enum wm_status WM_PRINTF(4, 0)
fail(struct wm_sqlite *s, int rc, struct wm_error *err, const char *what, va_list ap)
{
	const char *message = s->db != NULL ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc);
	enum wm_status status = classify(rc);
	char code[24], context[300];
	bool rolled_back;

	(void)snprintf(code, sizeof(code), "sqlite:%d", rc);
	/* A table's ON CONFLICT ROLLBACK, or RAISE(ROLLBACK): other rows went with this one. */
	if (status == WM_REJECT && s->db != NULL && sqlite3_get_autocommit(s->db))
		status = WM_FATAL;
	rolled_back = status == WM_FATAL && (rc & 0xff) == SQLITE_CONSTRAINT;
	(void)vsnprintf(context, sizeof(context), what, ap);
	return wm_fail_code(err, status, code, "sqlite \"%s\": %s: %s%s", s->path, context, message,
	    rolled_back ? " (and the table's definition rolled the whole transaction back)" : advice(rc));
}

enum wm_status
wm_sqlite_fail(struct wm_sqlite *s, int rc, struct wm_error *err, const char *what, ...)
{
	enum wm_status status;
	va_list ap;

	va_start(ap, what);
	status = fail(s, rc, err, what, ap);
	va_end(ap);
	return status;
}

void
wm_sqlite_finalizep(sqlite3_stmt **stmt)
{
	(void)sqlite3_finalize(*stmt);
}

enum wm_status
wm_sqlite_exec(struct wm_sqlite *s, const char *sql, struct wm_error *err, const char *what, ...)
{
	enum wm_status status = WM_OK;
	va_list ap;

	va_start(ap, what);
	if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		status = fail(s, sqlite3_extended_errcode(s->db), err, what, ap);
	va_end(ap);
	return status;
}

enum wm_status
wm_sqlite_prepare(struct wm_sqlite *s, const struct wm_buf *sql, const char *what, sqlite3_stmt **ret,
    struct wm_error *err)
{
	sqlite3_stmt *stmt;
	int rc;

	if (sql->failed)
		return wm_oom(err, "an SQL statement");
	rc = sqlite3_prepare_v3(s->db, sql->data, (int)sql->len + 1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
	if (rc != SQLITE_OK)
		return wm_sqlite_fail(s, rc, err, "%s", what);
	*ret = stmt;
	return WM_OK;
}

void
wm_sqlite_quote(struct wm_buf *b, const char *name)
{
	wm_buf_addc(b, '"');
	for (; *name != '\0'; name++) {
		if (*name == '"')
			wm_buf_addc(b, '"');
		wm_buf_addc(b, *name);
	}
	wm_buf_addc(b, '"');
}

/* ---- opening ---- */

static bool
folder_exists(const struct wm_sqlite *s)
{
	WM_AUTO(wm_freep) char *folder = strdup(s->path);
	char *slash = folder != NULL ? strrchr(folder, '/') : NULL;

	if (slash == NULL || slash == folder)
		return true;
	*slash = '\0';
	return access(folder, F_OK) == 0;
}

/* SQLite only says "unable to open database file". */
static enum wm_status
explain_cantopen(struct wm_sqlite *s, int sys, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *folder = strdup(s->path);
	char *slash = folder != NULL ? strrchr(folder, '/') : NULL;
	struct stat st;

	if (slash != NULL && slash != folder) {
		*slash = '\0';
		if (stat(folder, &st) != 0 && errno == ENOENT)
			return wm_fail_code(err, WM_FATAL, "sqlite:14",
			    "sqlite \"%s\": the folder \"%s\" does not exist: create it, writable for walmill",
			    s->path, folder);
	}
	if (stat(s->path, &st) == 0 && S_ISDIR(st.st_mode))
		return wm_fail_code(err, WM_FATAL, "sqlite:14",
		    "sqlite \"%s\": this is a folder: \"path\" must name a file", s->path);
	return wm_fail_code(err, sys == EMFILE || sys == ENFILE || sys == ENOSPC ? WM_RETRY : WM_FATAL, "sqlite:14",
	    "sqlite \"%s\": could not open the file: %s", s->path, sys != 0 ? strerror(sys) : "no reason given");
}

/* Switches to WAL and makes sure of it: some file systems cannot. */
static enum wm_status
enter_wal(struct wm_sqlite *s, struct wm_error *err)
{
	WM_AUTO(wm_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
	const char *mode;
	int rc = sqlite3_prepare_v2(s->db, "PRAGMA journal_mode=WAL", -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if ((rc & 0xff) == SQLITE_CANTOPEN)
		return explain_cantopen(s, sqlite3_system_errno(s->db), err);
	if (rc != SQLITE_ROW)
		return wm_sqlite_fail(s, rc, err, "could not switch to WAL mode");
	mode = (const char *)sqlite3_column_text(stmt, 0);
	if (mode == NULL || strcmp(mode, "wal") != 0)
		return wm_fail(err, WM_FATAL, "sqlite \"%s\": WAL mode is not possible here (the mode stays \"%s\"): "
		    "use a local file system", s->path, mode != NULL ? mode : "?");
	return WM_OK;
}

static enum wm_status
set_up(struct wm_sqlite *s, struct wm_error *err)
{
	int64_t msec = s->busy_timeout / WM_MSEC;
	enum wm_status status;

	(void)sqlite3_extended_result_codes(s->db, 1);
	(void)sqlite3_busy_timeout(s->db, msec < INT_MAX ? (int)msec : INT_MAX);
	/* So that a rebuilt table can take the old one's name although views speak of it. */
	(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, 1, NULL);
	if (sqlite3_db_readonly(s->db, "main") == 1)
		return wm_fail_code(err, WM_FATAL, "sqlite:8",
		    "sqlite \"%s\": no permission to write to the file", s->path);
	status = enter_wal(s, err);
	if (status != WM_OK)
		return status;
	return wm_sqlite_exec(s, SETTINGS, err, "could not set up the connection");
}

static enum wm_status
open_file(struct wm_sqlite *s, struct wm_error *err)
{
	enum wm_status status;
	int rc;

	assert(s->db == NULL);
	/* One thread at a time uses an instance: no mutex inside SQLite. */
	rc = sqlite3_open_v2(s->path, &s->db,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if ((rc & 0xff) == SQLITE_CANTOPEN)
		status = explain_cantopen(s, sqlite3_system_errno(s->db), err);
	else if (rc != SQLITE_OK)
		status = wm_sqlite_fail(s, rc, err, "could not open the file");
	else
		status = set_up(s, err);
	if (status != WM_OK)
		wm_sqlite_close(s);
	return status;
}

/* A check must not leave an empty file behind: one that is missing is made by the first write. */
enum wm_status
wm_sqlite_open(struct wm_sqlite *s, struct wm_error *err)
{
	int rc;

	assert(s->db == NULL);
	if (access(s->path, F_OK) == 0 || errno != ENOENT)
		return open_file(s, err);
	if (!folder_exists(s))
		return explain_cantopen(s, ENOENT, err);
	rc = sqlite3_open_v2(":memory:", &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK) {
		enum wm_status status = wm_sqlite_fail(s, rc, err, "could not open a database");

		wm_sqlite_close(s);
		return status;
	}
	s->unmade = true;
	return WM_OK;
}

enum wm_status
wm_sqlite_make(struct wm_sqlite *s, struct wm_error *err)
{
	if (!s->unmade)
		return WM_OK;
	wm_sqlite_close(s);
	return open_file(s, err);
}

void
wm_sqlite_close(struct wm_sqlite *s)
{
	int rc;

	if (s->db == NULL)
		return;
	wm_sqlite_cache_clear(s);
	rc = sqlite3_close(s->db);
	assert(rc == SQLITE_OK);	/* no statement is left */
	(void)rc;
	s->db = NULL;
	s->unmade = false;
}

/* ---- transactions ---- */

enum wm_status
wm_sqlite_begin(struct wm_sqlite *s, struct wm_error *err)
{
	enum wm_status status = wm_sqlite_make(s, err);

	if (status != WM_OK || !sqlite3_get_autocommit(s->db))
		return status;
	status = wm_sqlite_exec(s, "BEGIN IMMEDIATE", err, "could not begin a transaction");
	WM_FAULT(sqlite_begun);
	return status;
}

void
wm_sqlite_rollback(struct wm_sqlite *s)
{
	if (s->db != NULL && !sqlite3_get_autocommit(s->db))
		(void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

enum wm_status
wm_sqlite_sync(struct wm_sqlite *s, struct wm_error *err)
{
	sqlite3_file *wal = NULL;
	int rc = sqlite3_file_control(s->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);

	/* Without methods it is not open: nothing was written. */
	if (rc == SQLITE_OK && !s->unmade && wal != NULL && wal->pMethods != NULL)
		rc = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
	return rc == SQLITE_OK ? WM_OK : wm_sqlite_fail(s, rc, err, "could not sync the WAL file");
}

enum wm_status
wm_sqlite_savepoint(struct wm_sqlite *s, struct wm_error *err)
{
	return wm_sqlite_exec(s, "SAVEPOINT walmill", err, "could not set a savepoint");
}

enum wm_status
wm_sqlite_release(struct wm_sqlite *s, enum wm_status status, struct wm_error *err)
{
	struct wm_error failed;
	enum wm_status undone;

	if (status == WM_OK)
		return wm_sqlite_exec(s, "RELEASE walmill", err, "could not release a savepoint");
	if (status != WM_REJECT)
		return status;		/* the whole transaction goes */
	/* err keeps the reason of the refusal. */
	undone = wm_sqlite_exec(s, "ROLLBACK TO walmill; RELEASE walmill", &failed, "could not undo a batch");
	if (undone == WM_OK)
		return status;
	if (err != NULL)
		*err = failed;
	return undone;
}
