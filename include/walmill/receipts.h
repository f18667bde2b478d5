/* SPDX-License-Identifier: PostgreSQL */
/*
 * receipts.h - what was written where and when: one receipt for each commit of a target and rule.
 *
 * receipts.db in the state folder, mode 0600, bounded by age and size (docs/adr/0008).  It is not the truth of
 * anything: a receipt that is lost or cannot be written loses no row.  Thread-safe.
 */
#ifndef WM_RECEIPTS_H
#define WM_RECEIPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "walmill/clock.h"
#include "walmill/error.h"
#include "walmill/lsn.h"

struct wm_receipts;

struct wm_receipt {
	int64_t		 id;		/* given when it is added, ascending */
	wm_usec		 time;		/* wall clock; given when it is added */
	const char	*source, *target, *rule;
	const char	*origin;	/* "stream", "seed", "retry" (of dead letters) */
	wm_lsn		 first_lsn, last_lsn;	/* of the commits that the rows are from; 0: rows of a seed */
	int64_t		 rows, refused;	/* written; made dead letters */
	uint64_t	 checksum;	/* of the rows as they were written, in their order */
	const char	*answer;	/* what the target said; "" not yet */
	size_t		 nkeys;
	const uint64_t	*keys;		/* wm_receipt_key of each row: the sum over its key's columns */
};

/* Makes the file when it is missing.  Receipts older than keep, and the oldest beyond max_bytes, are removed. */
enum wm_status wm_receipts_open(const char *folder, wm_usec keep, uint64_t max_bytes, struct wm_receipts **ret,
    struct wm_error *err) WM_MUST_CHECK;
void wm_receipts_close(struct wm_receipts *r);		/* NULL is a no-op */
/*
 * Before the target's commit, in one transaction: what the target answered (or NULL) to the writer's receipts
 * of before, and new ones.  A writer is a number that no other of this or an earlier process has.
 */
enum wm_status wm_receipts_add(struct wm_receipts *r, int64_t writer, const char *answer,
    const struct wm_receipt *list, size_t n, struct wm_error *err) WM_MUST_CHECK;
/* Takes the writer's receipts without an answer out again. */
enum wm_status wm_receipts_forget(struct wm_receipts *r, int64_t writer, struct wm_error *err) WM_MUST_CHECK;
/*
 * Receipts that a crash left without an answer: those of the stream up to low were committed, those past high
 * were not and go; of the rest it is said that nobody knows.
 */
enum wm_status wm_receipts_recover(struct wm_receipts *r, const char *source, const char *target, wm_lsn low,
    wm_lsn high, struct wm_error *err) WM_MUST_CHECK;

struct wm_receipt_filter {
	const char	*rule;		/* NULL: any */
	bool		 by_key;
	uint64_t	 key;		/* the sum over the key's columns */
	int64_t		 after;		/* ids greater than this */
	int64_t		 limit;		/* 0: 100 */
};
typedef void wm_receipt_fn(void *arg, const struct wm_receipt *receipt);	/* without keys */
/* Oldest first, beside a daemon that writes; WM_REJECT when there is no file.  *ret_end: no more behind the last. */
enum wm_status wm_receipts_read(const char *folder, const struct wm_receipt_filter *filter, wm_receipt_fn *fn,
    void *arg, bool *ret_end, struct wm_error *err) WM_MUST_CHECK;
uint64_t wm_receipt_key(const char *column, const char *value, size_t len);

#endif
