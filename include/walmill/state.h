/* SPDX-License-Identifier: PostgreSQL */
/*
 * state.h - what walmill itself must remember: identities, acknowledged positions, dead letters,
 * and the bookmarks of targets that cannot keep their own.
 *
 * One SQLite file, walmill.db, in the state folder, mode 0600; every call is durable
 * (synchronous=full) when it returns.  Thread-safe.  A lock file keeps a second daemon out.
 */
#ifndef WM_STATE_H
#define WM_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "walmill/bookmark.h"
#include "walmill/clock.h"
#include "walmill/error.h"
#include "walmill/lsn.h"

struct wm_state;

/* Makes the folder (0700) and file when missing.  WM_FATAL: in use by another process (its pid), a newer format, not writable. */
enum wm_status wm_state_open(const char *folder, struct wm_state **ret, struct wm_error *err) WM_MUST_CHECK;
/* For commands beside a running daemon: reads only, takes no lock; WM_FATAL when there is none. */
enum wm_status wm_state_open_readonly(const char *folder, struct wm_state **ret, struct wm_error *err) WM_MUST_CHECK;
void wm_state_close(struct wm_state *s);		/* NULL is a no-op */
char *wm_state_folder(const struct wm_state *s);	/* malloc'd; NULL when memory is out */

/* ---- sources ---- */

struct wm_source_record {
	char		system_id[24];
	uint32_t	timeline;
	char		slot[64];
	char		publication[64];
	bool		slot_made;	/* by us; false while "about to make it" */
	bool		reseeding;	/* the slot before it was lost, and the seed that follows has not ended */
	wm_lsn		consistent_lsn;	/* the slot's first position */
	wm_lsn		acked_lsn;	/* stored before the server is told: its confirmed_flush_lsn is never past this */
};
/* *ret_found false when the source is new. */
enum wm_status wm_state_source_get(struct wm_state *s, const char *source,
    struct wm_source_record *ret, bool *ret_found, struct wm_error *err) WM_MUST_CHECK;
enum wm_status wm_state_source_put(struct wm_state *s, const char *source, const struct wm_source_record *rec,
    struct wm_error *err) WM_MUST_CHECK;
/* The same, and forgets how far its targets had come and its gaps: it begins again with another slot. */
enum wm_status wm_state_source_begin_again(struct wm_state *s, const char *source, const struct wm_source_record *rec,
    struct wm_error *err) WM_MUST_CHECK;
/* The record's `reseeding` is over. */
enum wm_status wm_state_source_seeded(struct wm_state *s, const char *source, struct wm_error *err) WM_MUST_CHECK;
enum wm_status wm_state_source_delete(struct wm_state *s, const char *source, struct wm_error *err) WM_MUST_CHECK;

/* ---- how far each target has come ---- */

struct wm_reached {
	const char	*target;
	wm_lsn		 stored;	/* what its own checkpoint covers: shows a target that was put back */
	wm_lsn		 passed;	/* it needs nothing up to here: shows a journal that does not reach back so far */
};
/* *ret_found false: the source never fed this target, or not since the configuration last had it.  ret->target is not set. */
enum wm_status wm_state_reached_get(struct wm_state *s, const char *source, const char *target, struct wm_reached *ret,
    bool *ret_found, struct wm_error *err) WM_MUST_CHECK;
enum wm_status wm_state_reached_put(struct wm_state *s, const char *source, const struct wm_reached *reached,
    struct wm_error *err) WM_MUST_CHECK;
/* Forgets the targets that are not in the list. */
enum wm_status wm_state_reached_keep(struct wm_state *s, const char *source, const char *const *targets, size_t n,
    struct wm_error *err) WM_MUST_CHECK;
/* What targets have reached, and what the source is told next, all or nothing. */
enum wm_status wm_state_progress(struct wm_state *s, const char *source, wm_lsn acked, const struct wm_reached *list,
    size_t n, struct wm_error *err) WM_MUST_CHECK;

/* ---- tables whose changes were not sent for a time: remembered until every target reflects it ---- */

enum wm_status wm_state_gaps_add(struct wm_state *s, const char *source, const uint32_t *oids, size_t n,
    struct wm_error *err) WM_MUST_CHECK;	/* all or nothing; one that is there already stays */
/* Caller frees *ret_oids. */
enum wm_status wm_state_gaps_get(struct wm_state *s, const char *source, uint32_t **ret_oids, size_t *ret_n,
    struct wm_error *err) WM_MUST_CHECK;
enum wm_status wm_state_gaps_clear(struct wm_state *s, const char *source, struct wm_error *err) WM_MUST_CHECK;

/* ---- bookmarks of targets without WM_TARGET_TRANSACTIONAL ---- */

enum wm_status wm_state_bookmarks_load(struct wm_state *s, const char *target, const char *source,
    wm_bookmark_fn *fn, void *arg, struct wm_error *err) WM_MUST_CHECK;
