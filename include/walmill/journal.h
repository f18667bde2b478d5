/* SPDX-License-Identifier: PostgreSQL */
/*
 * journal.h - the append-only log of raw messages between a source and its readers.
 *
 * One writer (the receiver), any number of readers (a worker each), every reader with its own
 * position.  Messages are pgoutput messages as they came.  The log is cut into segments; each
 * begins with the relation messages in force, so that a reader can start in the middle.
 *
 * A journal in memory (`journal: off`) keeps a segment until every reader has released it.  A reader
 * may release what it has written but not yet committed (a transaction larger than the log); it can
 * then no longer rewind there, and the source must send it again.
 *
 * A durable journal also writes each segment to a file, by a thread of its own, and keeps it until
 * wm_journal_trim says that every target is past.  Memory is bounded in both; in a durable one readers
 * that lag read the files.
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

struct wm_journal_options {
	size_t		 memory;	/* bound of what is kept in memory, bytes; at least one segment and one message */
	const char	*folder;	/* of the files, made when missing; NULL: in memory only */
	uint64_t	 max_bytes;	/* bound of the files */
};

/*
 * Takes over what the folder holds; torn ends are cut off.  WM_OPERATOR: a file is missing or damaged.  WM_FATAL: the
 * folder cannot be used.
 */
enum wm_status wm_journal_open(const struct wm_journal_options *options, struct wm_journal **ret,
    struct wm_error *err) WM_MUST_CHECK;
/* Writes what was published first.  No reader may be left; NULL is a no-op. */
void wm_journal_close(struct wm_journal *j);
/* Deletes the files of a journal that nobody has open; a folder that is not there is fine. */
enum wm_status wm_journal_delete(const char *folder, struct wm_error *err) WM_MUST_CHECK;

struct wm_journal_state {		/* any thread, by wm_journal_look */
	uint64_t	bytes, max_bytes;	/* kept now, and the bound; a journal in memory has none */
	size_t		memory;
	bool		durable, full;
	struct wm_error	error;		/* status WM_OK: none; WM_RETRY: no space; WM_FATAL: failed */
};
void wm_journal_look(const struct wm_journal *j, struct wm_journal_state *ret);

/* ---- writer ---- */

/* Copies the message.  WM_RETRY: full; wait for wm_journal_space_fd.  Not visible before publish. */
enum wm_status wm_journal_append(struct wm_journal *j, enum wm_record_kind kind, wm_lsn lsn, const void *data,
    size_t len, struct wm_error *err) WM_MUST_CHECK;
/* The same for malloc'd memory of which, once it is there, only the first bytes count: a large one is not kept twice. */
enum wm_status wm_journal_move(struct wm_journal *j, enum wm_record_kind kind, wm_lsn lsn, void *data, size_t len,
    struct wm_error *err) WM_MUST_CHECK;
/* Shows what was appended to the readers and wakes those that wait. */
void wm_journal_publish(struct wm_journal *j);
/* WM_FATAL: the disk refused to write or sync, and nothing will be durable before wm_journal_mend. */
enum wm_status wm_journal_check(struct wm_journal *j, struct wm_error *err) WM_MUST_CHECK;
/*
 * Before a new session: after a failure of the disk begins a new file.  What was not durable is void, complete_lsn
 * goes back to before it, and the source sends it again.  Nothing to do: WM_OK.
 */
enum wm_status wm_journal_mend(struct wm_journal *j, struct wm_error *err) WM_MUST_CHECK;
/* An eventfd that turns readable when room was made after WM_RETRY; the writer polls it and reads it. */
int wm_journal_space_fd(const struct wm_journal *j);
/* The end LSN of the last transaction that was appended whole, or of a later idle record: where a new session goes on. */
wm_lsn wm_journal_complete_lsn(const struct wm_journal *j);
/* Forgets every record (readers see a reset next); complete_lsn becomes lsn. */
enum wm_status wm_journal_restart(struct wm_journal *j, wm_lsn lsn, struct wm_error *err) WM_MUST_CHECK;
/*
 * What the source may be told: what is durable here; of a journal in memory, what every reader has committed.
 * Nothing else computes it.
 */
wm_lsn wm_journal_flush_lsn(const struct wm_journal *j);
/* The position that every reader has committed; 0 without readers. */
wm_lsn wm_journal_committed_lsn(const struct wm_journal *j);
/* Transactions that end after this are here; earlier ones are not all. */
wm_lsn wm_journal_base_lsn(const struct wm_journal *j);
/* Durable: no target needs transactions that end up to lsn, and that is known to the state. */
void wm_journal_trim(struct wm_journal *j, wm_lsn lsn);

/* ---- readers ---- */

/* Starts at the oldest record kept; committed is what the reader's target already has. */
enum wm_status wm_journal_reader_open(struct wm_journal *j, wm_lsn committed, struct wm_journal_reader **ret,
    struct wm_error *err) WM_MUST_CHECK;
void wm_journal_reader_close(struct wm_journal_reader *r);	/* NULL is a no-op */
/* *ret_found false: nothing more now.  An error: a file cannot be read (WM_FATAL) or is damaged (WM_OPERATOR). */
enum wm_status wm_journal_read(struct wm_journal_reader *r, struct wm_record *ret, bool *ret_found,
    struct wm_error *err) WM_MUST_CHECK;
/* Waits for more, a wake or the time-out (microseconds); true when there is more. */
bool wm_journal_wait(struct wm_journal_reader *r, wm_usec timeout);
void wm_journal_wake(struct wm_journal_reader *r);		/* any thread: ends a wait */
/* The bytes of everything read so far are not used any more. */
void wm_journal_release(struct wm_journal_reader *r);
/*
 * For a reader that reads on while somebody else still uses the bytes of what was read so far: they stay until one of the
 * next three is called, and a restart of the journal is not followed.  One at a time; neither release nor mark meanwhile.
 */
void wm_journal_hold(struct wm_journal_reader *r);
void wm_journal_release_held(struct wm_journal_reader *r);	/* those bytes are not used any more */
void wm_journal_mark_held(struct wm_journal_reader *r);		/* that, and a mark as of then */
void wm_journal_forget_held(struct wm_journal_reader *r);	/* before a rewind or seek */
/* Everything up to lsn is durable at the target; lsn never moves back. */
void wm_journal_commit(struct wm_journal_reader *r, wm_lsn lsn);
wm_lsn wm_journal_reader_committed(const struct wm_journal_reader *r);	/* any thread */
/*
 * Goes on at some place from which every transaction that ends after lsn comes whole; a reset with `restarted` comes
 * first.  False: that is not kept; nothing has changed.
 */
bool wm_journal_seek(struct wm_journal_reader *r, wm_lsn lsn);
/*
 * Goes back to where the next unread record is the first one not committed at the last
 * wm_journal_mark; relation messages in force there come first.  False when those bytes were released: the
 * source has to send them again.
 */
bool wm_journal_rewind(struct wm_journal_reader *r);
/* The next record read is the first that a rewind goes back to (call when a commit has succeeded). */
void wm_journal_mark(struct wm_journal_reader *r);

#endif
