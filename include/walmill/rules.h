/* SPDX-License-Identifier: PostgreSQL */
/*
 * rules.h - what of a source goes where: rules as written, and rules compiled for one relation.
 *
 * A ruleset is immutable after loading and shared by threads.  A plan belongs to one thread
 * (it holds prepared SQLite statements for `where`, `compute` and `check`).
 */
#ifndef WM_RULES_H
#define WM_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "walmill/arena.h"
#include "walmill/config.h"
#include "walmill/error.h"
#include "walmill/model.h"

enum wm_on_delete { WM_DELETE_DELETE, WM_DELETE_SOFT, WM_DELETE_IGNORE };
enum wm_on_truncate { WM_TRUNCATE_TRUNCATE, WM_TRUNCATE_IGNORE };
enum wm_mode { WM_MODE_UPSERT, WM_MODE_APPEND };
enum wm_on_error { WM_ON_ERROR_RETRY, WM_ON_ERROR_DEAD_LETTER, WM_ON_ERROR_STOP };
enum wm_seed_mode { WM_SEED_AUTO, WM_SEED_NEVER };

struct wm_setting {		/* "column: value" under columns: */
	char		*column;
	char		*value;
	struct wm_mark	 mark;
};

struct wm_settings {
	size_t			 n;
	struct wm_setting	*list;
};

struct wm_names {
	size_t			 n;
	char			**list;
};

struct wm_translate {		/* one column's value table */
	char			*column;
	struct wm_mark		 mark;
	struct wm_settings	 values;	/* column: from, value: to; "*" is the rest */
};

/* When dead letters are tried again without being asked. */
struct wm_retry_policy {
	struct wm_names	 codes;		/* globs of codes and classes; empty: every letter */
	int64_t		 every;		/* microseconds; 0: not at all */
	int64_t		 at_most;	/* times for each letter */
};

struct wm_rule {
	char			*name;
	struct wm_mark		 mark;
	char			*source, *target;	/* names; filled in when left out */
	char			*view;			/* with placeholders; "{table}" when left out */
	struct wm_names		 tables;		/* "schema.table" globs; a leading ! excludes */
	struct wm_names		 key;			/* empty: the replica identity's columns */
	unsigned		 events;		/* mask of enum wm_event_kind */
	char			*where;			/* or NULL */
	struct wm_names		 include, exclude;
	bool			 has_include;
	struct wm_settings	 rename, compute, mask, check, type;
	size_t			 ntranslate;
	struct wm_translate	*translate;
	enum wm_on_delete	 on_delete;
	enum wm_on_truncate	 on_truncate;
	enum wm_mode		 mode;
	enum wm_on_error	 on_error;
	struct wm_retry_policy	 retry;
	enum wm_seed_mode	 seed_mode;
	int64_t			 seed_batch_rows, seed_workers;
	bool			 batch_open;	/* it says nothing of its batches' size: in the stream that is up to the target */
	int64_t			 batch_rows;
	uint64_t		 batch_bytes;
	int64_t			 batch_interval;	/* microseconds */
	enum wm_priority	 priority;
	uint64_t		 fingerprint;		/* over all that decides which rows the view holds */
};

struct wm_ruleset {
	size_t		  n, nnames;
	struct wm_rule	 *rules;
	const struct wm_rule **by_name;		/* those that have one, sorted */
};

/* NULL when diags->errors is not 0: names unique, sources and targets known, expressions compile. */
struct wm_ruleset *wm_ruleset_load(const struct wm_config *config, struct wm_diags *diags);
void wm_ruleset_free(struct wm_ruleset *set);
const struct wm_rule *wm_ruleset_find(const struct wm_ruleset *set, const char *name);
/* Whether the rule's patterns take this table (exclusions win). */
bool wm_rule_matches(const struct wm_rule *rule, const char *schema, const char *table);
/*
 * A source's rules, for many tables: which of them take one.  Those that name a single table are not asked
 * about every other.  NULL: memory out.
 */
struct wm_rule_index *wm_rule_index_create(const struct wm_ruleset *set, const char *source);
void wm_rule_index_free(struct wm_rule_index *index);	/* NULL is a no-op */
/* Those that do, in the set's order, until the next call; false: memory out. */
bool wm_rule_index_find(struct wm_rule_index *index, const char *schema, const char *table,
    const struct wm_rule *const **ret, size_t *ret_n);
/* The view's name for one table: placeholders filled in.  malloc'd; NULL when memory is out. */
char *wm_rule_view_name(const struct wm_rule *rule, const char *schema, const char *table);
/*
 * Which of the relation's columns the rule reads (output, key, where, compute, check and the
 * replica identity): ret_needed has rel->ncolumns entries.  WM_REJECT when the rule names a
 * column that the relation lacks.
 */