/* All or nothing. */
enum wm_status wm_state_bookmarks_store(struct wm_state *s, const char *target, const struct wm_bookmark *list,
    size_t n, struct wm_error *err) WM_MUST_CHECK;

/* ---- keys of sha256 masks ---- */

/* The mask key of this installation: 32 random bytes, made at the first call. */
enum wm_status wm_state_mask_key(struct wm_state *s, uint8_t ret[32], struct wm_error *err) WM_MUST_CHECK;

/* ---- dead letters ---- */

/*
 * A row of a view that is not as the source's last change of it would have it, because that change was refused.
 * One for each row: a later change of the same row takes its place, or makes it void.
 */
struct wm_dead_letter {
	int64_t		 id;		/* given by the state */
	const char	*source, *target, *rule, *table, *view;
	wm_lsn		 commit_lsn;
	uint32_t	 index;		/* in the transaction */
	const char	*op;		/* "upsert", "update", "delete" */
	const char	*origin;	/* "stream", "seed" */
	const char	*identity;	/* what tells rows of the view apart: the key, or the position when it is not known */
	const char	*key;		/* JSON object, as the target sees it (masked) */
	const char	*row;		/* JSON object, as the target sees it (masked); null: values not known left out */
	const char	*numbers;	/* JSON array: columns of row whose text is a number that an expression gave */
	bool		 replay;	/* row is all there is to write, and nothing but the target refused it */
	const char	*class;		/* "row", "check", "expression", "key" */
	const char	*code;		/* SQLSTATE, ...; "" */
	const char	*message;	/* what the target said */
	wm_usec		 first_time, last_time;	/* wall clock */
	int64_t		 attempts;
	wm_lsn		 superseded;	/* void as soon as the target's checkpoint has come here; 0 not */
};
/*
 * Stores a dead letter in place of an older one of the same row (same source, target, rule, view and identity); of
 * the same change: counts one more attempt.  Durable before the change it stands for is acknowledged.
 */
enum wm_status wm_state_dead_letter_add(
    struct wm_state *s, const struct wm_dead_letter *letter, struct wm_error *err) WM_MUST_CHECK;
struct wm_dead_letter_filter {
	const char	*rule, *class;	/* NULL: any */
	wm_usec		 tried_before;	/* last tried then or earlier; 0: any */
	int64_t		 attempts_max;	/* 0: any */
	int64_t		 after;		/* ids greater than this */
	int64_t		 limit;		/* 0: 100 */
};
typedef void wm_dead_letter_fn(void *arg, const struct wm_dead_letter *letter);
/* Oldest first; *ret_end: no more behind the last. */
enum wm_status wm_state_dead_letters(struct wm_state *s, const struct wm_dead_letter_filter *filter,
    wm_dead_letter_fn *fn, void *arg, bool *ret_end, struct wm_error *err) WM_MUST_CHECK;
/* *ret_found false when there is none with this id. */
enum wm_status wm_state_dead_letter_get(struct wm_state *s, int64_t id, wm_dead_letter_fn *fn,
    void *arg, bool *ret_found, struct wm_error *err) WM_MUST_CHECK;
/* The letter of one row; row gives source, target, rule, view and identity. */
enum wm_status wm_state_dead_letter_find(struct wm_state *s, const struct wm_dead_letter *row, wm_dead_letter_fn *fn,
    void *arg, bool *ret_found, struct wm_error *err) WM_MUST_CHECK;
/* All letters between a source and a target. */
enum wm_status wm_state_dead_letters_between(struct wm_state *s, const char *source, const char *target,
    wm_dead_letter_fn *fn, void *arg, struct wm_error *err) WM_MUST_CHECK;
enum wm_status wm_state_dead_letter_count(
    struct wm_state *s, const char *rule, int64_t *ret, struct wm_error *err) WM_MUST_CHECK;

struct wm_letter_mark {
	int64_t		id;
	wm_lsn		superseded;
};
/* All or nothing; ids that are not there are skipped. */
enum wm_status wm_state_dead_letters_supersede(struct wm_state *s, const struct wm_letter_mark *list, size_t n,
    struct wm_error *err) WM_MUST_CHECK;
enum wm_status wm_state_dead_letters_drop(struct wm_state *s, const struct wm_letter_mark *list, size_t n,
    int64_t *ret_dropped, struct wm_error *err) WM_MUST_CHECK;
/* The same by ids alone, for an operator. */
enum wm_status wm_state_dead_letters_forget(struct wm_state *s, const int64_t *ids, size_t n, int64_t *ret_dropped,
    struct wm_error *err) WM_MUST_CHECK;
enum wm_status wm_state_dead_letters_drop_view(struct wm_state *s, const char *source, const char *target,
    const char *rule, const char *view, struct wm_error *err) WM_MUST_CHECK;
/* One more attempt that failed, now, for the reason given. */
enum wm_status wm_state_dead_letter_tried(
    struct wm_state *s, int64_t id, const struct wm_error *why, struct wm_error *err) WM_MUST_CHECK;

#endif
