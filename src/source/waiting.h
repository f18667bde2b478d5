/* SPDX-License-Identifier: PostgreSQL */
/*
 * waiting.h - transactions that the journal has to wait for: those that are streamed before they have ended, and those
 * that are prepared.
 *
 * They are kept in files.  When one commits it goes into the journal as one that came whole would, so that nobody behind
 * the receiver knows of them; what was rolled back never gets there.
 */
#ifndef WM_WAITING_H
#define WM_WAITING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "walmill/error.h"
#include "walmill/journal.h"
#include "walmill/lsn.h"

struct wm_waiting;

struct wm_waiting_options {		/* all borrowed */
	const char	*folder;	/* of files without a name */
	const char	*prepared;	/* of those that outlive the session, in the same file system; made when needed */
	const char	*identity;	/* of the slot: files of another one are void */
	uint64_t	 max_bytes;	/* bound of all files */
	wm_lsn		 start;		/* where the session goes on */
	struct wm_journal *journal;
};

/* Of a session. */
enum wm_status wm_waiting_create(
    const struct wm_waiting_options *options, struct wm_waiting **ret, struct wm_error *err);
void wm_waiting_destroy(struct wm_waiting *w);		/* NULL is a no-op */

/*
 * Takes a message that has to wait, or says what becomes of one that does; *ret_taken false: it is the journal's.
 * lsn: of the message.  WM_RETRY: a file could not be written.
 */
enum wm_status wm_waiting_take(struct wm_waiting *w, wm_lsn lsn, const uint8_t *msg, size_t len, bool *ret_taken,
    struct wm_error *err);
/* Moves a message that was not taken into the journal (wm_journal_move).  WM_RETRY with *ret_full: it has no room. */
enum wm_status wm_waiting_append(struct wm_waiting *w, wm_lsn lsn, void *msg, size_t len, bool *ret_full,
    struct wm_error *err);

/* Whether a transaction has committed and is on its way into the journal: nothing else may go there meanwhile. */
bool wm_waiting_committing(const struct wm_waiting *w);
/* The next slice of it; *ret_changes: how many changes that were.  WM_RETRY with *ret_full: the journal has no room. */
enum wm_status wm_waiting_commit_some(struct wm_waiting *w, uint64_t *ret_changes, bool *ret_full,
    struct wm_error *err);

/* Whether a transaction is open or coming in, or on its way into the journal: a new session would bring it again. */
bool wm_waiting_any(const struct wm_waiting *w);
/* Whether a prepared transaction is coming in: a position says nothing about what we have. */
bool wm_waiting_inside(const struct wm_waiting *w);
/* Whether the position may not move past what came, before wm_waiting_sync. */
bool wm_waiting_unsynced(const struct wm_waiting *w);
enum wm_status wm_waiting_sync(struct wm_waiting *w, struct wm_error *err);
/* Before and after the server is told a position. */
enum wm_status wm_waiting_settle(struct wm_waiting *w, struct wm_error *err);
enum wm_status wm_waiting_passed(struct wm_waiting *w, wm_lsn lsn, struct wm_error *err);

/* How many prepared transactions are kept, and the bytes of all files. */
size_t wm_waiting_prepared(const struct wm_waiting *w);
uint64_t wm_waiting_bytes(const struct wm_waiting *w);
/* Whether a file could not be made, written or read, or the bound was reached. */
bool wm_waiting_failed(const struct wm_waiting *w);

#endif
