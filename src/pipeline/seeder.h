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
#include "walmill/doubt.h"

struct bulk;

/* A range that is read, and what the leaf's progress is once it is committed. */
struct seed_range {
	const struct wm_leaf	*leaf;
	struct leaf_progress	*progress;
	uint32_t		 from, to;
};

/* How rows go through that nobody looks into (seed_pass.c). */
struct passing {
	bool			 may;		/* the rule and the target allow it */
	bool			*columns;	/* of the relation */
	bool			 marked;	/* _walmill_deleted follows them */
	bool			 broke_off;	/* it was not the target that failed */
	struct wm_doubt		 doubt;		/* something was refused: ranges go row by row */
	uint64_t		 rows;		/* of the range at work, as the target counts them */
	struct wm_seed_pass	 read;
};

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
	const struct seed_range	*range;		/* to be noted with the commit, or NULL */
	bool			 passes;	/* the range's rows are still to be passed */
	struct passing		 passing;
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
/* The same with what is left of a range, or, with pass, all of it as it is; its bookmark notes the range as done. */
enum wm_status seeder_write_range(struct seeder *s, const struct seed_range *range, bool pass, struct wm_error *err);

/* ---- seed_pass.c ---- */

/* For the plan at hand. */
enum wm_status seeder_look_at_passing(struct seeder *s, struct wm_error *err);
void seeder_forget_passing(struct seeder *s);
/* Whether the next range is to go without a look at its rows. */
bool seeder_may_pass(struct seeder *s);
/* Rows that were refused: as WM_REJECT from a target's pass, and so is a table that was altered. */
enum wm_status seeder_pass_rows(struct seeder *s, const struct seed_range *range, struct wm_error *err);
/* What became of it: whether the next ranges are worth a try. */
void seeder_note_pass(struct seeder *s, bool taken);

/* ---- seed_key.c ---- */

/* For a unit that begins: makes its view without the key, to get it at the end, where that is right. */
enum wm_status seeder_begin_bare(struct seeder *s, bool exact, struct wm_error *err);
/* Gives a view that was made bare its key; where that fails for its rows, they are to be seeded again. */
enum wm_status seeder_make_key(struct seeder *s, struct wm_error *err);
/* The same once all is there; one seeder's to do. */
enum wm_status seeder_end_bare(struct seeder *s, struct wm_error *err);

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
/* What was read of the range does not count: it will be read again. */
void seeder_uncount(struct seeder *s);
/* What has to be true of a range that was read, before it is committed. */
enum wm_status seeder_check_range(struct seeder *s, const struct seed_range *range, struct wm_error *err);
/* How many ranges a leaf has, about. */
size_t seeder_count_ranges(const struct wm_rule *rule, const struct wm_leaf *leaf);
/* The next range of a leaf (NULL: gone): read, written, committed with its bookmark; *ret_more false: there was none. */
enum wm_status seeder_range(struct seeder *s, const struct wm_leaf *leaf,
    struct leaf_progress *progress, bool *ret_more, struct wm_error *err);
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
