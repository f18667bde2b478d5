/* SPDX-License-Identifier: PostgreSQL */
/*
 * internal.h - what the files of this folder share.
 */
#ifndef WM_PG_INTERNAL_H
#define WM_PG_INTERNAL_H

#include "walmill/pg.h"

struct wm_pg {
	PGconn		*pq;		/* owned */
	PGcancel	*cancel;	/* owned */
	char		 where[300];
	char		*uri;		/* owned; how another connection is made to look after this one, NULL: none is */
	wm_usec		 silence;	/* how long a statement may be silent before it is looked after */
	wm_usec		 quiet;		/* how long it has been */
	unsigned	 looks;		/* at the statement that runs */
	char		 given_up[160];	/* why; empty while the connection is good */
};

/* ---- error.c ---- */

/* The SQLSTATE in a verbose error text ("FATAL:  28P01: ..."); false when there is none. */
bool wm_pg_find_sqlstate(const char *text, char ret_code[6]);

/* ---- query.c ---- */

/* As wm_pg_query without parameters and as wm_pg_exec; a buffer that failed is an error. */
enum wm_status wm_pg_query_sql(struct wm_pg *c, const struct wm_buf *sql, const char *what,
    PGresult **ret, struct wm_error *err) WM_MUST_CHECK;
enum wm_status wm_pg_exec_sql(struct wm_pg *c, const struct wm_buf *sql, const char *what,
    struct wm_error *err) WM_MUST_CHECK;
/* '{1,2,3}'::pg_catalog.oid[] */
void wm_pg_add_oids(struct wm_buf *sql, const uint32_t *oids, size_t n);

/* Fields of a result whose query decides their form; zero and false for NULL. */
bool wm_pg_bool(const PGresult *res, int row, int col);
int64_t wm_pg_int(const PGresult *res, int row, int col);
uint32_t wm_pg_oid(const PGresult *res, int row, int col);
wm_lsn wm_pg_lsn(const PGresult *res, int row, int col);

/* ---- table.c ---- */

/* Of a partition c: who made the links up to the root, which tells whether they were ever cut; else 0. */
#define WM_PARTITION_LINK \
	"CASE WHEN c.relispartition THEN (SELECT coalesce(sum(l.xmin::text::int8), 0)::int8 & 4294967295 " \
	"FROM pg_catalog.pg_partition_ancestors(c.oid) p JOIN pg_catalog.pg_inherits l ON l.inhrelid = p.relid) " \
	"ELSE 0 END"

/* ---- types.c ---- */

/* Resolves every type of these relations that is not built in. */
enum wm_status wm_pg_resolve_types(struct wm_pg *c, struct wm_relation *const *rels, size_t n,
    struct wm_error *err) WM_MUST_CHECK;

#endif
