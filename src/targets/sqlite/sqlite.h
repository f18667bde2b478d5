/* SPDX-License-Identifier: PostgreSQL */
/*
 * sqlite.h - what the parts of the sqlite back-end share.
 *
 * One instance is one connection.  A transaction begins with the first ensure or write; every
 * function here that fails with WM_RETRY or WM_FATAL leaves it to the operation that called
 * (sqlite.c) to roll it back.
 */
#ifndef WM_TARGETS_SQLITE_H
#define WM_TARGETS_SQLITE_H

#include <sqlite3.h>

#include "walmill/buf.h"
#include "walmill/diag.h"
#include "walmill/target.h"

#define WM_SQLITE_SQL_MAX (8u << 20)		/* bytes of one statement: 1,600 columns fit */
#define WM_SQLITE_BOOKMARKS "_walmill_bookmarks"

struct wm_sqlite_cache;

struct wm_sqlite {
	struct wm_target	 base;
	char			*path;
	int64_t			 busy_timeout;	/* microseconds */
	sqlite3			*db;		/* NULL while closed */
	bool			 unmade;	/* the file does not exist yet: db is an empty one in memory */
	struct wm_sqlite_cache	*caches;	/* prepared statements of the views written to */
};

/* ---- connection.c ---- */

enum wm_status wm_sqlite_open(struct wm_sqlite *s, struct wm_error *err);
/* Makes the file if open found none; for what is about to write. */
enum wm_status wm_sqlite_make(struct wm_sqlite *s, struct wm_error *err);
void wm_sqlite_close(struct wm_sqlite *s);
/* Fills err from rc and the connection: "sqlite "path": what: message"; returns what rc means. */
enum wm_status wm_sqlite_fail(struct wm_sqlite *s, int rc, struct wm_error *err, const char *what, ...)
    WM_PRINTF(4, 5);
/* Runs SQL that returns no rows. */
enum wm_status wm_sqlite_exec(struct wm_sqlite *s, const char *sql, struct wm_error *err, const char *what, ...)
    WM_PRINTF(4, 5);
/* The caller finalizes *ret.  A buf that failed is reported as memory being out. */
enum wm_status wm_sqlite_prepare(struct wm_sqlite *s, const struct wm_buf *sql, const char *what,
    sqlite3_stmt **ret, struct wm_error *err);
void wm_sqlite_finalizep(sqlite3_stmt **stmt);	/* for WM_AUTO */
enum wm_status wm_sqlite_begin(struct wm_sqlite *s, struct wm_error *err);
void wm_sqlite_rollback(struct wm_sqlite *s);
/* All that was committed survives a power loss. */
enum wm_status wm_sqlite_sync(struct wm_sqlite *s, struct wm_error *err);
enum wm_status wm_sqlite_savepoint(struct wm_sqlite *s, struct wm_error *err);
/* Ends the savepoint: after WM_REJECT what it guarded is undone.  Returns status, or why this failed. */
enum wm_status wm_sqlite_release(struct wm_sqlite *s, enum wm_status status, struct wm_error *err);
void wm_sqlite_quote(struct wm_buf *b, const char *name);	/* "na""me" */

/* ---- storage.c ---- */

enum wm_sqlite_affinity {
	WM_SQLITE_BLOB,			/* or no type: values stay as they are */
	WM_SQLITE_TEXT,
	WM_SQLITE_NUMERIC,
	WM_SQLITE_INTEGER,
	WM_SQLITE_REAL,
};

/* How the text form of a value is handed to SQLite. */
enum wm_sqlite_storage {
	WM_SQLITE_AS_TEXT,
	WM_SQLITE_AS_BOOL,		/* 0, 1 */
	WM_SQLITE_AS_INTEGER,
	WM_SQLITE_AS_REAL,
	WM_SQLITE_AS_DECIMAL,		/* integer or real when that is exact */
	WM_SQLITE_AS_BLOB,
	WM_SQLITE_AS_COMPUTED,		/* number or text, as the expression returned */
};

struct wm_sqlite_cell {
	int		 type;		/* SQLITE_INTEGER, SQLITE_FLOAT, SQLITE_TEXT, SQLITE_BLOB, SQLITE_NULL */
	int64_t		 integer;
	double		 real;
	const char	*data;		/* text: borrowed; blob: owned, of sqlite3_malloc, NULL when empty */
	size_t		 len;
};

enum wm_sqlite_affinity wm_sqlite_affinity(const char *declared);
/* The column's type in CREATE TABLE; "" for none.  An override comes back as it is. */
const char *wm_sqlite_declared(const struct wm_view_column *column);
enum wm_sqlite_storage wm_sqlite_storage(const struct wm_view_column *column);
/* The cell of a value with a text form.  WM_REJECT when bytes are not in hex form. */
enum wm_status wm_sqlite_cell(enum wm_sqlite_storage storage, const struct wm_value *value,
    struct wm_sqlite_cell *ret, struct wm_error *err);
