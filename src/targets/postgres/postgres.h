/* SPDX-License-Identifier: PostgreSQL */
/*
 * postgres.h - what the files of the postgres back-end share: the instance, its transaction,
 * and the views it has looked at.
 */
#ifndef WM_POSTGRES_H
#define WM_POSTGRES_H

#include <stdbool.h>
#include <stdint.h>

#include "shape.h"
#include "walmill/arena.h"
#include "walmill/doubt.h"
#include "walmill/pg.h"
#include "walmill/target.h"

#define WM_POSTGRES_BEGIN "BEGIN ISOLATION LEVEL READ COMMITTED"
/* In the transaction: as the server is set, but never without a wait for its own disk. */
#define WM_POSTGRES_DURABLY \
	"SELECT pg_catalog.set_config('synchronous_commit', pg_catalog.current_setting('walmill.synchronous_commit'), true)"

enum { WM_POSTGRES_ROW_BYTES_MAX = 1000 << 20 }; /* the protocol's messages end at 1 GiB */

enum wm_postgres_kind { /* in the order in which a batch's statements run */
	WM_POSTGRES_MOVE, /* before anything else: old keys mean rows as they were before the batch */
	WM_POSTGRES_DELETE,
	WM_POSTGRES_UPDATE,
	WM_POSTGRES_UPSERT,
	WM_POSTGRES_NKINDS,
};

enum wm_postgres_apply {
	WM_POSTGRES_APPLY_TRANSACTIONS,
	WM_POSTGRES_APPLY_PARALLEL,
};

struct wm_postgres_stmt {
	char *sql; /* NULL: nothing to do */
	unsigned nparams;
	char name[24]; /* on the server */
	bool prepared;
};

/* A view as this connection found it: which statements write it.  Forgotten by close. */
struct wm_postgres_view {
	struct wm_postgres_view *next;
	uint64_t fingerprint; /* of the view's name, columns and types */
	char *empty; /* TRUNCATE or DELETE */
	char *copy; /* NULL: not possible */
	struct wm_doubt doubt; /* COPY found rows there: batches go without it */
	struct wm_postgres_stmt stmts[WM_POSTGRES_NKINDS];
};

struct wm_postgres {
	struct wm_target base;
	char *uri, *schema; /* options */
	int64_t silence;    /* an option, microseconds */
	int apply;	    /* an option: enum wm_postgres_apply */
	int64_t workers;    /* an option */

	struct wm_pg *pg; /* NULL while closed; all below is of this connection */
	char *home; /* where views without a schema and the bookmarks go */
	bool in_transaction;
	bool bookmarks_checked; /* by a preflight: said once */
	bool changed_shape; /* the open transaction created or altered a table */
	unsigned nstatements; /* names given so far */
	struct wm_postgres_view *views;
	struct wm_buf *params; /* room for a statement's parameters, kept between writes */
	unsigned nparams;
	struct wm_postgres_stmt set, unset; /* bookmarks.c: its statements; without text until they are needed */
	struct wm_target **sides; /* parallel.c: instances that share batches, or NULL */
	struct wm_doubt alone; /* a shared batch was refused: they go without sharing */
};

enum wm_status wm_postgres_begin(struct wm_postgres *t, struct wm_error *err) WM_MUST_CHECK;
/* Undoes what came after "SAVEPOINT walmill"; err is filled only when that fails too. */
enum wm_status wm_postgres_undo(struct wm_postgres *t, struct wm_error *err) WM_MUST_CHECK;

/* view.c: the cache of views */
enum wm_status wm_postgres_view_find(struct wm_postgres *t, const struct wm_view *view,
    struct wm_postgres_view **ret, struct wm_error *err) WM_MUST_CHECK;
/* Enters or replaces what is known of a view, from a shape that has all its columns. */
enum wm_status wm_postgres_view_keep(struct wm_postgres *t, const struct wm_view *view,
    const struct wm_shape *shape, struct wm_postgres_view **ret, struct wm_error *err)
    WM_MUST_CHECK;
void wm_postgres_views_forget(struct wm_postgres *t);

void wm_postgres_bookmarks_forget(struct wm_postgres *t);
/* bookmarks.c: adds an error, once a connection, when the bookmarks could not be kept. */
enum wm_status wm_postgres_bookmarks_check(
    struct wm_postgres *t, struct wm_diags *findings, struct wm_error *err) WM_MUST_CHECK;

/* Whether COPY stores the view's rows as INSERT would. */
bool wm_postgres_copyable(const struct wm_shape *shape, const struct wm_view *view);

/* key.c: the clause of a table's definition */
void wm_postgres_add_key(struct wm_buf *sql, const struct wm_view *view);

/* copy.c, as wm_postgres_copy of rows.h */
/* Sends the rows of a COPY FROM STDIN.  Another status than WM_OK: the server is to give them up. */
typedef enum wm_status wm_postgres_send_fn(struct wm_postgres *t, void *arg, struct wm_error *err);
/* Statements with a COPY FROM STDIN among them; *ret_rows is what the last of them that counts rows says. */
enum wm_status wm_postgres_copy_in(struct wm_postgres *t, const char *sql, wm_postgres_send_fn *send,
    void *arg, uint64_t *ret_rows, struct wm_error *err) WM_MUST_CHECK;

/* The operations of the contract that have a file of their own. */
enum wm_status wm_postgres_ensure(
    struct wm_target *base, const struct wm_view *view, enum wm_found *ret_found, struct wm_error *err);
enum wm_status wm_postgres_preflight(struct wm_target *base, const struct wm_view *view,
    struct wm_diags *findings, struct wm_error *err);
enum wm_status wm_postgres_write(
    struct wm_target *base, const struct wm_batch *batch, size_t *ret_bad, struct wm_error *err);
enum wm_status wm_postgres_write_commit(struct wm_target *base, const struct wm_batch *batch,
    const struct wm_bookmark *bookmarks, size_t n, struct wm_error *err);
enum wm_status wm_postgres_pass(struct wm_target *base, const struct wm_view *view,
    const struct wm_passage *rows, uint64_t *ret_rows, struct wm_error *err);
enum wm_status wm_postgres_make_key(
    struct wm_target *base, const struct wm_view *view, struct wm_error *err);
enum wm_status wm_postgres_load(struct wm_target *base, const char *source, wm_bookmark_fn *fn,
    void *arg, struct wm_error *err);
enum wm_status wm_postgres_commit_soon(
    struct wm_target *t, const struct wm_bookmark *bookmarks, size_t n, struct wm_error *err);
enum wm_status wm_postgres_commit(
    struct wm_target *base, const struct wm_bookmark *bookmarks, size_t n, struct wm_error *err);

#endif
