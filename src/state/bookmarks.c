/* SPDX-License-Identifier: PostgreSQL */
/*
 * bookmarks.c - the bookmarks of targets that cannot commit their own with the data.
 */
#include "internal.h"

enum wm_status
wm_state_bookmarks_load(struct wm_state *s, const char *target, const char *source, wm_bookmark_fn *fn, void *arg,
    struct wm_error *err)
{
	sqlite3_stmt *stmt = wm_state_begin(s, WM_STMT_BOOKMARKS_LOAD);
	enum wm_status status;
	bool row = false;

	wm_state_bind_text(stmt, 1, target);
	wm_state_bind_text(stmt, 2, source);
	while ((status = wm_state_step(s, stmt, "read bookmarks", &row, err)) == WM_OK && row)
		fn(arg, wm_state_text(stmt, 0), wm_state_text(stmt, 1));
	wm_state_end(s);
	return status;
}

/* The mutex is held and a transaction is open. */
static enum wm_status
store_one(struct wm_state *s, const char *target, const struct wm_bookmark *b, struct wm_error *err)
{
	sqlite3_stmt *stmt = wm_state_stmt(s, b->value == NULL ? WM_STMT_BOOKMARK_DELETE : WM_STMT_BOOKMARK_PUT);

	sqlite3_reset(stmt);
	wm_state_bind_text(stmt, 1, target);
	wm_state_bind_text(stmt, 2, b->source);
	wm_state_bind_text(stmt, 3, b->name);
	if (b->value != NULL)
		wm_state_bind_text(stmt, 4, b->value);
	return wm_state_run(s, stmt, "store a bookmark", err);
}

enum wm_status
wm_state_bookmarks_store(struct wm_state *s, const char *target, const struct wm_bookmark *list, size_t n,
    struct wm_error *err)
{
	enum wm_status status;

	status = wm_state_run(s, wm_state_begin(s, WM_STMT_BEGIN), "store bookmarks", err);
	if (status != WM_OK) {
		wm_state_end(s);
		return status;
	}
	for (size_t i = 0; i < n && status == WM_OK; i++)
		status = store_one(s, target, &list[i], err);
	status = wm_state_finish(s, status, "store bookmarks", err);
	wm_state_end(s);
	return status;
}
