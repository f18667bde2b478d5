/* SPDX-License-Identifier: PostgreSQL */
/*
 * write.c - a batch becomes rows: all of it or, by a savepoint, nothing.
 *
 * Rows whose key changes but which are not known whole (WM_ROW_UPDATE with old_key) take two
 * passes, so that the rows of a batch may come in any order, chains and swaps of keys included:
 * first each of them is parked at a key that no source can have, then it moves to its new key.
 */
#include "sqlite.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "walmill/fault.h"
#include "walmill/order.h"
#include "walmill/strutil.h"

/* One view's part of the batch at work. */
struct job {
	struct wm_sqlite		*s;
	struct wm_sqlite_cache		*cache;
	const struct wm_view		*view;
	const struct wm_view_batch	*rows;
	size_t				*order;		/* of the rows; NULL: their own */
	char				*parked;	/* one byte a row; NULL: no key changes */
	char				*known;		/* one byte a column, for the row at hand */
};

static void
free_job(struct job *job)
{
	free(job->order);
	free(job->parked);
	free(job->known);
}

/* ---- binding ---- */

static int
bind_cell(sqlite3_stmt *stmt, int i, const struct wm_sqlite_cell *cell)
{
	switch (cell->type) {
	case SQLITE_INTEGER:
		return sqlite3_bind_int64(stmt, i, cell->integer);
	case SQLITE_FLOAT:
		return sqlite3_bind_double(stmt, i, cell->real);
	case SQLITE_TEXT:		/* lives as long as the batch */
		return sqlite3_bind_text64(stmt, i, cell->data, cell->len, SQLITE_STATIC, SQLITE_UTF8);
	case SQLITE_BLOB:
		if (cell->len == 0)
			return sqlite3_bind_zeroblob(stmt, i, 0);
		return sqlite3_bind_blob64(stmt, i, cell->data, cell->len, sqlite3_free);
	default:
		return sqlite3_bind_null(stmt, i);
	}
}

/* Binds value, which belongs to column, to parameter i. */
static enum wm_status
bind(const struct job *job, sqlite3_stmt *stmt, unsigned i, unsigned column, const struct wm_value *value,
    struct wm_error *err)
{
	const char *name = job->view->columns[column].name;
	struct wm_sqlite_cell cell;
	enum wm_status status;
	int rc;

	status = wm_sqlite_cell(wm_sqlite_cache_storage(job->cache, column), value, &cell, err);
	if (status != WM_OK)
		return wm_error_prefix(err, "sqlite \"%s\": view \"%s\": column \"%s\"", job->s->path,
		    job->view->name, name);
	if (cell.type == SQLITE_NULL && job->view->columns[column].key)
		return wm_fail(err, WM_REJECT, "sqlite \"%s\": view \"%s\": key column \"%s\" is null",
		    job->s->path, job->view->name, name);
	rc = bind_cell(stmt, (int)i, &cell);
	if (rc != SQLITE_OK)
		return wm_sqlite_fail(job->s, rc, err, "view \"%s\": column \"%s\"", job->view->name, name);
	return WM_OK;
}

/* The key in its columns' places (a DELETE, an UPDATE that keeps it). */
static enum wm_status
bind_key(const struct job *job, sqlite3_stmt *stmt, const struct wm_row *row, struct wm_error *err)
{
	enum wm_status status = WM_OK;

	for (unsigned i = 0; status == WM_OK && i < job->view->nkeys; i++) {
		unsigned column = job->view->keys[i];

		status = bind(job, stmt, column + 1, column, &row->values[column], err);
	}
	return status;
}

static enum wm_status
bind_old_key(const struct job *job, sqlite3_stmt *stmt, const struct wm_row *row, struct wm_error *err)
{
	enum wm_status status = WM_OK;

	for (unsigned i = 0; status == WM_OK && i < job->view->nkeys; i++)
		status = bind(job, stmt, job->view->ncolumns + i + 1, job->view->keys[i], &row->old_key[i], err);
	return status;
}

