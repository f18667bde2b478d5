/* SPDX-License-Identifier: PostgreSQL */
/*
 * stream.h - transactions that the server streams before they have committed.
 *
 * Each is kept in a file without a name, which is gone with the session whatever happens: the server sends again what
 * was not acknowledged.  When it commits it goes into the journal as one that came whole would, so that nobody behind
 * the receiver knows of streams; what was rolled back is left out.  Messages: PostgreSQL documentation, "Logical
 * Replication Message Formats", protocol version 2.
 */
#ifndef WM_STREAM_H
#define WM_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "walmill/error.h"
#include "walmill/journal.h"
#include "walmill/lsn.h"

struct wm_streams;

/* Of a session; folder is where the files are, and is borrowed; they hold at most max_bytes. */
enum wm_status wm_streams_create(const char *folder, uint64_t max_bytes, struct wm_streams **ret, struct wm_error *err);
void wm_streams_destroy(struct wm_streams *s);		/* NULL is a no-op */

/*
 * Takes a message that belongs to a stream; *ret_taken false: it does not, and is the journal's.  lsn: of the message.
 * WM_RETRY: the file could not be written.
 */
enum wm_status wm_streams_take(struct wm_streams *s, wm_lsn lsn, const uint8_t *msg, size_t len, bool *ret_taken,
    struct wm_error *err);

/* Whether a file could not be made, written or read, or the bound was reached. */
bool wm_streams_failed(const struct wm_streams *s);

/* Whether there is any transaction here that has not ended, or is on its way into the journal. */
bool wm_streams_open(const struct wm_streams *s);
/* Whether a transaction has committed and is on its way into the journal: nothing else may go there meanwhile. */
bool wm_streams_committing(const struct wm_streams *s);
/* The next slice of it; *ret_changes: how many changes that were.  WM_RETRY with *ret_full: the journal has no room. */
enum wm_status wm_streams_commit_some(struct wm_streams *s, struct wm_journal *journal, uint64_t *ret_changes,
    bool *ret_full, struct wm_error *err);

#endif
