/* SPDX-License-Identifier: PostgreSQL */
/*
 * receipts.c - receipts.db, beside walmill.db.
 *
 * A file of its own, because a commit that waited for walmill.db's fsync would be slow: here only SQLite's
 * checkpoints are synced, so that the last receipts may be lost with the power, and nothing else can be.
 */
#include "walmill/receipts.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"
#include "walmill/fault.h"
#include "walmill/strutil.h"

#define DEFAULT_LIMIT 100
#define TRIM_EVERY 256		/* receipts; or a sixteenth of the bound, in bytes of keys */
#define BUSY_MS 2000

enum stmt {
	STMT_BEGIN, STMT_COMMIT, STMT_ROLLBACK,
	STMT_ADD, STMT_ANSWER, STMT_FORGET,
	STMT_OPEN, STMT_SETTLE, STMT_DROP,
	STMT_OLD, STMT_OLDEST, STMT_SIZE,
	STMT_COUNT
};

struct wm_receipts {
	pthread_mutex_t	 mutex;		/* guards everything below */
	sqlite3		*db;
	sqlite3_stmt	*stmts[STMT_COUNT];
	char		*path;
	wm_usec		 keep;
	uint64_t	 max_bytes;
	size_t		 added, added_bytes;	/* since it was trimmed */
};

