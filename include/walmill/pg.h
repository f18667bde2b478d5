/* SPDX-License-Identifier: PostgreSQL */
/*
 * pg.h - PostgreSQL connections, catalog look-ups, slots and publications.
 *
 * A connection belongs to one thread at a time.  Every session renders values the same way
 * (ISO dates, UTC, hex bytea, C money, extra_float_digits 3, UTF-8), whatever the role or database sets.
 */
#ifndef WM_PG_H
#define WM_PG_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "walmill/buf.h"
#include "walmill/clock.h"
#include "walmill/diag.h"
#include "walmill/error.h"
#include "walmill/lsn.h"
#include "walmill/model.h"

struct wm_pg;

enum wm_pg_kind {
	WM_PG_SQL,		/* ordinary session */
	WM_PG_REPLICATION,	/* replication=database: simple protocol only */
};

/* err's code when the server takes no connections at this time: it starts, recovers or shuts down. */
#define WM_PG_CANNOT_CONNECT_NOW "57P03"

/*
 * application is what pg_stat_activity shows.  WM_RETRY when the server cannot be reached or is
 * starting, WM_FATAL for wrong credentials, unknown database, bad URI.  No password in err.
 */
enum wm_status wm_pg_connect(const char *uri, enum wm_pg_kind kind, const char *application, struct wm_pg **ret,
    struct wm_error *err) WM_MUST_CHECK;
void wm_pg_close(struct wm_pg *c);			/* NULL is a no-op */
void wm_pg_closep(struct wm_pg **c);			/* for WM_AUTO */
/* Any thread, while c is open: asks the server to break off what runs on c, which then fails with SQLSTATE 57014. */
void wm_pg_cancel(struct wm_pg *c);
/*
 * How long a statement may be silent before another connection looks after it (default 60 s): it then has all the time
 * that it needs when the server works at it, and fails with WM_RETRY when the server is frozen, or bytes were lost.
 */
void wm_pg_set_silence(struct wm_pg *c, wm_usec silence);
PGconn *wm_pg_conn(struct wm_pg *c);			/* borrowed */
int wm_pg_version(const struct wm_pg *c);		/* 150020 */
/* "host=db.example.com port=5432 dbname=shop", no password: for messages. */
const char *wm_pg_where(const struct wm_pg *c);

/* What a failed result (or, with res NULL, the connection) means: RETRY, REJECT, FATAL by SQLSTATE. */
enum wm_status wm_pg_classify(const char *sqlstate);
/* Fills err from res or the connection: status by wm_pg_classify, code, "what: message". No row value: detail is left out. */
enum wm_status wm_pg_fail(struct wm_pg *c, const PGresult *res, struct wm_error *err, const char *what, ...)
    WM_PRINTF(4, 5);

/* Simple protocol, any number of statements, rows dropped.  what names it in err. */
enum wm_status wm_pg_exec(struct wm_pg *c, const char *sql, const char *what, struct wm_error *err) WM_MUST_CHECK;
/* One statement that returns rows; caller PQclears *ret. params may be NULL when n is 0 (then simple protocol). */
enum wm_status wm_pg_query(struct wm_pg *c, const char *sql, int n, const char *const *params, const char *what,
    PGresult **ret, struct wm_error *err) WM_MUST_CHECK;
void wm_pg_clearp(PGresult **res);			/* for WM_AUTO */
/*
 * What PQexec (n 0) or PQexecParams, PQgetResult and a waiting PQgetCopyData give, with silences looked after; wm_pg_fail
 * has the reason.  Results and rows are the caller's.
 */
PGresult *wm_pg_run(struct wm_pg *c, const char *sql, int n, const char *const *params);
PGresult *wm_pg_result(struct wm_pg *c);
int wm_pg_copy_row(struct wm_pg *c, char **ret);
/* As PQconsumeInput, and what TLS holds; false: the connection is broken. */
bool wm_pg_consume(struct wm_pg *c);
/*
 * COPY FROM STDIN, once PGRES_COPY_IN has come: sends a piece, which need not end with a row; ends the data, or, with
 * why, has the server give it up.  False: the connection is lost, wm_pg_fail has the reason.  What the server makes of
 * the data comes as a result.
 */
bool wm_pg_copy_put(struct wm_pg *c, const char *data, size_t len);
bool wm_pg_copy_end(struct wm_pg *c, const char *why);

void wm_pg_quote_ident(struct wm_buf *b, const char *name);	/* "na""me" */
void wm_pg_quote_literal(struct wm_buf *b, const char *s);	/* 'va''lue', E'' when it has a backslash */

/* ---- identity ---- */

struct wm_pg_identity {
	char		system_id[24];
	uint32_t	timeline;
	wm_lsn		wal_lsn;	/* current write position */
};
/* On a replication connection. */
enum wm_status wm_pg_identify(struct wm_pg *c, struct wm_pg_identity *ret, struct wm_error *err) WM_MUST_CHECK;
/* Where timeline left its parent ancestor; *ret_lsn 0 when ancestor is not in its history. Replication connection. */
enum wm_status wm_pg_timeline_switch(struct wm_pg *c, uint32_t timeline, uint32_t ancestor, wm_lsn *ret_lsn,
    struct wm_error *err) WM_MUST_CHECK;
