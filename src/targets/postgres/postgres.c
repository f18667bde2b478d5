/* SPDX-License-Identifier: PostgreSQL */
/*
 * postgres.c - the postgres back-end: connection and transaction.
 *
 * Everything between two commits is one transaction of one session; the bookmarks commit with
 * it.  Any failure but a refused batch leaves the session for the pipeline to close.
 */
#include "parallel.h"

#include <stdlib.h>
#include <string.h>

#include "walmill/fault.h"
#include "walmill/strutil.h"
#include "walmill/targets.h"

enum { OLDEST_VERSION = 120000 };

static const char *const schemes[] = { "postgresql", "postgres", NULL };

static const char *const apply_words[] = { "transactions", "parallel", NULL };

static const struct wm_option options[] = {
	{ .name = "uri",
	    .kind = WM_OPT_SECRET,
	    .offset = offsetof(struct wm_postgres, uri),
	    .required = true,
	    .help = "postgresql://user@host/database?sslmode=verify-full" },
	{ .name = "schema",
	    .kind = WM_OPT_STRING,
	    .offset = offsetof(struct wm_postgres, schema),
	    .help =
		"where views without a schema go; default: the first schema of the role's search_path" },
	{ .name = "silence",
	    .kind = WM_OPT_DURATION,
	    .offset = offsetof(struct wm_postgres, silence),
	    .fallback = "60s",
	    .min = 1000 * 1000,
	    .max = INT64_MAX,
	    .help =
		"how long a statement may take until the server is asked whether it works at it" },
	{ .name = "apply",
	    .kind = WM_OPT_ENUM,
	    .offset = offsetof(struct wm_postgres, apply),
	    .fallback = "transactions",
	    .words = apply_words,
	    .help =
		"transactions: readers see whole transactions of the source; parallel: `workers` sessions share each "
		"large batch, and readers may see some of a transaction" },
	{ .name = "workers",
	    .kind = WM_OPT_INT,
	    .offset = offsetof(struct wm_postgres, workers),
	    .fallback = "4",
	    .min = 2,
	    .max = 32,
	    .help = "sessions, beside the main one, with `apply: parallel`" },
	{ .name = NULL },
};

/*
 * A waiting lock must not hold a view for ever, a session that has nothing to do must not be
 * cut off, and what the pipeline takes for stored must survive a power loss: a commit that has to wait for the disk says
 * so itself (WM_POSTGRES_DURABLY).
 */
static const char session[] =
    "SELECT set_config('lock_timeout', '30s', false) WHERE current_setting('lock_timeout') = '0';"
    " SELECT set_config('walmill.synchronous_commit', coalesce(nullif(current_setting('synchronous_commit'), 'off'), 'local'), false);"
    " SELECT set_config('synchronous_commit', 'off', false);"
    " SELECT set_config('idle_session_timeout', '0', false)"
    "  WHERE current_setting('server_version_num')::int >= 140000";

enum wm_status
wm_postgres_begin(struct wm_postgres *t, struct wm_error *err)
{
	enum wm_status st;

	if (t->in_transaction)
		return WM_OK;
	st = wm_pg_exec(t->pg, WM_POSTGRES_BEGIN, "could not begin a transaction", err);
	t->in_transaction = st == WM_OK;
	WM_FAULT(postgres_begun);
	return st;
}

enum wm_status
wm_postgres_undo(struct wm_postgres *t, struct wm_error *err)
{
	return wm_pg_exec(t->pg, "ROLLBACK TO SAVEPOINT walmill; RELEASE SAVEPOINT walmill",
	    "could not undo", err);
}

/* Decides where views without a schema go. */
static enum wm_status
find_home(struct wm_postgres *t, struct wm_error *err)
{
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	enum wm_status st = wm_pg_query(t->pg,
	    "SELECT current_schema(), pg_is_in_recovery(), current_setting('search_path')", 0, NULL,
	    "could not read the session's schema", &res, err);

	if (st != WM_OK)
		return st;
	if (PQgetvalue(res, 0, 1)[0] == 't')
		return wm_fail(err, WM_RETRY,
		    "%s is a standby, which takes no writes; name the primary in `uri:`, or add "
		    "target_session_attrs=read-write",
		    wm_pg_where(t->pg));
	if (t->schema == NULL && PQgetisnull(res, 0, 0))
		return wm_fail(err, WM_FATAL,
		    "%s: no schema of the search_path (%s) exists; set `schema:` of the target",
		    wm_pg_where(t->pg), PQgetvalue(res, 0, 2));
	t->home = strdup(t->schema != NULL ? t->schema : PQgetvalue(res, 0, 0));
	return t->home == NULL ? wm_oom(err, "a schema's name") : WM_OK;
}

static void
close_session(struct wm_target *base)
{
	struct wm_postgres *t = (struct wm_postgres *)base;

	wm_postgres_sides_close(t);
	wm_pg_close(t->pg);
	t->pg = NULL;
	free(t->home);
	t->home = NULL;
	wm_postgres_views_forget(t);
	wm_postgres_bookmarks_forget(t);
	for (unsigned i = 0; i < t->nparams; i++)
		wm_buf_free(&t->params[i]);
	free(t->params);
	t->params = NULL;
	t->nparams = 0;
	t->in_transaction = t->changed_shape = t->bookmarks_checked = false;
	t->alone = (struct wm_doubt){ 0 };
}

static enum wm_status
open_session(struct wm_target *base, struct wm_error *err)
{
	struct wm_postgres *t = (struct wm_postgres *)base;
	enum wm_status st;

	close_session(base);
	st = wm_pg_connect(t->uri, WM_PG_SQL, "walmill", &t->pg, err);
	if (st != WM_OK)
		return st;
	wm_pg_set_silence(t->pg, t->silence);
	if (wm_pg_version(t->pg) < OLDEST_VERSION)
		return wm_fail(err, WM_FATAL,
		    "%s runs PostgreSQL %d; a target must be version %d or later",
		    wm_pg_where(t->pg), wm_pg_version(t->pg) / 10000, OLDEST_VERSION / 10000);
	st = wm_pg_exec(t->pg, session, "could not set up the session", err);
	return st == WM_OK ? find_home(t, err) : st;
}

static void
rollback(struct wm_target *base)
{
	struct wm_postgres *t = (struct wm_postgres *)base;
	struct wm_error ignored;

	if (t->pg == NULL || !t->in_transaction)
		return;
	t->in_transaction = false;
	/* When this fails the session is broken: the next call finds out. */
	if (wm_pg_exec(t->pg, "ROLLBACK", "could not roll back", &ignored) != WM_OK ||
	    t->changed_shape)
		wm_postgres_views_forget(t);
	t->changed_shape = false;
}

const struct wm_target_ops wm_target_postgres_ops = {
	.type = "postgres",
	.schemes = schemes,
	.uri_option = "uri",
	.batch_rows = 32000,
	.batch_bytes = 16 << 20,
	.size = sizeof(struct wm_postgres),
	.caps = WM_TARGET_TRANSACTIONAL | WM_TARGET_PARTIAL | WM_TARGET_PARALLEL,
	.options = options,
	.open = open_session,
	.load = wm_postgres_load,
	.ensure = wm_postgres_ensure,
	.write = wm_postgres_write,
	.commit = wm_postgres_commit,
	.commit_soon = wm_postgres_commit_soon,
	.write_commit = wm_postgres_write_commit,
	.rollback = rollback,
	.close = close_session,
	.preflight = wm_postgres_preflight,
	.pass = wm_postgres_pass,
	.make_key = wm_postgres_make_key,
};
