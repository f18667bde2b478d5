/* SPDX-License-Identifier: PostgreSQL */
/*
 * work.h - one change on its way through a plan: what upserting and appending rules share.
 *
 * Values are borrowed from the change; only masks, value tables and expressions make new ones,
 * in the arena.  No error holds a value.
 */
#ifndef WM_RULES_WORK_H
#define WM_RULES_WORK_H

#include <stdbool.h>

#include "plan.h"

/* What the rule says of a row. */
enum wm_verdict {
	WM_VERDICT_TAKEN,
	WM_VERDICT_REFUSED,	/* by where */
	WM_VERDICT_UNDECIDED,	/* an unchanged value is needed */
	WM_VERDICT_FAILED,	/* the error says why */
};

struct wm_work {
	struct wm_plan			*plan;
	const struct wm_change		*change;
	struct wm_arena			*arena;
	struct wm_error			*err;
	unsigned			 flags;
	bool				 vanished;	/* unchanged values cannot be had any more */
	bool				 moved;		/* rows takes a refused row out from under its old key */
	const char			*op;		/* append: for _walmill_op */
	struct wm_plan_rows		 rows;
};

extern const struct wm_value wm_work_unchanged;

/* Fills the error; the outcome to return. */
enum wm_outcome wm_work_oom(struct wm_work *w);
bool wm_work_has_holes(const struct wm_value *values, unsigned n);
/*
 * The new row, its unchanged values taken from the before-image as far as that has them: all
 * of a full one, the identity's columns of an old key.  NULL: memory is out.
 */
const struct wm_value *wm_work_new_row(struct wm_work *w);
/* values with all but the identity's columns unknown.  NULL: memory is out. */
const struct wm_value *wm_work_identity_row(struct wm_work *w, const struct wm_value *values);
/*
 * Evaluates the rule's expressions, for wm_work_value.  partial: what depends on an unchanged
 * value stays unknown, and where is taken to hold then.
 */
enum wm_verdict wm_work_judge(struct wm_work *w, const struct wm_value *row, bool partial);
/* Of the row judged last; fills the error. */
bool wm_work_passes_checks(struct wm_work *w);
/* Column i of the view, of row and of the results for it.  False: failed, and the error is filled. */
bool wm_work_value(struct wm_work *w, unsigned i, const struct wm_value *row, struct wm_value *ret);
/* The outcome's next row, all its values value (or not set when that is NULL).  NULL: memory is out. */
struct wm_row *wm_work_add_row(struct wm_work *w, enum wm_row_op op, const struct wm_value *value);
/* Whether the view should be without a row that the change brings. */
bool wm_work_is_fresh(const struct wm_work *w);

/* Makes the outcome's row of what can be made of the change, the rest unchanged.  False: memory is out. */
bool wm_work_salvage(struct wm_work *w);

/* The rows of one change, not a truncate, that fits the plan's relation. */
enum wm_outcome wm_work_upsert(struct wm_work *w);
enum wm_outcome wm_work_append(struct wm_work *w);
/* Removes what the change's row is or was known by; an upserting rule. */
enum wm_outcome wm_work_vanish(struct wm_work *w);

#endif