enum wm_status wm_pg_current_lsn(struct wm_pg *c, wm_lsn *ret_lsn, struct wm_error *err) WM_MUST_CHECK;
/*
 * The same for one who waits until the stream is there: WAL that no commit waits for may stay in the server's memory
 * for a quarter of a minute, and is not sent before, so it is given a reason to write it.
 */
enum wm_status wm_pg_current_lsn_to_wait_for(struct wm_pg *c, wm_lsn *ret_lsn, struct wm_error *err) WM_MUST_CHECK;

/*
 * Writes a message into the WAL, outside of transactions, for those who decode it; *ret_lsn: where it ends, 0 when
 * the server is in recovery and cannot.
 */
enum wm_status wm_pg_emit_message(struct wm_pg *c, const char *prefix, const char *text, wm_lsn *ret_lsn,
    struct wm_error *err) WM_MUST_CHECK;

/* ---- slots ---- */

#define WM_SLOT_TWO_PHASE 150000	/* servers from here on send prepared transactions by pgoutput */
#define WM_SLOT_FAILOVER 170000		/* standbys of servers from here on keep copies of slots */

struct wm_slot_info {
	bool	exists, active, lost;
	int	active_pid;
	char	plugin[64], database[64], invalidation[64];
	bool	same_database;
	wm_lsn	restart_lsn, confirmed_lsn;
	int64_t	safe_wal_size;			/* bytes; -1 unknown or unlimited */
};
enum wm_status wm_slot_info(struct wm_pg *c, const char *slot, struct wm_slot_info *ret,
    struct wm_error *err) WM_MUST_CHECK;
struct wm_slot_wal {			/* bytes; -1 unknown */
	const char	*status;		/* "reserved", "extended", "unreserved", "lost" */
	int64_t		retained;		/* WAL that is kept for the slot */
	int64_t		budget;			/* max_slot_wal_keep_size; -1 none */
	int64_t		left;			/* what may be written until the slot is in danger; -1 no budget */
};
/* *ret_found false: no such slot. */
enum wm_status wm_slot_wal(struct wm_pg *c, const char *slot, struct wm_slot_wal *ret, bool *ret_found,
    struct wm_error *err) WM_MUST_CHECK;
/* Whether a slot made here can be kept in step at standbys: version 17 and later, not on a standby itself. */
enum wm_status wm_slot_can_failover(struct wm_pg *c, bool *ret, struct wm_error *err) WM_MUST_CHECK;
/*
 * On a replication connection: pgoutput slot whose snapshot stays importable until the next
 * command on it.  snapshot: caller's buffer for its name.  The server waits until every older transaction has
 * ended; waiting is called for every second of that (NULL: nobody wants to know).
 */
enum wm_status wm_slot_create(struct wm_pg *c, const char *slot, bool failover, void (*waiting)(void *arg), void *arg,
    wm_lsn *ret_consistent, char *snapshot, size_t size, struct wm_error *err) WM_MUST_CHECK;
/* Appends the sessions that the other connection's command waits for; nothing when it waits for none. */
enum wm_status wm_pg_blockers(struct wm_pg *c, const struct wm_pg *waiting, struct wm_buf *ret,
    struct wm_error *err) WM_MUST_CHECK;
/* No error when it does not exist. SQL or replication connection. */
enum wm_status wm_slot_drop(struct wm_pg *c, const char *slot, struct wm_error *err) WM_MUST_CHECK;

/* ---- catalog ---- */

struct wm_table {
	struct wm_relation	*rel;		/* columns that the stream can carry, types resolved */
	char			 kind;		/* relkind: r, p */
	bool			 unlogged;
	bool			 partition;	/* a partition of another table */
	uint32_t		 root;		/* of a partition that holds rows: the table above all; else 0 */
	uint32_t		 node;		/* of such a partition: its file, another one after TRUNCATE or a rewrite */
	uint32_t		 link;		/* and what ties it to the root: changes when it is attached anew */
	double			 rows;		/* estimate; -1 unknown */
	int64_t			 bytes;
	bool			 has_generated;	/* stored generated columns that the stream leaves out */
	bool			 owned;		/* this role may put it into a publication */
	bool			 readable;	/* SELECT granted */
	bool			 row_security;	/* RLS would hide rows from this role */
};

struct wm_tables {
	size_t		 n;
	struct wm_table	*list;
};
/*
 * All ordinary and partitioned user tables of the database (system schemas left out; partitions
 * included and marked).  rel's columns have `identity` and `primary` set.
 */