enum wm_status wm_rule_needs(const struct wm_rule *rule, const struct wm_relation *rel, bool *ret_needed,
    struct wm_error *err) WM_MUST_CHECK;

/* ---- plans ---- */

struct wm_plan;

struct wm_plan_env {
	const char	*source;	/* name, for {source} */
	const void	*mask_key;	/* HMAC key of sha256 masks */
	size_t		 mask_key_len;
	bool		 emptied, bare;	/* for the view */
};

/*
 * Compiles rule for one version of a relation.  WM_REJECT: the rule cannot be applied to it
 * (missing column, no usable key, replica identity too small); the text says the fix.
 */
enum wm_status wm_plan_compile(const struct wm_rule *rule, const struct wm_relation *rel,
    const struct wm_plan_env *env, struct wm_plan **ret, struct wm_error *err) WM_MUST_CHECK;
void wm_plan_free(struct wm_plan *plan);			/* NULL is a no-op */
const struct wm_view *wm_plan_view(const struct wm_plan *plan);
const struct wm_rule *wm_plan_rule(const struct wm_plan *plan);
const struct wm_relation *wm_plan_relation(const struct wm_plan *plan);	/* the plan's own copy */
/* Indexes, in the relation, of the columns that identify a source row for a read-back; n in *ret_n. */
const unsigned *wm_plan_source_key(const struct wm_plan *plan, unsigned *ret_n);
/*
 * The source's key of a row of the view, for a read-back: a tuple whose other columns are NULL.  False when the
 * view does not hold that key as it is (masked, translated, left out), or memory is out.
 */
bool wm_plan_source_row(const struct wm_plan *plan, const struct wm_value *values, struct wm_arena *arena,
    struct wm_tuple *ret) WM_MUST_CHECK;
/* rel->ncolumns flags: what the rule reads of a row. */
const bool *wm_plan_needed(const struct wm_plan *plan);
/*
 * Whether the rule takes every row as it is, so that nobody has to look into it: the view's columns are some of the
 * relation's, in its order (ret_columns has rel->ncolumns entries), and behind them, *ret_marked, _walmill_deleted.
 */
bool wm_plan_passes(const struct wm_plan *plan, bool *ret_columns, bool *ret_marked) WM_MUST_CHECK;

enum wm_outcome {
	WM_PLAN_NOTHING,	/* not wanted by the rule, or nothing to do */
	WM_PLAN_ROWS,		/* ret holds one or two rows (key change: delete and upsert) */
	WM_PLAN_TRUNCATE,	/* empty the view */
	WM_PLAN_REREAD,		/* an unchanged TOAST value is needed: read the row at the source, apply again */
	/*
	 * The row fails a check or an expression; err says which (no row value), its code is "check",
	 * "expression" or "key".  When err->status is not WM_REJECT the failure is not the row's.  ret may
	 * hold a row to write once it is put aside: the delete of the key that it had before.
	 */
	WM_PLAN_BAD,
};

struct wm_plan_rows {
	unsigned	n;
	struct wm_row	row[2];
};

enum wm_plan_flags {
	WM_PLAN_WHOLE = 1,	/* the target or a seed under way needs whole rows: REREAD rather than WM_ROW_UPDATE */
	WM_PLAN_RESEED = 2,	/* WM_EVENT_SEED over a view that may hold older rows: one that where refuses is deleted */
};

/*
 * Turns one change into rows of the view.  Values and arrays come from arena or point to the
 * change's own bytes.  The old key, the where of old and new row, on_delete, events, masks,
 * translations and checks are all decided here.
 */
enum wm_outcome wm_plan_apply(struct wm_plan *plan, const struct wm_change *change, unsigned flags,
    struct wm_arena *arena, struct wm_plan_rows *ret, struct wm_error *err) WM_MUST_CHECK;
/*
 * The rows to write when a read-back found no row: a delete of the keys concerned (a later
 * change of the stream removes or renames it anyway).
 */
enum wm_outcome wm_plan_vanished(struct wm_plan *plan, const struct wm_change *change, struct wm_arena *arena,
    struct wm_plan_rows *ret, struct wm_error *err) WM_MUST_CHECK;
/*
 * The row of a change that was bad, as far as the rule can shape it, for dead letters: masked and translated, values
 * that cannot be made unchanged.  WM_ROW_UPSERT when all of it is known, WM_ROW_DELETE for a row that is to go.
 * False: nothing is known of it.
 */
bool wm_plan_salvage(struct wm_plan *plan, const struct wm_change *change, struct wm_arena *arena,
    struct wm_row *ret) WM_MUST_CHECK;

#endif
