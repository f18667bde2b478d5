/* SPDX-License-Identifier: PostgreSQL */
/*
 * prepared.h - transactions that are prepared at the source (PREPARE TRANSACTION), until they are committed or rolled
 * back.
 *
 * The server sends such a transaction once, when it is prepared: what has been acknowledged since then is here and
 * nowhere else.  A file is given its name when all of it is durable, and loses it when the commit's position has been
 * acknowledged.  Messages: PostgreSQL documentation, "Logical Replication Message Formats", protocol version 3.
 */
#ifndef WM_PREPARED_H
#define WM_PREPARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relations.h"
#include "spool.h"
#include "walmill/error.h"
#include "walmill/lsn.h"
#include "walmill/reader.h"

#define WM_GID_SIZE 200		/* of PostgreSQL */
#define WM_PREPARE_SKIP (1 + 3 * 8)	/* flags, unused; position, end and time, of prepare and stream prepare */

struct wm_prepared;

struct wm_prepareds {
	const char		*folder;	/* of the files with a name; borrowed */
	const char		*identity;	/* of the slot whose they are; borrowed */
	struct wm_prepared	*list;		/* hash, by xid */
	size_t			 unsynced;	/* how many have no name yet */
	size_t			 committed;	/* how many are in the journal, and not acknowledged */
	bool			 renamed;	/* names have changed, which is not durable yet */
	/* Between begin prepare and prepare. */
	struct wm_spool		*current;
	char			 gid[WM_GID_SIZE];
	uint64_t		 file;		/* its number, for descriptions */
};

/* What was kept before; start: where the session goes on.  WM_OPERATOR: a file is damaged. */
enum wm_status wm_prepared_load(struct wm_prepareds *p, struct wm_spools *all, wm_lsn start, struct wm_error *err);
/* Those without a name are gone. */
void wm_prepared_free(struct wm_prepareds *p, struct wm_spools *all);
/* How many wait for their end. */
size_t wm_prepared_count(const struct wm_prepareds *p);

/* Which transaction a message is about, as the server and as the application call it; false: malformed. */
bool wm_prepared_read_names(struct wm_reader *r, size_t skip, uint32_t *ret_xid, const char **ret_gid);
/* Each takes a message; r stands behind the tag. */
enum wm_status wm_prepared_begin(struct wm_prepareds *p, struct wm_spools *all, struct wm_reader *r,
    struct wm_error *err);
enum wm_status wm_prepared_message(struct wm_prepareds *p, struct wm_spools *all, struct wm_relations *sent, wm_lsn lsn,
    const uint8_t *msg, size_t len, struct wm_error *err);
enum wm_status wm_prepared_end(
    struct wm_prepareds *p, struct wm_spools *all, struct wm_reader *r, struct wm_error *err);
enum wm_status wm_prepared_rollback(struct wm_prepareds *p, struct wm_spools *all, struct wm_reader *r,
    uint32_t *ret_xid, struct wm_error *err);

/* A transaction that came as a stream; takes the spool over. */
enum wm_status wm_prepared_adopt(struct wm_prepareds *p, struct wm_spools *all, struct wm_spool *spool, const char *gid,
    struct wm_error *err);
/* It is committed; *ret is the caller's, NULL when there is none such. */
enum wm_status wm_prepared_commit(struct wm_prepareds *p, struct wm_spools *all, uint32_t xid, const char *gid,
    wm_lsn end, struct wm_spool **ret, struct wm_error *err);

/* All that are complete are durable: the position may move past them. */
enum wm_status wm_prepared_sync(struct wm_prepareds *p, struct wm_spools *all, struct wm_error *err);
/* Before a position is told: names that are gone do not come back in a power loss. */
enum wm_status wm_prepared_settle(struct wm_prepareds *p, struct wm_error *err);
/* The position has been told: commits up to there do not come again. */
enum wm_status wm_prepared_passed(struct wm_prepareds *p, struct wm_spools *all, wm_lsn lsn, struct wm_error *err);

#endif
