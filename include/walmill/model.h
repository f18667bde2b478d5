/* SPDX-License-Identifier: PostgreSQL */
/*
 * model.h - relations, values, changes, and the batches of rows that targets store.
 */
#ifndef WM_MODEL_H
#define WM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "walmill/clock.h"
#include "walmill/error.h"
#include "walmill/lsn.h"
#include "walmill/type.h"

/* ---- values ---- */

enum wm_value_kind {
	WM_VALUE_NULL,
	WM_VALUE_UNCHANGED,	/* TOAST value that the update did not touch: the target keeps its own */
	WM_VALUE_TEXT,		/* PostgreSQL's text form, UTF-8, not NUL-terminated */
	WM_VALUE_BINARY,	/* PostgreSQL's binary send form */
};

/* data is borrowed: it points into the journal's bytes or the batch's arena. */
struct wm_value {
	const char	*data;
	uint32_t	 len;		/* bytes */
	uint8_t		 kind;		/* enum wm_value_kind */
	bool		 number;	/* text that an expression returned as a number (WM_TYPE_DYNAMIC) */
};

bool wm_value_equal(const struct wm_value *a, const struct wm_value *b);

/* ---- relations (source side) ---- */

enum wm_identity {		/* pg_class.relreplident */
	WM_IDENTITY_DEFAULT = 'd',
	WM_IDENTITY_NOTHING = 'n',
	WM_IDENTITY_FULL = 'f',
	WM_IDENTITY_INDEX = 'i',
};

struct wm_column {
	char		*name;
	struct wm_type	 type;
	bool		 identity;	/* part of the replica identity (all columns when FULL) */
	bool		 primary;	/* part of the primary key; filled from the catalog */
	uint16_t	 number;	/* attnum, from the catalog: tells a column from a later one of its name; 0 unknown */
};

/* Owns what it points to.  Immutable once built, so threads may share it. */
struct wm_relation {
	uint32_t		 oid;
	enum wm_identity	 identity;
	char			*schema, *name;
	unsigned		 ncolumns;
	struct wm_column	*columns;
	uint16_t		 last_number;	/* attnums, from the catalog: the highest ever */
	uint16_t		 last_dropped;	/* the highest of a dropped column; 0 none */
};

void wm_relation_free(struct wm_relation *rel);			/* NULL is a no-op */
void wm_relation_freep(struct wm_relation **rel);		/* for WM_AUTO */
struct wm_relation *wm_relation_dup(const struct wm_relation *rel);	/* NULL: memory out */
/* The column's index, or -1. */
int wm_relation_column(const struct wm_relation *rel, const char *name);
/* Same name, identity, columns, types and typmods (resolved names are not compared). */
bool wm_relation_same(const struct wm_relation *a, const struct wm_relation *b);

/* ---- changes (source side) ---- */

struct wm_tuple {
	unsigned	 n;
	struct wm_value	*values;	/* in the relation's column order */
};

enum wm_event_kind {			/* bits, so that `events` of a rule is a mask of them */
	WM_EVENT_INSERT = 1,
	WM_EVENT_UPDATE = 2,
	WM_EVENT_DELETE = 4,
	WM_EVENT_TRUNCATE = 8,
	WM_EVENT_SEED = 16,		/* a row read by a seed; always wanted */
};

/* Where a change stands in the source's order: the unit of de-duplication. */
struct wm_position {
	wm_lsn		commit_lsn;	/* of the transaction's commit record */
	uint32_t	index;		/* of the change within the transaction, from 0 */
};

struct wm_change {
	enum wm_event_kind	 kind;
	struct wm_position	 at;
	wm_usec			 commit_time;
	/*
	 * before: old key (other columns NULL and meaningless) or, with identity FULL, the old row.
	 * NULL when the stream sent none: the key has not changed.
	 */
	const struct wm_tuple	*before;
	bool			 before_full;	/* before is the whole old row */
	const struct wm_tuple	*after;		/* NULL for delete and truncate */
};

/* ---- views and rows (target side) ---- */

struct wm_view_column {
	char		*name;
	struct wm_type	 type;
	char		*override;	/* `type:` of the rule, passed to the target as it is; or NULL */
	bool		 key;
};

/* Of a rule, where a target's calls have a price: whose changes go first as the budget falls. */
enum wm_priority { WM_PRIORITY_LOW, WM_PRIORITY_NORMAL, WM_PRIORITY_HIGH, WM_PRIORITIES };

/* The target's table, view, topic, ...  Owned by its plan; immutable. */
struct wm_view {
	char			*name;		/* placeholders filled in; may hold "schema.table" */
	char			*rule;		/* rule's name, for messages */
	char			*table;		/* "schema.table" at the source, for messages; or NULL */
	unsigned		 ncolumns;
	struct wm_view_column	*columns;
	unsigned		 nkeys;
	unsigned		*keys;		/* indexes into columns */
	enum wm_priority	 priority;
	bool			 emptied;	/* a truncate comes first: what stands there need not be kept */
	bool			 bare;		/* to be made without its unique key, which make_key adds to the rows */
};

enum wm_row_op {
	WM_ROW_UPSERT,		/* every value known: insert, or replace the row with this key */
	WM_ROW_UPDATE,		/* some values WM_VALUE_UNCHANGED: change the others of an existing row */
	WM_ROW_DELETE,		/* only the key's values are set; no such row is no error */
};

struct wm_row {
	enum wm_row_op		 op;
	struct wm_value		*values;	/* view->ncolumns of them */
	/*
	 * WM_ROW_UPDATE whose key changed: the old key's values, in the order of view->keys; else
	 * NULL.  A row that stands at the new key is replaced.
	 */
	struct wm_value		*old_key;
	struct wm_position	 at;
	wm_usec			 commit_time;
	/* WM_ROW_UPSERT of a row that the view should not have: a hint, for a target that inserts faster than it replaces. */
	bool			 fresh;
};

/* Rows of one view, at most one per key (coalesced), in any order; truncate comes first. */
struct wm_view_batch {
	const struct wm_view	*view;
	bool			 truncate;
	size_t			 nrows;
	struct wm_row		*rows;
};

/* What one deliver call stores.  Borrowed by the target for the length of the call. */
struct wm_batch {
	size_t			 nviews;
	struct wm_view_batch	*views;
	size_t			 nrows;		/* over all views */
	size_t			 bytes;		/* of their values */
};

#endif