static const char schema[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA trusted_schema = OFF;"
    "CREATE TABLE IF NOT EXISTS receipt ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, writer INTEGER NOT NULL, time INTEGER NOT NULL,"
    " source TEXT NOT NULL, target TEXT NOT NULL, rule TEXT NOT NULL, origin TEXT NOT NULL,"
    " first_lsn INTEGER NOT NULL, last_lsn INTEGER NOT NULL, rows INTEGER NOT NULL, refused INTEGER NOT NULL,"
    " checksum INTEGER NOT NULL, answer TEXT NOT NULL, keys BLOB NOT NULL) STRICT;"
    "CREATE INDEX IF NOT EXISTS receipt_open ON receipt (writer) WHERE answer = '';";

/* answer is '' as long as the target has not answered. */
static const char *const statements[STMT_COUNT] = {
	[STMT_BEGIN] = "BEGIN IMMEDIATE",
	[STMT_COMMIT] = "COMMIT",
	[STMT_ROLLBACK] = "ROLLBACK",
	[STMT_ADD] =
	    "INSERT INTO receipt (writer, time, source, target, rule, origin, first_lsn, last_lsn, rows, refused,"
	    " checksum, answer, keys) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, '', ?12)",
	[STMT_ANSWER] = "UPDATE receipt SET answer = ?2 WHERE writer = ?1 AND answer = ''",
	[STMT_FORGET] = "DELETE FROM receipt WHERE writer = ?1 AND answer = ''",
	[STMT_OPEN] =
	    "SELECT id, origin, last_lsn FROM receipt WHERE answer = '' AND source = ?1 AND target = ?2 LIMIT 1",
	[STMT_SETTLE] = "UPDATE receipt SET answer = ?2 WHERE id = ?1",
	[STMT_DROP] = "DELETE FROM receipt WHERE id = ?1",
	[STMT_OLD] =
	    "DELETE FROM receipt WHERE id IN (SELECT id FROM receipt ORDER BY id LIMIT 1024) AND time < ?1",
	[STMT_OLDEST] = "DELETE FROM receipt WHERE id <= (SELECT min(id) FROM receipt) +"
	    " ((SELECT max(id) FROM receipt) - (SELECT min(id) FROM receipt)) / 16",
	[STMT_SIZE] =
	    "SELECT (p.page_count - f.freelist_count) * s.page_size"
	    " FROM pragma_page_count p, pragma_freelist_count f, pragma_page_size s",
};

/* ---- opening ---- */

static enum wm_status
fail(const char *path, sqlite3 *db, const char *what, struct wm_error *err)
{
	return wm_fail(err, WM_FATAL, "receipts file \"%s\": could not %s: %s", path, what,
	    db == NULL ? "out of memory" : sqlite3_errmsg(db));
}

void
wm_receipts_close(struct wm_receipts *r)
{
	if (r == NULL)
		return;
	for (int i = 0; i < STMT_COUNT; i++)
		sqlite3_finalize(r->stmts[i]);
	sqlite3_close(r->db);
	pthread_mutex_destroy(&r->mutex);
	free(r->path);
	free(r);
}

static void
closep(struct wm_receipts **r)
{
	wm_receipts_close(*r);
}

static enum wm_status
set_up(struct wm_receipts *r, struct wm_error *err)
{
	/* SQLite would make it readable for others. */
	int fd = open(r->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return wm_fail(err, WM_FATAL, "could not open receipts file \"%s\": %m", r->path);
	close(fd);
	if (sqlite3_open_v2(r->path, &r->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return fail(r->path, r->db, "open it", err);
	sqlite3_busy_timeout(r->db, BUSY_MS);
	if (sqlite3_exec(r->db, schema, NULL, NULL, NULL) != SQLITE_OK)
		return fail(r->path, r->db, "set it up", err);
	for (int i = 0; i < STMT_COUNT; i++)
		if (sqlite3_prepare_v3(r->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &r->stmts[i], NULL) !=
		    SQLITE_OK)
			return fail(r->path, r->db, "prepare a statement", err);
	return WM_OK;
}

enum wm_status
wm_receipts_open(const char *folder, wm_usec keep, uint64_t max_bytes, struct wm_receipts **ret, struct wm_error *err)
{
	WM_AUTO(closep) struct wm_receipts *r = calloc(1, sizeof(*r));
	enum wm_status status;

	if (r == NULL)
		return wm_oom(err, "receipts");
	pthread_mutex_init(&r->mutex, NULL);
	r->keep = keep;
	r->max_bytes = max_bytes;
	r->path = wm_asprintf("%s/receipts.db", folder);
	status = r->path == NULL ? wm_oom(err, "receipts") : set_up(r, err);
	if (status != WM_OK)
		return status;
	*ret = r;
	r = NULL;
	return WM_OK;
}

/* ---- writing ---- */

static enum wm_status
run(struct wm_receipts *r, enum stmt which, const char *what, struct wm_error *err)
{
	int rc = sqlite3_step(r->stmts[which]);
	enum wm_status status = rc == SQLITE_DONE || rc == SQLITE_ROW ? WM_OK : fail(r->path, r->db, what, err);

	sqlite3_reset(r->stmts[which]);
	return status;
}

/* Keeps the file within its bounds, a part of it at a time; freed pages are used again. */
static enum wm_status
trim(struct wm_receipts *r, struct wm_error *err)
{
	static const char what[] = "remove old receipts";
	sqlite3_stmt *size = r->stmts[STMT_SIZE];
	enum wm_status status;
	uint64_t bytes;

	sqlite3_bind_int64(r->stmts[STMT_OLD], 1, wm_clock_wall() - r->keep);
	status = run(r, STMT_OLD, what, err);
	if (status != WM_OK)
		return status;
	bytes = sqlite3_step(size) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(size, 0) : 0;
	sqlite3_reset(size);
	return bytes > r->max_bytes ? run(r, STMT_OLDEST, what, err) : WM_OK;
}

static enum wm_status
add_one(struct wm_receipts *r, int64_t writer, wm_usec now, const struct wm_receipt *l, struct wm_error *err)
{
	sqlite3_stmt *stmt = r->stmts[STMT_ADD];
	enum wm_status status;

	sqlite3_bind_int64(stmt, 1, writer);
	sqlite3_bind_int64(stmt, 2, now);
	wm_state_bind_text(stmt, 3, l->source);
	wm_state_bind_text(stmt, 4, l->target);
	wm_state_bind_text(stmt, 5, l->rule);
	wm_state_bind_text(stmt, 6, l->origin);
	sqlite3_bind_int64(stmt, 7, (int64_t)l->first_lsn);
	sqlite3_bind_int64(stmt, 8, (int64_t)l->last_lsn);
	sqlite3_bind_int64(stmt, 9, l->rows);
	sqlite3_bind_int64(stmt, 10, l->refused);
	sqlite3_bind_int64(stmt, 11, (int64_t)l->checksum);
	sqlite3_bind_blob64(stmt, 12, l->nkeys == 0 ? "" : (const void *)l->keys, l->nkeys * sizeof(*l->keys),
	    SQLITE_STATIC);
	status = run(r, STMT_ADD, "store a receipt", err);
	sqlite3_clear_bindings(stmt);
	r->added++;
	r->added_bytes += l->nkeys * sizeof(*l->keys);
	return status;
}

static enum wm_status
answer_open(struct wm_receipts *r, int64_t writer, const char *answer, struct wm_error *err)
{
	sqlite3_stmt *stmt = r->stmts[STMT_ANSWER];

	sqlite3_bind_int64(stmt, 1, writer);
	wm_state_bind_text(stmt, 2, answer);
	return run(r, STMT_ANSWER, "note what the target answered", err);
}

enum wm_status
wm_receipts_add(struct wm_receipts *r, int64_t writer, const char *answer, const struct wm_receipt *list, size_t n,
    struct wm_error *err)
{
	static const char what[] = "store receipts";
	wm_usec now = wm_clock_wall();
	enum wm_status status;

	pthread_mutex_lock(&r->mutex);
	status = run(r, STMT_BEGIN, what, err);
	if (status == WM_OK && answer != NULL)
		status = answer_open(r, writer, answer, err);
	for (size_t i = 0; i < n && status == WM_OK; i++)
		status = add_one(r, writer, now, &list[i], err);
	if (status == WM_OK && (r->added >= TRIM_EVERY || r->added_bytes > r->max_bytes / 16)) {
		r->added = r->added_bytes = 0;
		status = trim(r, err);
		WM_FAULT(receipts_trimmed);
	}
	WM_FAULT(receipts_before);
	if (status == WM_OK)
		status = run(r, STMT_COMMIT, what, err);
	WM_FAULT(receipts_stored);
	if (status != WM_OK) {
		sqlite3_step(r->stmts[STMT_ROLLBACK]);
		sqlite3_reset(r->stmts[STMT_ROLLBACK]);
	}
	pthread_mutex_unlock(&r->mutex);
	return status;
}

enum wm_status
wm_receipts_forget(struct wm_receipts *r, int64_t writer, struct wm_error *err)
{
	enum wm_status status;

	pthread_mutex_lock(&r->mutex);
	sqlite3_bind_int64(r->stmts[STMT_FORGET], 1, writer);
	status = run(r, STMT_FORGET, "take receipts back", err);
	WM_FAULT(receipts_forgotten);
	pthread_mutex_unlock(&r->mutex);
	return status;
}

/* One receipt that a crash left open. */
static enum wm_status
settle(struct wm_receipts *r, int64_t id, bool stream, wm_lsn last, wm_lsn low, wm_lsn high, struct wm_error *err)
{
	static const char what[] = "settle a receipt";

	if (stream && last > high) {
		sqlite3_bind_int64(r->stmts[STMT_DROP], 1, id);
		return run(r, STMT_DROP, what, err);
	}
	sqlite3_bind_int64(r->stmts[STMT_SETTLE], 1, id);
	wm_state_bind_text(r->stmts[STMT_SETTLE], 2, stream && last <= low ? "committed" : "not known");
	return run(r, STMT_SETTLE, what, err);
}

enum wm_status
wm_receipts_recover(struct wm_receipts *r, const char *source, const char *target, wm_lsn low, wm_lsn high,
    struct wm_error *err)
{
	sqlite3_stmt *stmt = r->stmts[STMT_OPEN];
	enum wm_status status = WM_OK;
	pthread_mutex_lock(&r->mutex);
	while (status == WM_OK) {
		int64_t id = 0;
		bool more, stream = false;
		wm_lsn last = 0;

		wm_state_bind_text(stmt, 1, source);
		wm_state_bind_text(stmt, 2, target);
		more = sqlite3_step(stmt) == SQLITE_ROW;
		if (more) {
			id = sqlite3_column_int64(stmt, 0);
			stream = strcmp(wm_state_text(stmt, 1), "stream") == 0;
			last = (wm_lsn)sqlite3_column_int64(stmt, 2);
		}
		sqlite3_reset(stmt);
		if (!more)
			break;
		status = settle(r, id, stream, last, low, high, err);
		WM_FAULT(receipt_settled);
	}
	pthread_mutex_unlock(&r->mutex);
	return status;
}

/* ---- reading ---- */

static bool
has_key(sqlite3_stmt *stmt, uint64_t key)
{
	const char *keys = sqlite3_column_blob(stmt, 12);
	size_t n = (size_t)sqlite3_column_bytes(stmt, 12) / sizeof(key);

	for (size_t i = 0; i < n; i++)
		if (memcmp(keys + i * sizeof(key), &key, sizeof(key)) == 0)
			return true;
	return false;
}

static void
give(sqlite3_stmt *stmt, wm_receipt_fn *fn, void *arg)
{
	struct wm_receipt receipt = {
		.id = sqlite3_column_int64(stmt, 0),
		.time = sqlite3_column_int64(stmt, 1),
		.source = wm_state_text(stmt, 2),
		.target = wm_state_text(stmt, 3),
		.rule = wm_state_text(stmt, 4),
		.origin = wm_state_text(stmt, 5),
		.first_lsn = (wm_lsn)sqlite3_column_int64(stmt, 6),
		.last_lsn = (wm_lsn)sqlite3_column_int64(stmt, 7),
		.rows = sqlite3_column_int64(stmt, 8),
		.refused = sqlite3_column_int64(stmt, 9),
		.checksum = (uint64_t)sqlite3_column_int64(stmt, 10),
		.answer = wm_state_text(stmt, 11),
	};

	fn(arg, &receipt);
}

static enum wm_status
read_file(sqlite3 *db, const char *path, const struct wm_receipt_filter *filter, wm_receipt_fn *fn, void *arg,
    bool *ret_end, struct wm_error *err)
{
	static const char sql[] =
	    "SELECT id, time, source, target, rule, origin, first_lsn, last_lsn, rows, refused, checksum, answer, keys"
	    " FROM receipt WHERE id > ?1 AND (?2 IS NULL OR rule = ?2) ORDER BY id";
	int64_t limit = filter->limit > 0 ? filter->limit : DEFAULT_LIMIT, n = 0;
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK) {
		sqlite3_bind_int64(stmt, 1, filter->after);
		wm_state_bind_text(stmt, 2, filter->rule);
		/* One more than asked for shows whether there is more. */
		while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
			if (filter->by_key && !has_key(stmt, filter->key))
				continue;
			if (n++ == limit)
				break;
			give(stmt, fn, arg);
		}
	}
	sqlite3_finalize(stmt);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return fail(path, db, "read it", err);
	*ret_end = rc == SQLITE_DONE;
	return WM_OK;
}

enum wm_status
wm_receipts_read(const char *folder, const struct wm_receipt_filter *filter, wm_receipt_fn *fn, void *arg,
    bool *ret_end, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *path = wm_asprintf("%s/receipts.db", folder);
	sqlite3 *db = NULL;
	enum wm_status status;

	if (path == NULL)
		return wm_oom(err, "receipts");
	if (access(path, R_OK) != 0)
		return wm_fail(err, WM_REJECT,
		    "could not read receipts file \"%s\": %m; are they on (\"receipts\")?", path);
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
		status = fail(path, db, "open it", err);
	} else {
		sqlite3_busy_timeout(db, BUSY_MS);
		status = read_file(db, path, filter, fn, arg, ret_end, err);
	}
	sqlite3_close(db);
	return status;
}

uint64_t
wm_receipt_key(const char *column, const char *value, size_t len)
{
	uint64_t h = wm_hash(value, len, wm_hash(column, strlen(column) + 1, 0));

	/* Sums of keys that differ a little must not be the same. */
	h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
	h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ h >> 33;
}
