/* SPDX-License-Identifier: PostgreSQL */
/*
 * gaps.c - tables that were outside the publication for a time.
 */
#include "internal.h"

#include <stdlib.h>

#include "walmill/fault.h"

/* The mutex is held. */
static enum wm_status
add_all(struct wm_state *s, const char *source, const uint32_t *oids, size_t n, struct wm_error *err)
{
	static const char what[] = "store a gap";
	sqlite3_stmt *stmt = wm_state_stmt(s, WM_STMT_GAP_ADD);
	enum wm_status status = wm_state_run(s, wm_state_stmt(s, WM_STMT_BEGIN), what, err);

	if (status != WM_OK)
		return status;
	wm_state_bind_text(stmt, 1, source);
	for (size_t i = 0; i < n && status == WM_OK; i++) {
		sqlite3_reset(stmt);
		sqlite3_bind_int64(stmt, 2, oids[i]);
		status = wm_state_run(s, stmt, what, err);
	}
	WM_FAULT(state_gaps_before);
	status = wm_state_finish(s, status, what, err);
	WM_FAULT(state_gaps_stored);
	return status;
}

enum wm_status
wm_state_gaps_add(struct wm_state *s, const char *source, const uint32_t *oids, size_t n, struct wm_error *err)
{
	enum wm_status status;

	wm_state_begin(s, WM_STMT_GAP_ADD);
	status = add_all(s, source, oids, n, err);
	wm_state_end(s);
	return status;
}

enum wm_status
wm_state_gaps_get(struct wm_state *s, const char *source, uint32_t **ret_oids, size_t *ret_n, struct wm_error *err)
{
	sqlite3_stmt *stmt = wm_state_begin(s, WM_STMT_GAPS_GET);
	uint32_t *oids = NULL;
	size_t n = 0;
	bool row = false;
	enum wm_status status;

	wm_state_bind_text(stmt, 1, source);
	while ((status = wm_state_step(s, stmt, "read the gaps", &row, err)) == WM_OK && row) {
		uint32_t *more = realloc(oids, (n + 1) * sizeof(*oids));

		if (more == NULL) {
			status = wm_oom(err, "the gaps");
			break;
		}
		oids = more;
		oids[n++] = (uint32_t)sqlite3_column_int64(stmt, 0);
	}
	wm_state_end(s);
	if (status != WM_OK) {
		free(oids);
		return status;
	}
	*ret_oids = oids;
	*ret_n = n;
	return WM_OK;
}

enum wm_status
wm_state_gaps_clear(struct wm_state *s, const char *source, struct wm_error *err)
{
	sqlite3_stmt *stmt = wm_state_begin(s, WM_STMT_GAPS_CLEAR);
	enum wm_status status;

	wm_state_bind_text(stmt, 1, source);
	status = wm_state_run(s, stmt, "forget the gaps", err);
	WM_FAULT(state_gaps_cleared);
	wm_state_end(s);
	return status;
}
