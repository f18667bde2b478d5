/* SPDX-License-Identifier: PostgreSQL */
/*
 * reached.c - how far targets have come, and what the source was told.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include "walmill/fault.h"
#include "walmill/strutil.h"

enum wm_status
wm_state_reached_get(struct wm_state *s, const char *source, const char *target, struct wm_reached *ret,
    bool *ret_found, struct wm_error *err)
{
	sqlite3_stmt *stmt = wm_state_begin(s, WM_STMT_REACHED_GET);
	enum wm_status status;
	bool found = false;

	wm_state_bind_text(stmt, 1, source);
	wm_state_bind_text(stmt, 2, target);
	status = wm_state_step(s, stmt, "read a target's position", &found, err);
	if (status == WM_OK) {
		*ret = (struct wm_reached){ .stored = found ? (wm_lsn)sqlite3_column_int64(stmt, 0) : 0,
			.passed = found ? (wm_lsn)sqlite3_column_int64(stmt, 1) : 0 };
		*ret_found = found;
	}
	wm_state_end(s);
	return status;
}

static bool
listed(const char *target, const char *const *targets, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(targets[i], target) == 0)
			return true;
	return false;
}

/* One target that is there and not in the list; *ret NULL when there is none.  The mutex is held. */
static enum wm_status
find_unlisted(struct wm_state *s, const char *source, const char *const *targets, size_t n, char **ret,
    struct wm_error *err)
{
	sqlite3_stmt *stmt = wm_state_stmt(s, WM_STMT_REACHED_LIST);
	enum wm_status status;
	bool row = false;

	*ret = NULL;
	wm_state_bind_text(stmt, 1, source);
	while ((status = wm_state_step(s, stmt, "read the targets' positions", &row, err)) == WM_OK && row)
		if (!listed(wm_state_text(stmt, 0), targets, n)) {
			*ret = strdup(wm_state_text(stmt, 0));
			status = *ret == NULL ? wm_oom(err, "a target") : WM_OK;
			break;
		}
	sqlite3_reset(stmt);
	return status;
}

enum wm_status
wm_state_reached_keep(struct wm_state *s, const char *source, const char *const *targets, size_t n,
    struct wm_error *err)
{
	sqlite3_stmt *stmt = wm_state_begin(s, WM_STMT_REACHED_DELETE);
	enum wm_status status;

	for (;;) {
		WM_AUTO(wm_freep) char *target = NULL;

		status = find_unlisted(s, source, targets, n, &target, err);
		if (status != WM_OK || target == NULL)
			break;
		sqlite3_reset(stmt);
		wm_state_bind_text(stmt, 1, source);
		wm_state_bind_text(stmt, 2, target);
		status = wm_state_run(s, stmt, "forget a target's position", err);
		WM_FAULT(state_target_forgotten);
		if (status != WM_OK)
			break;
	}
	wm_state_end(s);
	return status;
}

/* The mutex is held. */
static enum wm_status
put_one(struct wm_state *s, const char *source, const struct wm_reached *r, struct wm_error *err)
{
	sqlite3_stmt *stmt = wm_state_stmt(s, WM_STMT_REACHED_PUT);

	sqlite3_reset(stmt);
	wm_state_bind_text(stmt, 1, source);
	wm_state_bind_text(stmt, 2, r->target);
	sqlite3_bind_int64(stmt, 3, (int64_t)r->stored);
	sqlite3_bind_int64(stmt, 4, (int64_t)r->passed);
	return wm_state_run(s, stmt, "store a target's position", err);
}

enum wm_status
wm_state_reached_put(struct wm_state *s, const char *source, const struct wm_reached *reached, struct wm_error *err)
{
	enum wm_status status;

	wm_state_begin(s, WM_STMT_REACHED_PUT);
	WM_FAULT(state_reached_before);
	status = put_one(s, source, reached, err);
	WM_FAULT(state_reached_stored);
	wm_state_end(s);
	return status;
}

/* The mutex is held. */
static enum wm_status
put_all(struct wm_state *s, const char *source, wm_lsn acked, const struct wm_reached *list, size_t n,
    struct wm_error *err)
{
	static const char what[] = "store positions";
	enum wm_status status = wm_state_run(s, wm_state_stmt(s, WM_STMT_BEGIN), what, err);

	if (status != WM_OK)
		return status;
	for (size_t i = 0; i < n && status == WM_OK; i++)
		status = put_one(s, source, &list[i], err);
	if (status == WM_OK) {
		sqlite3_stmt *stmt = wm_state_stmt(s, WM_STMT_SOURCE_ACK);

		wm_state_bind_text(stmt, 1, source);
		sqlite3_bind_int64(stmt, 2, (int64_t)acked);
		status = wm_state_run(s, stmt, what, err);
	}
	if (status == WM_OK && sqlite3_changes(s->db) == 0)
		status = wm_fail(err, WM_FATAL, "state file \"%s\" has no record of source \"%s\"", s->path, source);
	WM_FAULT(state_progress_before);
	status = wm_state_finish(s, status, what, err);
	WM_FAULT(state_progress_stored);
	return status;
}

enum wm_status
wm_state_progress(struct wm_state *s, const char *source, wm_lsn acked, const struct wm_reached *list, size_t n,
    struct wm_error *err)
{
	enum wm_status status;

	wm_state_begin(s, WM_STMT_SOURCE_ACK);
	status = put_all(s, source, acked, list, n, err);
	wm_state_end(s);
	return status;
}
