/* SPDX-License-Identifier: PostgreSQL */
/*
 * sqlite.c - the sqlite back-end: options and operations.
 *
 * Data and bookmarks live in one file and commit together.  No retry here: SQLite waits up to
 * busy_timeout for the write lock, then the pipeline hears WM_RETRY.
 */
#include "sqlite.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "walmill/fault.h"
#include "walmill/strutil.h"
#include "walmill/targets.h"

static struct wm_sqlite *
of(struct wm_target *t)
{
	return (struct wm_sqlite *)t;
}

/* After these the transaction is gone. */
static enum wm_status
settle(struct wm_sqlite *s, enum wm_status status)
{
	if (status != WM_OK && status != WM_REJECT)
		wm_sqlite_rollback(s);
	return status;
}

static enum wm_status
target_open(struct wm_target *t, struct wm_error *err)
{
	return wm_sqlite_open(of(t), err);
}

static void
target_close(struct wm_target *t)
{
	wm_sqlite_close(of(t));
}

static void
target_rollback(struct wm_target *t)
{
	wm_sqlite_rollback(of(t));
}

static enum wm_status
target_ensure(struct wm_target *t, const struct wm_view *view, enum wm_found *ret_found, struct wm_error *err)
{
	return settle(of(t), wm_sqlite_ensure(of(t), view, ret_found, err));
}

static enum wm_status
target_write(struct wm_target *t, const struct wm_batch *batch, size_t *ret_bad, struct wm_error *err)
{
	return settle(of(t), wm_sqlite_write(of(t), batch, ret_bad, err));
}

/* ---- bookmarks ---- */

