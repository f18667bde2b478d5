/* SPDX-License-Identifier: PostgreSQL */
/*
 * shape.h - what stands at the target under a view's name, and what must change for the view
 * to be written.  Changes nothing.
 */
#ifndef WM_SHAPE_H
#define WM_SHAPE_H

#include <stdbool.h>

#include "walmill/diag.h"
#include "walmill/error.h"
#include "walmill/model.h"
#include "walmill/pg.h"

struct wm_shape_column { /* strings borrowed from the shape's result */
	const char *name;
	const char *type; /* with modifiers: "numeric(10,2)" */
	const char *cast; /* without */
	bool builtin;
	bool not_null, has_default;
	bool own_cast; /* of text to the type, by a function */
	bool generated; /* GENERATED ALWAYS, as expression or as identity */
};

struct wm_shape {
	PGresult *res;
	char *schema, *table; /* names, not quoted */
	char *name; /* both, quoted */
	bool schema_exists;
	bool may_create; /* in the schema; or the schema, when that is missing */
	char kind; /* relkind; 0: nothing of this name */
	bool owned, writable;
	bool row_security;
	bool truncatable;
	bool copyable; /* COPY stores what INSERT would, and fires what it fires */
	bool has_key; /* a unique index on exactly the view's key */
	bool has_other_key; /* a unique index on something else */
	unsigned ncolumns;
	struct wm_shape_column *columns;
};

enum wm_shape_step { WM_SHAPE_KEEP, WM_SHAPE_ADD, WM_SHAPE_ALTER };

/* home is the schema of a view whose name has none.  WM_REJECT when a name cannot be PostgreSQL's. */
enum wm_status wm_shape_load(struct wm_pg *pg, const char *home, const struct wm_view *view,
    struct wm_shape *ret, struct wm_error *err) WM_MUST_CHECK;
void wm_shape_free(struct wm_shape *shape); /* also for WM_AUTO; twice is fine */
/* NULL: no such column. */
const struct wm_shape_column *wm_shape_column(const struct wm_shape *shape, const char *name);
enum wm_shape_step wm_shape_step(const struct wm_shape *shape, const struct wm_view_column *column);
/* The table is there with every column as it should be. */
bool wm_shape_complete(const struct wm_shape *shape, const struct wm_view *view);
/* Adds an error for each thing that keeps the view from being made or written. */
void wm_shape_check(
    const struct wm_shape *shape, const struct wm_view *view, struct wm_diags *findings);

#endif