/* A value that no row of the source has in the first key column, different for each row i. */
static int
bind_parking_place(const struct job *job, sqlite3_stmt *stmt, unsigned parameter, size_t i)
{
	const struct wm_view_column *column = &job->view->columns[job->view->keys[0]];
	char text[64];

	if (wm_sqlite_affinity(wm_sqlite_declared(column)) == WM_SQLITE_INTEGER)
		return sqlite3_bind_int64(stmt, (int)parameter, INT64_MIN + (int64_t)i);
	(void)snprintf(text, sizeof(text), "\001walmill moves row %zu", i);
	return sqlite3_bind_text(stmt, (int)parameter, text, -1, SQLITE_TRANSIENT);
}

/*
 * Whether a statement that failed while it ran still fits the table.  SQLite looks at the schema
 * only then, and reports a table that somebody has altered or dropped since ensure as it reports
 * a row's own error.
 */
static bool
still_fits(const struct job *job, sqlite3_stmt *stmt)
{
	WM_AUTO(wm_sqlite_finalizep) sqlite3_stmt *again = NULL;

	return sqlite3_prepare_v2(job->s->db, sqlite3_sql(stmt), -1, &again, NULL) == SQLITE_OK;
}

static enum wm_status
explain(const struct job *job, sqlite3_stmt *stmt, int rc, struct wm_error *err)
{
	enum wm_status status = wm_sqlite_fail(job->s, rc, err, "view \"%s\"", job->view->name);

	if (rc == SQLITE_ERROR && !still_fits(job, stmt))
		return wm_sqlite_altered(job->s, job->view, err);
	return status;
}

/* Runs a bound statement and makes it ready for the next row. */
static enum wm_status
run(const struct job *job, sqlite3_stmt *stmt, enum wm_status status, struct wm_error *err)
{
	int rc;

	if (status == WM_OK) {
		rc = sqlite3_step(stmt);
		if (rc != SQLITE_DONE)
			status = explain(job, stmt, rc, err);
	}
	(void)sqlite3_reset(stmt);
	(void)sqlite3_clear_bindings(stmt);
	return status;
}

/* ---- rows ---- */

static enum wm_status
statement(const struct job *job, enum wm_sqlite_statement which, sqlite3_stmt **ret, struct wm_error *err)
{
	return wm_sqlite_cache_statement(job->s, job->cache, job->view, which, ret, err);
}

static enum wm_status
upsert(const struct job *job, const struct wm_row *row, struct wm_error *err)
{
	sqlite3_stmt *stmt;
	enum wm_status status = statement(job, WM_SQLITE_UPSERT, &stmt, err);

	if (status != WM_OK)
		return status;
	for (unsigned i = 0; status == WM_OK && i < job->view->ncolumns; i++)
		status = bind(job, stmt, i + 1, i, &row->values[i], err);
	return run(job, stmt, status, err);
}

static enum wm_status
delete(const struct job *job, const struct wm_row *row, struct wm_error *err)
{
	sqlite3_stmt *stmt;
	enum wm_status status = statement(job, WM_SQLITE_DELETE, &stmt, err);

	if (status != WM_OK)
		return status;
	return run(job, stmt, bind_key(job, stmt, row, err), err);
}

/* Changes the known columns of the row at the key or, moving, of the one parked for row i. */
static enum wm_status
update(const struct job *job, const struct wm_row *row, size_t i, bool moving, struct wm_error *err)
{
	const struct wm_view *view = job->view;
	sqlite3_stmt *stmt;
	enum wm_status status;
	bool any = false;

	for (unsigned c = 0; c < view->ncolumns; c++) {
		job->known[c] = row->values[c].kind != WM_VALUE_UNCHANGED && (moving || !view->columns[c].key);
		any |= job->known[c];
	}
	if (!any)
		return WM_OK;
	status = wm_sqlite_cache_update(job->s, job->cache, view, job->known, moving, &stmt, err);
	if (status != WM_OK)
		return status;
	for (unsigned c = 0; status == WM_OK && c < view->ncolumns; c++)
		if (job->known[c])
			status = bind(job, stmt, c + 1, c, &row->values[c], err);
	if (status == WM_OK)
		status = moving ? bind_old_key(job, stmt, row, err) : bind_key(job, stmt, row, err);
	if (status == WM_OK && moving && bind_parking_place(job, stmt, view->ncolumns + 1, i) != SQLITE_OK)
		status = wm_oom(err, "a key");
	return run(job, stmt, status, err);
}

static bool
is_move(const struct wm_row *row)
{
	return row->op == WM_ROW_UPDATE && row->old_key != NULL;
}

