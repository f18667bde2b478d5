/* SPDX-License-Identifier: PostgreSQL */
/*
 * conformance.h - what the cases of the conformance suite are written with.
 *
 * A case knows no back-end: it builds views and batches, hands them to the target under test,
 * and looks at the outcome as any other program would, through the peer.  A peer is what the
 * suite has to know of one kind of target; a new back-end adds one.
 */
#ifndef WM_CONFORMANCE_H
#define WM_CONFORMANCE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "walmill/arena.h"
#include "walmill/target.h"

struct fixture;

/* What not every target, or its peer, can do; cases that need it are skipped for the others. */
enum peer_can {
	CAN_SQL = 1,		/* another program runs SQL at the target */
	CAN_EMPTY_TEXT = 2,	/* an empty text is no null */
	CAN_RETYPE = 4,		/* a column's type follows the source's */
	CAN_LARGE_TEXT = 8,	/* a value of megabytes */
};

struct peer {
	const char			*name;
	unsigned			 can;		/* enum peer_can */
	const char			*picky_type;	/* an override whose columns refuse ... */
	const char			*picky_value;	/* ... this text; NULL: the cases that want it make one by SQL */
	const struct wm_target_ops	*ops;
	/* NULL when the suite can run here, else why it cannot. */
	const char			*(*unavailable)(void);
	/* An empty place of its own, and f->target on it, closed. */
	void				(*set_up)(struct fixture *f);
	void				(*tear_down)(struct fixture *f);
	/* Runs SQL on a connection of its own; commits at once. */
	void				(*sql)(struct fixture *f, const char *sql);
	/* The rows of a query: columns joined by "|", rows by a line feed, <null>; of the fixture's arena. */
	const char			*(*query)(struct fixture *f, const char *sql);
	/* Keeps the target from writing to table until unlock. */
	void				(*lock)(struct fixture *f, const char *table);
	void				(*unlock)(struct fixture *f);
	/* True when a table is there. */
	bool				(*has_table)(struct fixture *f, const char *table);
	/* What query shows for a value of a type that was written as text. */
	const char			*(*shown)(struct fixture *f, const char *type, const char *text);
};

struct fixture {
	const struct peer	*peer;
	struct wm_target	*target;
	struct wm_arena		*arena;		/* everything a case builds */
	void			*place;		/* the peer's own */
};

extern const struct peer sqlite_peer, postgres_peer, postgres_parallel_peer, zoho_peer;

/* The cases; each file ends in its list, with name NULL at the end. */
struct test_case {
	const char	*name;
	void		(*run)(struct fixture *f);
	unsigned	 caps;		/* skipped for a target without them */
	unsigned	 can;		/* and for a peer that cannot */
	unsigned	 without;	/* caps of targets that it is not for */
};
extern const struct test_case durable_cases[], life_cases[], write_cases[], fresh_cases[],
    update_cases[], shape_cases[], type_cases[], pass_cases[];

/* ---- building (build.c) ---- */

struct column {
	const char	*name, *type;	/* SQL name; "" is computed */
	bool		 key;
	const char	*override;
};
#define KEY(n, t) { .name = (n), .type = (t), .key = true }
#define COLUMN(n, t) { .name = (n), .type = (t) }
#define COLUMN_AS(n, t, o) { .name = (n), .type = (t), .override = (o) }
#define COLUMNS(...) (const struct column[]){ __VA_ARGS__, { .name = NULL } }
const struct wm_view *make_view(struct fixture *f, const char *name, const struct column *columns);

/* A value in a row: text, NULL for null, UNCHANGED. */
extern const char UNCHANGED[];
#define VALUES(...) (const char *const[]){ __VA_ARGS__ }

struct batch {
	struct fixture	*f;
	struct wm_batch	 b;
	size_t		 size;		/* rows allocated for the last view */
};
struct batch make_batch(struct fixture *f);
/* Rows that follow belong to view. */
void add_view(struct batch *batch, const struct wm_view *view);
void add_truncate(struct batch *batch);
void add_upsert(struct batch *batch, const char *const *values);
void add_update(struct batch *batch, const char *const *values, const char *const *old_key);
void add_delete(struct batch *batch, const char *const *key);
/* All upserts are held to be of new rows. */
void set_fresh(struct batch *batch);
/* With how many of them a target may go another way. */
enum { MANY = 600 };
/* Rows from to up to, not including it, counted over all views, as a batch of their own. */
struct wm_batch part_of(struct fixture *f, const struct wm_batch *batch, size_t from, size_t to);

/* ---- doing (build.c) ---- */

#define OK(status) must_be_ok(status, &error, __FILE__, __LINE__)
void must_be_ok(enum wm_status status, const struct wm_error *err, const char *file, int line);
extern struct wm_error error;		/* of the last call */

void start(struct fixture *f);		/* open and load */
void ensure(struct fixture *f, const struct wm_view *view);
void write_batch(struct fixture *f, const struct batch *batch);
void commit(struct fixture *f);
void write_and_commit(struct fixture *f, const struct batch *batch);
/* As the pipeline does with what is refused: in parts, until the rows are found; returns how many were refused. */
unsigned write_splitting(struct fixture *f, const struct wm_batch *batch);
#define assert_rows(f, sql, wanted) assert_string_equal((f)->peer->query(f, sql), wanted)

#endif
