/* SPDX-License-Identifier: PostgreSQL */
/*
 * sources.c - what is known of each source: identity, slot, positions, and the mask key.
 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "walmill/fault.h"

enum wm_status
wm_state_source_get(struct wm_state *s, const char *source, struct wm_source_record *ret, bool *ret_found,
    struct wm_error *err)
{
	sqlite3_stmt *stmt = wm_state_begin(s, WM_STMT_SOURCE_GET);
	enum wm_status status;
	bool found = false;

	wm_state_bind_text(stmt, 1, source);
	status = wm_state_step(s, stmt, "read a source's record", &found, err);
	if (status == WM_OK) {
		*ret_found = found;
		memset(ret, 0, sizeof(*ret));
	}
	if (status == WM_OK && found) {
		snprintf(ret->system_id, sizeof(ret->system_id), "%s", wm_state_text(stmt, 0));
		ret->timeline = (uint32_t)sqlite3_column_int64(stmt, 1);
		snprintf(ret->slot, sizeof(ret->slot), "%s", wm_state_text(stmt, 2));
		snprintf(ret->publication, sizeof(ret->publication), "%s", wm_state_text(stmt, 3));
		ret->slot_made = sqlite3_column_int(stmt, 4) != 0;
		ret->consistent_lsn = (wm_lsn)sqlite3_column_int64(stmt, 5);
		ret->acked_lsn = (wm_lsn)sqlite3_column_int64(stmt, 6);
		ret->reseeding = sqlite3_column_int(stmt, 7) != 0;
	}
	wm_state_end(s);
	return status;
}

/* The mutex is held. */
static enum wm_status
put_record(struct wm_state *s, const char *source, const struct wm_source_record *rec, struct wm_error *err)
{
	sqlite3_stmt *stmt = wm_state_stmt(s, WM_STMT_SOURCE_PUT);

	wm_state_bind_text(stmt, 1, source);
	wm_state_bind_text(stmt, 2, rec->system_id);
	sqlite3_bind_int64(stmt, 3, rec->timeline);
	wm_state_bind_text(stmt, 4, rec->slot);
	wm_state_bind_text(stmt, 5, rec->publication);
	sqlite3_bind_int(stmt, 6, rec->slot_made);
	sqlite3_bind_int64(stmt, 7, (int64_t)rec->consistent_lsn);
	sqlite3_bind_int64(stmt, 8, (int64_t)rec->acked_lsn);
	sqlite3_bind_int(stmt, 9, rec->reseeding);
	return wm_state_run(s, stmt, "store a source's record", err);
}

enum wm_status
wm_state_source_put(struct wm_state *s, const char *source, const struct wm_source_record *rec, struct wm_error *err)
{
	enum wm_status status;

	wm_state_begin(s, WM_STMT_SOURCE_PUT);
	WM_FAULT(state_source_before);
	status = put_record(s, source, rec, err);
	WM_FAULT(state_source_stored);
	wm_state_end(s);
	return status;
}

enum wm_status
wm_state_source_seeded(struct wm_state *s, const char *source, struct wm_error *err)
{
	sqlite3_stmt *stmt = wm_state_begin(s, WM_STMT_SOURCE_SEEDED);
	enum wm_status status;

	wm_state_bind_text(stmt, 1, source);
	WM_FAULT(state_seeded_before);
	status = wm_state_run(s, stmt, "note that a source is seeded", err);
	WM_FAULT(state_seeded);
	wm_state_end(s);
	return status;
}

/*
 * Runs steps, each with name as its only value, and stores the record (NULL: none) in one transaction; the mutex is
 * held.
 */
static enum wm_status
run_all(struct wm_state *s, const enum wm_state_stmt *steps, size_t n, const char *name,
    const struct wm_source_record *rec, const char *what, struct wm_error *err)
{
	enum wm_status status = wm_state_run(s, wm_state_stmt(s, WM_STMT_BEGIN), what, err);

	if (status != WM_OK)
		return status;
	for (size_t i = 0; i < n && status == WM_OK; i++) {
		sqlite3_stmt *stmt = wm_state_stmt(s, steps[i]);

		wm_state_bind_text(stmt, 1, name);
		status = wm_state_run(s, stmt, what, err);
	}
	if (status == WM_OK && rec != NULL)
		status = put_record(s, name, rec, err);
	WM_FAULT(state_forget_before);
	status = wm_state_finish(s, status, what, err);
	WM_FAULT(state_forgotten);
	return status;
}

enum wm_status
wm_state_source_delete(struct wm_state *s, const char *source, struct wm_error *err)
{
	static const enum wm_state_stmt steps[] = {
		WM_STMT_SOURCE_DELETE, WM_STMT_SOURCE_DELETE_REACHED, WM_STMT_SOURCE_DELETE_BOOKMARKS,
		WM_STMT_GAPS_CLEAR,
	};
	enum wm_status status;

	wm_state_begin(s, WM_STMT_BEGIN);
	status = run_all(s, steps, WM_ARRAY_SIZE(steps), source, NULL, "forget a source", err);
	wm_state_end(s);
	return status;
}

enum wm_status
wm_state_source_begin_again(struct wm_state *s, const char *source, const struct wm_source_record *rec,
    struct wm_error *err)
{
	static const enum wm_state_stmt steps[] = { WM_STMT_SOURCE_DELETE_REACHED, WM_STMT_GAPS_CLEAR };
	enum wm_status status;

	wm_state_begin(s, WM_STMT_BEGIN);
	status = run_all(s, steps, WM_ARRAY_SIZE(steps), source, rec, "begin again with a source", err);
	wm_state_end(s);
	return status;
}

/* The mutex is held. */
static enum wm_status
mask_key_read(struct wm_state *s, uint8_t ret[32], bool *ret_found, struct wm_error *err)
{
	sqlite3_stmt *stmt = wm_state_stmt(s, WM_STMT_MASK_KEY_GET);
	bool found = false;
	enum wm_status status = wm_state_step(s, stmt, "read the mask key", &found, err);

	if (status != WM_OK)
		return status;
	if (found && sqlite3_column_bytes(stmt, 0) != 32)
		return wm_fail(err, WM_OPERATOR, "state file \"%s\" holds a mask key of %d bytes, 32 are needed; "
		    "put a backup of the state folder back", s->path, sqlite3_column_bytes(stmt, 0));
	if (found)
		memcpy(ret, sqlite3_column_blob(stmt, 0), 32);
	*ret_found = found;
	return WM_OK;
}

static enum wm_status
mask_key_make(struct wm_state *s, uint8_t ret[32], struct wm_error *err)
{
	sqlite3_stmt *stmt = wm_state_stmt(s, WM_STMT_MASK_KEY_PUT);
	uint8_t key[32];
	enum wm_status status;

	if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
		return wm_fail(err, WM_FATAL, "could not get random bytes for the mask key: %s", strerror(errno));
	sqlite3_bind_blob(stmt, 1, key, sizeof(key), SQLITE_STATIC);
	if ((status = wm_state_run(s, stmt, "store the mask key", err)) == WM_OK)
		memcpy(ret, key, sizeof(key));
	WM_FAULT(state_mask_key_stored);
	return status;
}

enum wm_status
wm_state_mask_key(struct wm_state *s, uint8_t ret[32], struct wm_error *err)
{
	enum wm_status status;
	bool found = false;

	wm_state_begin(s, WM_STMT_MASK_KEY_GET);
	status = mask_key_read(s, ret, &found, err);
	if (status == WM_OK && !found)
		status = mask_key_make(s, ret, err);
	wm_state_end(s);
	return status;
}