static enum wm_status
park(const struct job *job, const struct wm_row *row, size_t i, struct wm_error *err)
{
	sqlite3_stmt *stmt;
	enum wm_status status = statement(job, WM_SQLITE_PARK, &stmt, err);

	if (status != WM_OK)
		return status;
	status = bind_old_key(job, stmt, row, err);
	if (status == WM_OK && bind_parking_place(job, stmt, 1, i) != SQLITE_OK)
		status = wm_oom(err, "a key");
	status = run(job, stmt, status, err);
	if (status == WM_OK)
		job->parked[i] = sqlite3_changes(job->s->db) > 0;
	return status;
}

static enum wm_status
write_row(const struct job *job, const struct wm_row *row, size_t i, struct wm_error *err)
{
	enum wm_status status;

	if (row->op == WM_ROW_UPSERT)
		return upsert(job, row, err);
	if (job->view->nkeys == 0)
		return wm_fail(err, WM_REJECT, "sqlite \"%s\": view \"%s\" has no key: rows can only be added",
		    job->s->path, job->view->name);
	if (row->op == WM_ROW_DELETE)
		return delete(job, row, err);
	/* Nothing was at the old key: the move has happened before, its row is at the new key. */
	if (!is_move(row) || !job->parked[i])
		return update(job, row, i, false, err);
	status = delete(job, row, err);
	return status == WM_OK ? update(job, row, i, true, err) : status;
}

/* ---- batches ---- */

static enum wm_status
park_moves(struct job *job, size_t *ret_bad, struct wm_error *err)
{
	enum wm_status status = WM_OK;

	for (size_t i = 0; status == WM_OK && i < job->rows->nrows; i++) {
		const struct wm_row *row = &job->rows->rows[i];

		if (!is_move(row) || job->view->nkeys == 0)
			continue;
		if (job->parked == NULL)
			job->parked = calloc(job->rows->nrows, 1);
		if (job->parked == NULL)
			return wm_oom(err, "a batch");
		status = park(job, row, i, err);
		if (status == WM_REJECT)
			*ret_bad = i;
	}
	return status;
}

static enum wm_status
write_rows(struct job *job, size_t *ret_bad, struct wm_error *err)
{
	enum wm_status status = WM_OK;
	sqlite3_stmt *stmt;

	if (job->rows->truncate) {
		status = statement(job, WM_SQLITE_TRUNCATE, &stmt, err);
		if (status == WM_OK)
			status = run(job, stmt, status, err);
		if (status != WM_OK)
			return status;
	}
	status = park_moves(job, ret_bad, err);
	for (size_t place = 0; status == WM_OK && place < job->rows->nrows; place++) {
		size_t i = job->order == NULL ? place : job->order[place];

		status = write_row(job, &job->rows->rows[i], i, err);
		if (status == WM_REJECT)
			*ret_bad = i;
	}
	return status;
}

static enum wm_status
write_view(struct wm_sqlite *s, const struct wm_view_batch *rows, size_t *ret_bad, struct wm_error *err)
{
	WM_AUTO(free_job) struct job job = { .s = s, .view = rows->view, .rows = rows };

	job.cache = wm_sqlite_cache_get(s, rows->view, err);
	if (job.cache == NULL)
		return WM_FATAL;
	job.order = wm_key_order(rows);
	job.known = calloc(rows->view->ncolumns, 1);
	if (job.known == NULL)
		return wm_oom(err, "a batch");
	return write_rows(&job, ret_bad, err);
}

enum wm_status
wm_sqlite_write(struct wm_sqlite *s, const struct wm_batch *batch, size_t *ret_bad, struct wm_error *err)
{
	enum wm_status status;
	size_t before = 0;

	status = wm_sqlite_begin(s, err);
	if (status == WM_OK)
		status = wm_sqlite_savepoint(s, err);
	if (status != WM_OK)
		return status;
	for (size_t i = 0; status == WM_OK && i < batch->nviews; i++) {
		size_t bad = WM_BAD_UNKNOWN;

		status = write_view(s, &batch->views[i], &bad, err);
		if (status == WM_REJECT)
			*ret_bad = bad == WM_BAD_UNKNOWN ? bad : before + bad;
		before += batch->views[i].nrows;
	}
	WM_FAULT(sqlite_written);
	return wm_sqlite_release(s, status, err);
}
