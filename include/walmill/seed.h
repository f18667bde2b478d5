/* SPDX-License-Identifier: PostgreSQL */
/*
 * seed.h - reading rows at the source: ranges of a table by COPY, and single rows by key.
 *
 * A range is a run of blocks of one leaf table (ctid ranges, PostgreSQL 14 and later), so a
 * table can be read in finished batches and by several connections at once.
 */
#ifndef WM_SEED_H
#define WM_SEED_H

#include <stdbool.h>
#include <stdint.h>

#include "walmill/arena.h"
#include "walmill/buf.h"
#include "walmill/error.h"
#include "walmill/model.h"
#include "walmill/pg.h"

#define WM_SEED_TO_END UINT32_MAX

/*
 * Opens a read-only transaction whose snapshot is the exported one, or, with NULL, its own.
 * *ret_visible (malloc'd, or not wanted: NULL) is pg_current_snapshot() of it: "xmin:xmax:xip,...".
 */
enum wm_status wm_seed_begin(
    struct wm_pg *c, const char *snapshot, char **ret_visible, struct wm_error *err) WM_MUST_CHECK;
enum wm_status wm_seed_end(struct wm_pg *c, struct wm_error *err) WM_MUST_CHECK;

/* Called for each row; the tuple is in rel's column order (columns not needed are NULL) and valid for the call. */
typedef enum wm_status wm_seed_row_fn(void *arg, const struct wm_tuple *row, struct wm_error *err);

struct wm_seed_range {
	const struct wm_relation *rel;
	const bool		*needed;	/* rel->ncolumns flags */
	const char		*schema, *name;	/* of the leaf */
	uint32_t		 from, to;	/* blocks, to excluded; WM_SEED_TO_END: to the table's end */
	const char		*constant;	/* an expression that follows the columns, to be passed; or NULL */
};

/*
 * Reads a range in the open transaction of c.  *ret_rows is what the server says it sent; a
 * difference from what arrived is WM_RETRY.  A status other than WM_OK from fn ends the read and is
 * returned; the connection is then of no further use.
 */
enum wm_status wm_seed_copy(struct wm_pg *c, const struct wm_seed_range *range, wm_seed_row_fn *fn, void *arg,
    uint64_t *ret_rows, struct wm_error *err) WM_MUST_CHECK;
/* ---- a range as bytes, for another PostgreSQL server ---- */

/* Called for each row, in the binary form of COPY. */
typedef void wm_seed_passed_fn(void *arg, const char *row, size_t len);

struct wm_seed_pass {
	struct wm_pg		*c;
	struct wm_seed_range	 range;
	wm_seed_passed_fn	*fn;		/* or NULL */
	void			*arg;
	bool			 begun, ended;
	bool			 waits;		/* the message at hand is to be handed over */
	char			*row;		/* the message at hand; libpq's */
	size_t			 len;
	uint64_t		 messages, rows;
	struct wm_buf		 buf;
};

/*
 * WM_REJECT: the columns' types are not those of rel (any more), or the role may not read the table.  range is copied,
 * what it points to is not.  The end is called whatever this returned.
 */
enum wm_status wm_seed_pass_begin(struct wm_pg *c, const struct wm_seed_range *range, wm_seed_passed_fn *fn, void *arg,
    struct wm_seed_pass *ret, struct wm_error *err) WM_MUST_CHECK;
/* The next piece, valid until the next call; *ret_len 0: the end, with as many rows as the server says it sent. */
enum wm_status wm_seed_pass_next(struct wm_seed_pass *p, const char **ret, size_t *ret_len, struct wm_error *err)
    WM_MUST_CHECK;
void wm_seed_pass_end(struct wm_seed_pass *p);

/*
 * What a read that failed in c means: that the role may not read the table concerns those who read it, not the
 * source, so it is WM_REJECT, with the remedy.  All else stays as it is.
 */
enum wm_status wm_seed_failed(struct wm_pg *c, const char *schema, const char *name, struct wm_error *err);
/* Whether the leaf has any row in the open transaction's snapshot. */
enum wm_status wm_seed_has_rows(struct wm_pg *c, const char *schema, const char *name, bool *ret, struct wm_error *err)
    WM_MUST_CHECK;

/*
 * WM_RETRY (code WM_SEED_REWRITTEN) when the leaf was rewritten or truncated after the open transaction's
 * snapshot: what was read then is not what the snapshot should have seen, for PostgreSQL's rewrites keep no
 * older versions of rows.  Holds for the rest of the transaction once the leaf has been read in it.
 */
#define WM_SEED_REWRITTEN "rewritten"
enum wm_status wm_seed_check_rewrite(struct wm_pg *c, uint32_t oid, struct wm_error *err) WM_MUST_CHECK;

/*
 * Reads one row by key (values of rel's columns keys[0..nkeys)) as it is now.  The tuple lives
 * in arena.  *ret_found false: no such row.
 */
enum wm_status wm_seed_read_row(struct wm_pg *c, const struct wm_relation *rel, const bool *needed,
    const unsigned *keys, unsigned nkeys, const struct wm_tuple *key, struct wm_arena *arena, struct wm_tuple *ret,
    bool *ret_found, struct wm_error *err) WM_MUST_CHECK;

/* Whether a transaction (32-bit id as the stream has it) is visible in a "xmin:xmax:xip,..." snapshot. */
bool wm_snapshot_sees(const char *visible, uint32_t xid);

#endif
