/* SPDX-License-Identifier: PostgreSQL */
/*
 * stream.h - transactions that the server streams before they have committed.
 *
 * Each is kept in a file without a name, which is gone with the session whatever happens: the server sends again what
 * was not acknowledged.  What was rolled back is left out.  Messages: PostgreSQL documentation, "Logical Replication
 * Message Formats", protocol version 2.
 */
#ifndef WM_STREAM_H
#define WM_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "relations.h"
#include "spool.h"
#include "walmill/error.h"
#include "walmill/lsn.h"
#include "walmill/reader.h"

struct wm_open;

struct wm_streams {
	struct wm_open	*open;		/* hash, by xid */
	struct wm_open	*current;	/* between stream start and stream stop */
	struct wm_relations *sent;	/* what counts outside of streams; borrowed */
};

/* Whether what comes now belongs to a stream. */
bool wm_streams_inside(const struct wm_streams *s);
/* Takes a stream's start, stop or abort, or a message within one; r stands behind the tag. */
enum wm_status wm_streams_take(struct wm_streams *s, struct wm_spools *all, wm_lsn lsn, uint8_t tag,
    struct wm_reader *r, struct wm_error *err);
/*
 * The transaction is complete, and the caller's from now on; what: the message that says so.  What it has described
 * counts: servers of version 15 do not send it again, also behind a prepare, and others do.
 */
enum wm_status wm_streams_end(struct wm_streams *s, struct wm_spools *all, const char *what, uint32_t xid,
    struct wm_spool **ret, struct wm_error *err);
/* Drops it, if it is there. */
void wm_streams_forget(struct wm_streams *s, struct wm_spools *all, uint32_t xid);
void wm_streams_free(struct wm_streams *s, struct wm_spools *all);

#endif
