/* SPDX-License-Identifier: PostgreSQL */
/*
 * internal.h - what the files of the state share: the database, its statements, the lock.
 *
 * Every statement is prepared once, when the state is opened, and is used only while the
 * mutex is held; wm_state_begin takes it, wm_state_end gives it back.
 */
#ifndef WM_STATE_INTERNAL_H
#define WM_STATE_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>

#include "walmill/state.h"

enum wm_state_stmt {
	WM_STMT_BEGIN,
	WM_STMT_COMMIT,
	WM_STMT_ROLLBACK,
	WM_STMT_SOURCE_GET,
	WM_STMT_SOURCE_PUT,
	WM_STMT_SOURCE_ACK,
	WM_STMT_SOURCE_SEEDED,
	WM_STMT_SOURCE_DELETE,
	WM_STMT_SOURCE_DELETE_REACHED,
	WM_STMT_SOURCE_DELETE_BOOKMARKS,
	WM_STMT_REACHED_GET,
	WM_STMT_REACHED_PUT,
	WM_STMT_REACHED_LIST,
	WM_STMT_REACHED_DELETE,
	WM_STMT_GAP_ADD,
	WM_STMT_GAPS_GET,
	WM_STMT_GAPS_CLEAR,
	WM_STMT_BOOKMARKS_LOAD,
	WM_STMT_BOOKMARK_PUT,
	WM_STMT_BOOKMARK_DELETE,
	WM_STMT_MASK_KEY_GET,
	WM_STMT_MASK_KEY_PUT,
	WM_STMT_LETTER_ADD,
	WM_STMT_LETTERS,
	WM_STMT_LETTER_GET,
	WM_STMT_LETTER_FIND,
	WM_STMT_LETTER_KEYS,
	WM_STMT_LETTER_COUNT,
	WM_STMT_LETTER_SUPERSEDE,
	WM_STMT_LETTER_DROP,
	WM_STMT_LETTER_DROP_VIEW,
	WM_STMT_LETTER_TRIED,
	WM_STMT_COUNT,
};

struct wm_state {
	pthread_mutex_t	 mutex;		/* guards everything below */
	sqlite3		*db;
	sqlite3_stmt	*stmts[WM_STMT_COUNT];
	char		*path;		/* of the database, for messages */
	int		 lock_fd;	/* -1: read-only */
};

/* What makes a file of each format from one of the format before, beginning with none. */
#define WM_STATE_FORMAT 4
extern const char *const wm_state_steps[WM_STATE_FORMAT];
enum wm_status wm_state_prepare(struct wm_state *s, struct wm_error *err) WM_MUST_CHECK;

/* Takes the mutex and returns the statement, reset and without values. */
sqlite3_stmt *wm_state_begin(struct wm_state *s, enum wm_state_stmt which);
/* Another statement while the mutex is held. */
sqlite3_stmt *wm_state_stmt(struct wm_state *s, enum wm_state_stmt which);
/* Resets every statement that was used, and gives the mutex back. */
void wm_state_end(struct wm_state *s);

/* NULL is stored as NULL; text lives until wm_state_end. */
void wm_state_bind_text(sqlite3_stmt *stmt, int at, const char *text);
/* "" for NULL; valid until the next step. */
const char *wm_state_text(sqlite3_stmt *stmt, int column);
/* Steps to the next row; WM_OK with *ret_row false at the end. */
enum wm_status wm_state_step(struct wm_state *s, sqlite3_stmt *stmt, const char *what, bool *ret_row,
    struct wm_error *err) WM_MUST_CHECK;
/* A statement without rows. */
enum wm_status wm_state_run(
    struct wm_state *s, sqlite3_stmt *stmt, const char *what, struct wm_error *err) WM_MUST_CHECK;
/* Ends the transaction that WM_STMT_BEGIN began: commits when status is WM_OK, else rolls back; returns what came of it. */
enum wm_status wm_state_finish(
    struct wm_state *s, enum wm_status status, const char *what, struct wm_error *err) WM_MUST_CHECK;
/* What SQLite said: status by its code. */
enum wm_status wm_state_fail(struct wm_state *s, const char *what, struct wm_error *err);

#endif