/*
 * The shortest text that reads back as value, as PostgreSQL writes a float8, or without exponent
 * (decimal) as it writes a numeric.  buf holds at least WM_SQLITE_REAL_LEN bytes.
 */
#define WM_SQLITE_REAL_LEN 400
void wm_sqlite_real_text(double value, bool decimal, char *buf, size_t size);

/* ---- shape.c ---- */

struct wm_sqlite_column {
	char	*name, *type;
	bool	 required;		/* NOT NULL without a default */
	bool	 generated;
	int	 pk;			/* place in the primary key from 1; 0: not in it */
};

/* A table as it is in the file. */
struct wm_sqlite_shape {
	char			*kind;	/* table, view, virtual; NULL: there is none */
	char			*name;	/* as it was created */
	size_t			 n;
	struct wm_sqlite_column	*columns;
	bool			 unique;	/* some index is unique on exactly the view's key */
};

enum wm_status wm_sqlite_shape_read(struct wm_sqlite *s, const struct wm_view *view,
    struct wm_sqlite_shape *ret, struct wm_error *err);
void wm_sqlite_shape_free(struct wm_sqlite_shape *shape);	/* also for WM_AUTO */
const struct wm_sqlite_column *wm_sqlite_shape_column(const struct wm_sqlite_shape *shape, const char *name);
/* True when values would not keep their form in the column as it is. */
bool wm_sqlite_must_retype(const struct wm_view_column *column, const struct wm_sqlite_column *have);
/* Findings: errors say why the view cannot be written, notes what ensure would do. */
void wm_sqlite_judge(const struct wm_view *view, const struct wm_sqlite_shape *shape, struct wm_diags *findings);
void wm_sqlite_key_list(struct wm_buf *b, const struct wm_view *view);	/* "a", "b" */

/* ---- ensure.c, rebuild.c, create_sql.c ---- */

enum wm_status wm_sqlite_ensure(struct wm_sqlite *s, const struct wm_view *view, enum wm_found *ret_found,
    struct wm_error *err);
enum wm_status wm_sqlite_rebuild(struct wm_sqlite *s, const struct wm_view *view,
    const struct wm_sqlite_shape *shape, struct wm_error *err);
/*
 * Writes the CREATE TABLE statement sql anew for a table called name, with the type that
 * declare returns for a column; NULL leaves it as it is.  False when sql is not understood.
 */
typedef const char *wm_sqlite_declare_fn(const void *arg, const char *column);
bool wm_sqlite_create_sql(const char *sql, const char *name, wm_sqlite_declare_fn *declare, const void *arg,
    struct wm_buf *b);
void wm_sqlite_add_type(struct wm_buf *b, const char *declared);	/* " type", quoted where need be */

/* ---- statements.c ---- */

/*
 * What is prepared for one view.  Found by the view's name and layout, not by its address:
 * the pipeline frees views and makes new ones.
 */
struct wm_sqlite_cache *wm_sqlite_cache_get(struct wm_sqlite *s, const struct wm_view *view, struct wm_error *err);
/* After a change of the table. */
void wm_sqlite_cache_forget(struct wm_sqlite *s, const char *view);
void wm_sqlite_cache_clear(struct wm_sqlite *s);
enum wm_sqlite_storage wm_sqlite_cache_storage(const struct wm_sqlite_cache *c, unsigned column);
/*
 * Statements, prepared at first use, owned by the cache.  Parameter ?i is column i (from 1),
 * ?(ncolumns + i) is part i of the old key (from 1).
 */
enum wm_sqlite_statement {
	WM_SQLITE_TRUNCATE,
	WM_SQLITE_UPSERT,
	WM_SQLITE_DELETE,
	WM_SQLITE_PARK,			/* sets the first key column of the old key's row to ?1 */
	WM_SQLITE_NSTATEMENTS,
};
enum wm_status wm_sqlite_cache_statement(struct wm_sqlite *s, struct wm_sqlite_cache *c, const struct wm_view *view,
    enum wm_sqlite_statement which, sqlite3_stmt **ret, struct wm_error *err);
/* UPDATE of the columns that known (one byte each, 0 or 1) names; moving: from the old key. */
enum wm_status wm_sqlite_cache_update(struct wm_sqlite *s, struct wm_sqlite_cache *c, const struct wm_view *view,
    const char *known, bool moving, sqlite3_stmt **ret, struct wm_error *err);

/*
 * WM_RETRY for a statement that cannot be prepared any more, its message still in s->db: somebody
 * has altered or dropped the table since ensure, and after a new open the pipeline ensures it again.
 */
enum wm_status wm_sqlite_altered(struct wm_sqlite *s, const struct wm_view *view, struct wm_error *err);

/* ---- write.c ---- */

enum wm_status wm_sqlite_write(struct wm_sqlite *s, const struct wm_batch *batch, size_t *ret_bad,
    struct wm_error *err);

#endif