static enum wm_status
load(struct wm_sqlite *s, const char *source, wm_bookmark_fn *fn, void *arg, struct wm_error *err)
{
	WM_AUTO(wm_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
	enum wm_status status = wm_sqlite_make(s, err);
	int rc;

	if (status == WM_OK)
		status = wm_sqlite_exec(s, "CREATE TABLE IF NOT EXISTS " WM_SQLITE_BOOKMARKS
		    " (source TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (source, name))", err,
		    "could not create the table of bookmarks");

	if (status != WM_OK)
		return status;
	WM_FAULT(sqlite_bookmarks_made);
	rc = sqlite3_prepare_v2(s->db, "SELECT name, value FROM " WM_SQLITE_BOOKMARKS
	    " WHERE source = ?1 ORDER BY name", -1, &stmt, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(stmt, 1, source, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
			fn(arg, (const char *)sqlite3_column_text(stmt, 0),
			    (const char *)sqlite3_column_text(stmt, 1));
	return rc == SQLITE_DONE ? WM_OK : wm_sqlite_fail(s, rc, err, "could not read the bookmarks");
}

/* Without its place the bookmarks cannot be kept: no row is at fault. */
static enum wm_status
not_reject(enum wm_status status, struct wm_error *err)
{
	if (status != WM_REJECT)
		return status;
	if (err != NULL)
		err->status = WM_FATAL;
	return WM_FATAL;
}

static enum wm_status
target_load(struct wm_target *t, const char *source, wm_bookmark_fn *fn, void *arg, struct wm_error *err)
{
	return settle(of(t), not_reject(load(of(t), source, fn, arg, err), err));
}

static enum wm_status
store_bookmark(struct wm_sqlite *s, const struct wm_bookmark *bookmark, struct wm_error *err)
{
	WM_AUTO(wm_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
	const char *sql = bookmark->value != NULL ?
	    "INSERT INTO " WM_SQLITE_BOOKMARKS " (source, name, value) VALUES (?1, ?2, ?3)"
	    " ON CONFLICT (source, name) DO UPDATE SET value = excluded.value" :
	    "DELETE FROM " WM_SQLITE_BOOKMARKS " WHERE source = ?1 AND name = ?2";
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(stmt, 1, bookmark->source, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(stmt, 2, bookmark->name, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK && bookmark->value != NULL)
		rc = sqlite3_bind_text(stmt, 3, bookmark->value, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc != SQLITE_DONE)
		return wm_sqlite_fail(s, rc, err, "could not store bookmark \"%s\"", bookmark->name);
	return WM_OK;
}

static enum wm_status
commit(struct wm_sqlite *s, const struct wm_bookmark *bookmarks, size_t n, struct wm_error *err)
{
	enum wm_status status = WM_OK;

	if (n > 0)
		status = wm_sqlite_begin(s, err);
	for (size_t i = 0; status == WM_OK && i < n; i++)
		status = store_bookmark(s, &bookmarks[i], err);
	if (status != WM_OK || sqlite3_get_autocommit(s->db))
		return status;
	WM_FAULT(sqlite_commit_before);
	status = wm_sqlite_exec(s, "COMMIT", err, "could not commit");
	WM_FAULT(sqlite_committed);
	return status;
}

static enum wm_status
target_commit_soon(struct wm_target *t, const struct wm_bookmark *bookmarks, size_t n, struct wm_error *err)
{
	return settle(of(t), not_reject(commit(of(t), bookmarks, n, err), err));
}

static enum wm_status
target_commit(struct wm_target *t, const struct wm_bookmark *bookmarks, size_t n, struct wm_error *err)
{
	enum wm_status status = target_commit_soon(t, bookmarks, n, err);

	return status == WM_OK ? wm_sqlite_sync(of(t), err) : status;
}

/* ---- preflight ---- */

/* SQLite writes beside the file as well: -wal and -shm. */
static void
check_permissions(struct wm_sqlite *s, struct wm_diags *findings)
{
	WM_AUTO(wm_freep) char *folder = strdup(s->path);
	char *slash = folder != NULL ? strrchr(folder, '/') : NULL;

	if (slash == NULL)
		return;
	slash[slash == folder ? 1 : 0] = '\0';
	if (access(folder, W_OK | X_OK) != 0)
		wm_diags_add(findings, WM_ERROR, folder, "let walmill's user write to the folder",
		    "SQLite cannot make files here: %s", strerror(errno));
	if (!s->unmade && access(s->path, R_OK | W_OK) != 0)
		wm_diags_add(findings, WM_ERROR, s->path, "let walmill's user read and write the file",
		    "SQLite cannot write to it: %s", strerror(errno));
}

static enum wm_status
target_preflight(struct wm_target *t, const struct wm_view *view, struct wm_diags *findings, struct wm_error *err)
{
	WM_AUTO(wm_sqlite_shape_free) struct wm_sqlite_shape shape = { 0 };
	enum wm_status status = wm_sqlite_shape_read(of(t), view, &shape, err);

	if (status != WM_OK)
		return settle(of(t), status);
	check_permissions(of(t), findings);
	wm_sqlite_judge(view, &shape, findings);
	return WM_OK;
}

/* ---- the back-end ---- */

static const struct wm_option options[] = {
	{ .name = "path", .kind = WM_OPT_PATH, .offset = offsetof(struct wm_sqlite, path), .required = true,
	    .help = "database file; made when missing, in a folder that exists" },
	{ .name = "busy_timeout", .kind = WM_OPT_DURATION, .offset = offsetof(struct wm_sqlite, busy_timeout),
	    .fallback = "5s", .help = "how long to wait for another program's write lock" },
	{ .name = NULL },
};

static const char *const schemes[] = { "sqlite", NULL };

const struct wm_target_ops wm_target_sqlite_ops = {
	.type = "sqlite",
	.schemes = schemes,
	.uri_option = "path",
	.batch_rows = 32000,
	.batch_bytes = 16 << 20,
	.uri_strip = true,
	.size = sizeof(struct wm_sqlite),
	.caps = WM_TARGET_TRANSACTIONAL | WM_TARGET_PARTIAL,
	.options = options,
	.open = target_open,
	.load = target_load,
	.ensure = target_ensure,
	.write = target_write,
	.commit = target_commit,
	.commit_soon = target_commit_soon,
	.rollback = target_rollback,
	.close = target_close,
	.preflight = target_preflight,
};
