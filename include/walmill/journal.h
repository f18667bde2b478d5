/* SPDX-License-Identifier: PostgreSQL */
/*
 * journal.h - the append-only log of raw messages between a source and its readers.
 *
 * One writer (the receiver), any number of readers (a worker each), every reader with its own
 * position.  Messages are pgoutput messages as they came.  The log is cut into segments; each
 * begins with the relation messages in force, so that a reader can start in the middle.
 *
 * This version keeps segments in memory: a segment goes when every reader has released it.
 * A reader may release what it has written but not yet committed (a transaction larger than
 * the log); it can then no longer rewind there, and the source must send it again.
 */
#ifndef WM_JOURNAL_H
#define WM_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "walmill/clock.h"
#include "walmill/error.h"
#include "walmill/lsn.h"

struct wm_journal;
struct wm_journal_reader;

enum wm_record_kind {
	WM_RECORD_MESSAGE,	/* a pgoutput message */
	WM_RECORD_IDLE,		/* nothing is pending up to lsn: the position may move there */
	WM_RECORD_RESET,	/* a new session of the source: a transaction open here never ends, relations are void */
};

struct wm_record {
	enum wm_record_kind	 kind;
	wm_lsn			 lsn;		/* idle: position; message: its wire LSN, for messages only */
	const void		*data;		/* message; valid until the reader releases it */
	size_t			 len;
	bool			 restarted;	/* reset: unread records were dropped, the source sends them again */
};

/* max_bytes bounds what is kept; it is at least one segment and one message. */
enum wm_status wm_journal_create(size_t max_bytes, struct wm_journal **ret, struct wm_error *err) WM_MUST_CHECK;
void wm_journal_destroy(struct wm_journal *j);		/* no reader may be left; NULL is a no-op */

/* ---- writer ---- */

/* Copies the message.  WM_RETRY: full; wait with wm_journal_wait_space. Not visible before publish. */
enum wm_status wm_journal_append(struct wm_journal *j, enum wm_record_kind kind, wm_lsn lsn, const void *data,
    size_t len, struct wm_error *err) WM_MUST_CHECK;
/* Shows what was appended to the readers and wakes those that wait. */
void wm_journal_publish(struct wm_journal *j);
/* An eventfd that turns readable when room was made after WM_RETRY; the writer polls it and reads it. */
int wm_journal_space_fd(const struct wm_journal *j);
/* The end LSN of the last transaction that was appended whole, or of a later idle record: where a new session goes on. */
wm_lsn wm_journal_complete_lsn(const struct wm_journal *j);
/* Forgets every record (readers see a reset next); complete_lsn becomes lsn. */
enum wm_status wm_journal_restart(struct wm_journal *j, wm_lsn lsn, struct wm_error *err) WM_MUST_CHECK;
/*
 * The position that every reader has committed; 0 without readers.  Nothing else computes what
 * the source may be told.
 */
wm_lsn wm_journal_committed_lsn(const struct wm_journal *j);
/* Bytes kept now. */
size_t wm_journal_bytes(const struct wm_journal *j);

/* ---- readers ---- */

/* Starts at the oldest record kept; committed is what the reader's target already has. */
enum wm_status wm_journal_reader_open(struct wm_journal *j, wm_lsn committed, struct wm_journal_reader **ret,
    struct wm_error *err) WM_MUST_CHECK;
void wm_journal_reader_close(struct wm_journal_reader *r);	/* NULL is a no-op */
/* False: nothing more now. */
bool wm_journal_read(struct wm_journal_reader *r, struct wm_record *ret);
/* Waits for more, a wake or the time-out (microseconds); true when there is more. */
bool wm_journal_wait(struct wm_journal_reader *r, wm_usec timeout);
void wm_journal_wake(struct wm_journal_reader *r);		/* any thread: ends a wait */
/* The bytes of everything read so far are not used any more. */
void wm_journal_release(struct wm_journal_reader *r);
/* Everything up to lsn is durable at the target; lsn never moves back. */
void wm_journal_commit(struct wm_journal_reader *r, wm_lsn lsn);
/*
 * Goes back to where the next unread record is the first one not committed at the last
 * wm_journal_mark; relation messages in force there come first.  False when those bytes were released: the
 * source has to send them again.
 */
bool wm_journal_rewind(struct wm_journal_reader *r);
/* The next record read is the first that a rewind goes back to (call when a commit has succeeded). */
void wm_journal_mark(struct wm_journal_reader *r);

#endif
