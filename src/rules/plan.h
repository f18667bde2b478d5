/* SPDX-License-Identifier: PostgreSQL */
/*
 * plan.h - a rule compiled for one version of a relation: how each column of the view is made.
 *
 * The expressions stand in this order: where (if any), the checks, the computed columns.
 */
#ifndef WM_RULES_PLAN_H
#define WM_RULES_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "expr.h"
#include "mask.h"
#include "walmill/error.h"
#include "walmill/model.h"
#include "walmill/rules.h"

enum wm_out_kind {
	WM_OUT_COLUMN,		/* index: column of the relation */
	WM_OUT_EXPR,		/* index: expression */
	WM_OUT_LSN,		/* append: position of the commit */
	WM_OUT_SEQ,		/* append: position in the transaction */
	WM_OUT_OP,		/* append: insert, update, delete, seed */
	WM_OUT_TIME,		/* append: time of the commit */
	WM_OUT_DELETED,		/* on_delete: soft */
};

/* How one column of the view is made; parallel to view.columns. */
struct wm_out {
	enum wm_out_kind	 kind;
	unsigned		 index;
	bool			 dressed;	/* one of the following applies */
	bool			 boolean;	/* an expression's 0 or 1 turns into f or t */
	bool			 number;	/* a column's f or t turns into 0 or 1 */
	bool			 padded;	/* masks and value tables take the value without its blanks */
	struct wm_lookup	*lookup;
	struct wm_mask		 mask;
};

struct wm_plan {
	const struct wm_rule	*rule;
	struct wm_relation	*rel;
	struct wm_view		 view;
	struct wm_out		*outs;
	bool			*needed;	/* rel->ncolumns flags */
	bool			*key_reads;	/* rel->ncolumns flags: what the view's key is made of */
	bool			 key_computed;	/* the key takes an expression */
	unsigned		 nsource_key;
	unsigned		*source_key;
	void			*mask_key;
	size_t			 mask_key_len;
	struct wm_exprs		*exprs;		/* NULL: the rule has none */
	bool			 has_where;
	size_t			 nchecks, nexprs;
	struct wm_value		*results;	/* of the last row evaluated */
	bool			*unknown;	/* expressions that read an unchanged value of it */
};

/*
 * Builds view, outs, exprs and needed from plan->rule and plan->rel.  strict: the relation is as the
 * catalog has it; else columns that the rule leaves out may be missing.
 */
enum wm_status wm_plan_layout(struct wm_plan *plan, bool strict, struct wm_error *err) WM_MUST_CHECK;
/* Finds the view's key and the source's, after the layout. */
enum wm_status wm_plan_key(struct wm_plan *plan, struct wm_error *err) WM_MUST_CHECK;
/* WM_REJECT when the rule's own `key:` names what is not there. */
enum wm_status wm_plan_check_key_names(const struct wm_plan *plan, struct wm_error *err) WM_MUST_CHECK;

#endif
