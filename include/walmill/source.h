/* SPDX-License-Identifier: PostgreSQL */
/*
 * source.h - one streaming session with a PostgreSQL walsender.
 *
 * The receiver looks at message kinds, transaction boundaries and positions only and hands the
 * bytes to the journal as they came.  It never waits for a target, and it sends feedback from
 * its own timer whatever happens.  Protocol: PostgreSQL documentation, "Streaming Replication
 * Protocol".
 */
#ifndef WM_SOURCE_H
#define WM_SOURCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "walmill/clock.h"
#include "walmill/error.h"
#include "walmill/journal.h"
#include "walmill/lsn.h"
#include "walmill/pg.h"

/* Counters and requests shared with other threads; they outlive sessions. */
struct wm_receiver_shared {
	atomic_uint_fast64_t	received;	/* end of the last message taken, LSN */
	atomic_uint_fast64_t	server;		/* the server's WAL end as it last said, LSN */
	atomic_uint_fast64_t	acknowledged;	/* last flush position sent, LSN */
	atomic_uint_fast64_t	transactions, changes;
	atomic_int_fast64_t	alive;		/* wm_clock_mono of the loop's last turn */
	atomic_uint_fast64_t	wanted;		/* ask the server for progress until this position is reached */
	atomic_int_fast64_t	moved;		/* wm_clock_mono: the stream last came further, or was not listened to */
	atomic_uint_fast64_t	prepared;	/* transactions that are prepared and kept */
	atomic_uint_fast64_t	waiting_bytes;	/* files of transactions that wait for their end */
	atomic_bool		ask;		/* ask the server once how far it is */
	atomic_bool		stop;		/* end the session cleanly */
	atomic_bool		resend;		/* end the session; the next one starts at the committed position */
	atomic_bool		no_streams;	/* files of open transactions failed: the server keeps them from now on */
	atomic_bool		renew;		/* end the session; the next one goes on where it ended */
	atomic_uint_fast64_t	sessions;	/* how many have begun */
	int			wake_fd;	/* eventfd: look at the flags above */
};

struct wm_receiver {
	const char	*slot, *publication;
	const char	*inserts;		/* second publication, or NULL */
	wm_lsn		 start;			/* where to go on; every earlier transaction is known */
	wm_usec		 silence;		/* longest time without a byte from the server */
	bool		 streams;		/* take large transactions before they have committed */
	bool		 two_phase;		/* have the slot send transactions when they are prepared, from PostgreSQL 15 on */
	const char	*folder;		/* for files of transactions that wait for their end */
	const char	*prepared;		/* for those of prepared ones, which outlive the process; made when needed */
	const char	*identity;		/* of the slot, in those files */
	uint64_t	 max_bytes;		/* bound of these files */
	struct wm_journal *journal;
	struct wm_receiver_shared *shared;
	/* Stores durably that lsn may be told, and how far targets are; called before the server is told. */
	enum wm_status (*store_progress)(void *arg, wm_lsn lsn, struct wm_error *err);
	/* The server has begun to stream. */
	void (*streaming)(void *arg);
	/* At each turn of the session; returns when (wm_clock_mono) it is to be called again at the latest. */
	wm_usec (*watch)(void *arg, wm_usec now);
	void		*arg;
};

/*
 * Streams on replication connection c until stop, resend or renew (WM_OK), or until something breaks:
 * WM_RETRY connect again, WM_FATAL the server said what no retry mends, WM_OPERATOR the slot is gone.
 * A reset record precedes the session's messages.
 */
enum wm_status wm_receiver_run(struct wm_pg *c, const struct wm_receiver *r, struct wm_error *err) WM_MUST_CHECK;

/* Deletes the files of prepared transactions that nobody has open; a folder that is not there is fine. */
enum wm_status wm_prepared_delete(const char *folder, struct wm_error *err) WM_MUST_CHECK;

#endif
