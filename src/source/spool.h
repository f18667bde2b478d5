/* SPDX-License-Identifier: PostgreSQL */
/*
 * spool.h - files with the messages of transactions that the journal has to wait for.
 *
 * A file has no name, and goes with the session, unless it is given one.  Room for a label is left in front of the
 * messages: what a file with a name is, is written there last.
 */
#ifndef WM_SPOOL_H
#define WM_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "walmill/buf.h"
#include "walmill/error.h"
#include "walmill/lsn.h"

#define WM_SPOOL_LABEL 512L		/* bytes in front of the messages */
#define WM_SPOOL_MESSAGE_MAX ((size_t)1 << 30)

struct wm_spools {			/* the files of one session */
	const char	*folder;	/* of those without a name; borrowed */
	uint64_t	 bytes, max_bytes;
	bool		 failed;	/* a file could not be made, written or read, or the bound was reached */
};

struct wm_spool {			/* one transaction's */
	FILE		*file;
	char		*path;		/* NULL: it has no name */
	uint32_t	 xid;
	bool		 prepared;	/* or it is open still: for messages */
	long		 end;		/* where the next message goes */
	uint64_t	 bytes;		/* of those that count against the bound */
};

enum wm_status wm_spool_new(struct wm_spools *all, uint32_t xid, struct wm_spool **ret, struct wm_error *err);
/* A file that has a name, whose messages count elsewhere; xid and end are the caller's.  *ret is NULL when there is none. */
enum wm_status wm_spool_open(struct wm_spools *all, const char *path, struct wm_spool **ret, struct wm_error *err);
void wm_spool_free(struct wm_spools *all, struct wm_spool *s);	/* NULL is a no-op */

enum wm_status wm_spool_add(struct wm_spools *all, struct wm_spool *s, wm_lsn lsn, uint8_t tag, const void *rest,
    size_t len, struct wm_error *err);
/* Reading begins with the first message. */
enum wm_status wm_spool_rewind(struct wm_spools *all, struct wm_spool *s, struct wm_error *err);
bool wm_spool_at_end(const struct wm_spool *s);
/* WM_OPERATOR: the file is damaged. */
enum wm_status wm_spool_read(struct wm_spools *all, struct wm_spool *s, wm_lsn *ret_lsn, struct wm_buf *ret,
    struct wm_error *err);
/* What stands behind place goes, but for descriptions of relations. */
enum wm_status wm_spool_cut(struct wm_spools *all, struct wm_spool *s, long place, struct wm_error *err);
enum wm_status wm_spool_failed(struct wm_spools *all, const struct wm_spool *s, const char *what, struct wm_error *err);

#endif