enum wm_status wm_catalog_tables(struct wm_pg *c, struct wm_tables *ret, struct wm_error *err) WM_MUST_CHECK;
void wm_tables_free(struct wm_tables *t);
/* A cheap value that changes when any table's name, columns, identity or partitioning changes. */
enum wm_status wm_catalog_version(struct wm_pg *c, uint64_t *ret, struct wm_error *err) WM_MUST_CHECK;
/*
 * Completes a relation that came from the stream: unknown types resolved (domains, enums,
 * composites, arrays of them), primary key flags set.  A relation dropped meanwhile keeps
 * text types, and the flags that it has.
 */
enum wm_status wm_catalog_complete(struct wm_pg *c, struct wm_relation *rel, struct wm_error *err) WM_MUST_CHECK;

struct wm_leaf {			/* what a seed reads: an ordinary table, or a leaf partition */
	uint32_t	oid;
	uint32_t	node;		/* relfilenode: changes when the table is rewritten or truncated */
	uint32_t	link;		/* of a partition: changes when it, or one above it, is attached anew; else 0 */
	char		*schema, *name;
	double		 rows;		/* estimate; -1 unknown */
	uint32_t	 blocks;	/* current length */
};
struct wm_leaves {
	size_t		 n;
	struct wm_leaf	*list;
};
/* The leaves of table oid (itself when not partitioned). */
enum wm_status wm_catalog_leaves(
    struct wm_pg *c, uint32_t oid, struct wm_leaves *ret, struct wm_error *err) WM_MUST_CHECK;
void wm_leaves_free(struct wm_leaves *l);
/*
 * Whether rows of table oid may have got a value of this new column without a row change in the stream: ADD COLUMN
 * ... DEFAULT, or DROP EXPRESSION of a generated one.  last_number: the table's highest attnum before; 0 unknown.
 */
enum wm_status wm_catalog_has_default(struct wm_pg *c, uint32_t oid, const char *column, unsigned last_number,
    bool *ret, struct wm_error *err) WM_MUST_CHECK;
/*
 * Whether the table never holds two rows that are the same in these columns (indexes into rel's, numbers known),
 * not even within a transaction: there is a unique index over them or some of them, valid, whole and not deferrable.
 */
enum wm_status wm_catalog_is_unique(struct wm_pg *c, const struct wm_relation *rel, const unsigned *columns,
    unsigned n, bool *ret, struct wm_error *err) WM_MUST_CHECK;

/* ---- publications ---- */

struct wm_published {		/* one table of a publication */
	uint32_t	 oid;
	const char	*schema, *name;
	size_t		 ncolumns;	/* 0: all columns */
	const char	**columns;
	bool		 no_identity;	/* inserts only */
};
/*
 * A table without replica identity may be published for its inserts only: with more, PostgreSQL refuses the
 * application's updates and deletes of it.  Such tables go into a second publication.
 */
enum wm_publish { WM_PUBLISH_ALL, WM_PUBLISH_INSERTS };
#define WM_PUBLICATION_NAMELEN 64
/* The second publication's name. */
void wm_publication_inserts_name(const char *publication, char ret[WM_PUBLICATION_NAMELEN]);
/*
 * Makes the publication exist, via partition root, with exactly these tables and column lists
 * (15 and later); does nothing when it is in step.  *ret_changed tells.  WM_OPERATOR with the
 * missing privilege in the text when this role may not.
 */
enum wm_status wm_publication_sync(struct wm_pg *c, const char *publication, enum wm_publish what,
    const struct wm_published *tables, size_t n, bool *ret_changed, struct wm_error *err) WM_MUST_CHECK;
/*
 * For `manage: false`: says what is missing for these tables (publication absent, table not in
 * it, columns not published, an event not published, not via root).
 */
enum wm_status wm_publication_check(struct wm_pg *c, const char *publication, const struct wm_published *tables,
    size_t n, struct wm_diags *findings, struct wm_error *err) WM_MUST_CHECK;
/* OIDs, ascending, of the tables that are in the publication and its second one now (none when it does not exist); caller frees *ret. */
enum wm_status wm_publication_members(struct wm_pg *c, const char *publication, uint32_t **ret, size_t *ret_n,
    struct wm_error *err) WM_MUST_CHECK;
enum wm_status wm_publication_exists(
    struct wm_pg *c, const char *publication, bool *ret, struct wm_error *err) WM_MUST_CHECK;
enum wm_status wm_publication_drop(struct wm_pg *c, const char *publication, struct wm_error *err) WM_MUST_CHECK;
/*
 * Waits (polling, until deadline, wm_clock_mono) for every transaction that ran when the
 * publication was last altered to end, so that a snapshot taken now misses none of their rows.
 * WM_RETRY at the deadline; the text names the oldest transaction's pid.
 */
enum wm_status wm_publication_settle(
    struct wm_pg *c, uint64_t since_xid, wm_usec deadline, struct wm_error *err) WM_MUST_CHECK;
/* Takes a transaction id (xid8): the argument of wm_publication_settle, after the alteration has committed. */
enum wm_status wm_pg_next_xid(struct wm_pg *c, uint64_t *ret, struct wm_error *err) WM_MUST_CHECK;

#endif
