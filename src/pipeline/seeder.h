/* SPDX-License-Identifier: PostgreSQL */
/*
 * seeder.h - one seeder: a connection to read from, an instance of the target to write to.
 *
 * Why a seed is right, whatever snapshot a batch is read under: a batch is written while the
 * worker's position is not past that snapshot, and every change after the position is applied
 * on top of it later.  Rows are whole, so replaying the changes between position and snapshot
 * ends in the same state.  Only a change that leaves TOAST values out could miss its row; until
 * the position has passed the last snapshot (UNIT_CATCHING) such rows are read again at the source.
 *
 * Before the worker has streamed, several seeders run side by side (seed_bulk.c), under the
 * snapshot that came with the slot if it is still there.  Later, the worker itself reads and writes
 * one batch at a time between two source transactions (seed_late.c), so that the stream of the
 * other tables goes on.
 */
#ifndef WM_PIPELINE_SEEDER_H
#define WM_PIPELINE_SEEDER_H

#include "internal.h"

struct bulk;

struct seeder {
	struct worker		*w;
	struct bulk		*bulk;		/* NULL: the worker itself, late */
	struct wm_pg		*sql;
	struct delivery		 delivery;
	struct wm_target	*own;		/* a clone, or NULL: the worker's instance */
	pthread_mutex_t		*instance_lock;	/* of an instance that seeders share, or NULL */
	const atomic_bool	*broken;	/* another seeder failed: stop; or NULL */
	struct batcher		*batcher;
	struct wm_plan		*plan;
	unsigned		*opened;	/* how often the instance was opened; under instance_lock */
	unsigned		 own_opened;
	unsigned		 ensured;	/* *opened when the plan's view was ensured */
	struct unit		*unit;
	struct wm_position	 at;		/* of the next row */
	uint64_t		 read, written, filtered, dead;	/* rows of the range at work */
	wm_lsn			 snapshot_lsn;	/* everything the snapshot sees was committed before */
	bool			 late;		/* between two transactions of the stream */
	bool			 exact;		/* the snapshot is the slot's: the stream starts where it ends */
	char			*visible;	/* the snapshot as text */
	pthread_t		 thread;
	struct wm_error		 err;
	enum wm_status		 st;
};

/* ---- seed_write.c ---- */

/*
 * Makes the view exist, writes the seeder's batch and commits, with a bookmark of the unit when
 * value is given.  Keeps trying while the target is out of reach, but not late: the source would have to keep the
 * snapshot, and all its dead rows, for as long.  WM_REJECT: the rule stops.
 */
enum wm_status seeder_write(struct seeder *s, const char *name, const char *value, struct wm_error *err);

/* ---- seed_unit.c ---- */

/* Turns to unit u: its plan, compiled anew. */
enum wm_status seeder_compile(struct seeder *s, struct unit *u, struct wm_error *err);
/* Opens the transaction that is read in. */
enum wm_status seeder_begin(struct seeder *s, const char *snapshot, struct wm_error *err);
/* A subtransaction of it, whose end gives up its locks and keeps the snapshot. */
enum wm_status seeder_lock_begin(struct seeder *s, struct wm_error *err);
enum wm_status seeder_lock_end(struct seeder *s, struct wm_error *err);
/* Brings the progress of a unit's leaves in line with what the table consists of now. */
enum wm_status seeder_match_leaves(struct unit *u, const struct wm_leaves *leaves, struct wm_error *err);
enum wm_status seeder_forget_letters(struct seeder *s, struct wm_error *err);
const struct wm_leaf *seeder_find_leaf(const struct wm_leaves *leaves, uint32_t oid);
/* An append view's seed that has begun starts again: its rows carry positions of one snapshot. */
void seeder_restart_append(struct unit *u);
enum wm_status seeder_number_rows(struct seeder *s, struct wm_error *err);
/* In place of emptying the view, where the target can: what is read is put aside, unseen, until the end. */
enum wm_status seeder_stage_begin(struct seeder *s, struct wm_error *err);
/* Whether the target takes rows of the unit now: views that are staged side by side may have to wait for each other. */
enum wm_status seeder_stage_may(struct seeder *s, bool *ret_may, struct wm_error *err);
/* Until it does. */
enum wm_status seeder_stage_ready(struct seeder *s, struct wm_error *err);
enum wm_status seeder_stage_end(struct seeder *s, struct wm_error *err);
/* What was put aside of the unit, if anything was, is given up. */
enum wm_status seeder_stage_drop(struct seeder *s, struct wm_error *err);
enum wm_status seeder_empty_view(struct seeder *s, struct wm_error *err);
/* The next range of a leaf: read, written, committed with its bookmark. */
enum wm_status seeder_range(struct seeder *s, const struct wm_leaf *leaf, struct leaf_progress *progress,
    struct wm_error *err);
/* All that is left of leaf i. */
enum wm_status seeder_leaf(struct seeder *s, const struct wm_leaves *leaves, size_t i, struct wm_error *err);
/* Notes a unit that is complete. */
void seeder_unit_done(struct seeder *s);
/* A rule that stops takes its unit out; the others go on. */
enum wm_status seeder_fail_unit(struct seeder *s, struct wm_error *err);
/* Whether a failure only means that catalog or snapshot are older than the table: another batch will do. */
bool seeder_was_altered(const struct unit *u, enum wm_status st, const struct wm_error *err);

/* ---- seed_count.c ---- */

/* Tells when rows that were read are not accounted for. */
void seeder_account(const struct unit *u);
/* Whether the view has to have exactly the rows that were written.  Of a unit whose last rows are written just now. */
bool seeder_may_count(const struct seeder *s);
/* Compares them; tells a difference. */
void seeder_count(struct seeder *s);

#endif
