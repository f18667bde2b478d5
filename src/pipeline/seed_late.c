/* SPDX-License-Identifier: PostgreSQL */
/*
 * seed_late.c - a seed while the stream goes on: one batch between two source transactions.
 */
#include <stdlib.h>
#include <string.h>

#include "seeder.h"
#include "walmill/strutil.h"

static struct unit *
due_unit(struct worker *w)
{
	/* What the session before left out, or had under another name, is older than a seed that begins after it. */
	if (atomic_load(&w->source->shared.sessions) < w->await_session)
		return NULL;
	for (size_t i = 0; i < w->nunits; i++)
		if (w->units[i]->state == UNIT_SEEDING && w->units[i]->await <= atomic_load(&w->end_lsn) &&
		    worker_hold(w, w->units[i]->rule) == NULL)
			return w->units[i];
	return NULL;
}

/* *ret_did false: the batch has to be read later. */
static enum wm_status
late_batch(struct seeder *s, bool *ret_did, struct wm_error *err)
{
	struct unit *u = s->unit;
	struct wm_leaves leaves = { 0 };
	enum wm_status st;
	bool more;

	*ret_did = false;
	seeder_restart_append(u);
	st = seeder_compile(s, u, err);
	/* A rule that failed left it so; the second time, when its rows were in the way, the view is empty. */
	for (int k = 0; st == WM_OK && k < 2; k++)
		st = seeder_make_key(s, err);
	if (st == WM_OK)
		st = seeder_empty_view(s, err);
	if (st == WM_OK)
		st = seeder_write(s, NULL, NULL, err);		/* creates the view */
	if (st == WM_OK)
		st = wm_publication_settle(s->sql, u->settle_xid, wm_clock_mono(), err);
	if (st == WM_RETRY && PQstatus(wm_pg_conn(s->sql)) == CONNECTION_OK) {
		/* Later; the stream goes on meanwhile. */
		stats_set_error(u->stats, err->text);
		return WM_OK;
	}
	if (st == WM_OK)
		st = seeder_begin(s, NULL, err);
	/* A row of before a transaction that has been applied must not come after it. */
	if (st == WM_OK && !worker_sees_all(s->w, s->visible))
		return wm_seed_end(s->sql, err);	/* later */
	if (st == WM_OK)
		st = wm_catalog_leaves(s->sql, u->oid, &leaves, err);
	if (st == WM_OK)
		st = seeder_match_leaves(u, &leaves, err);
	if (st == WM_OK && u->empty_view) {
		wm_leaves_free(&leaves);
		return wm_seed_end(s->sql, err);	/* the next batch empties it */
	}
	if (st == WM_OK)
		st = seeder_forget_letters(s, err);
	if (st == WM_OK)
		st = seeder_number_rows(s, err);
	for (size_t i = 0; st == WM_OK && i < u->nleaves; i++) {
		if (u->leaves[i].done)
			continue;
		if (u->rule->mode == WM_MODE_APPEND) {
			st = seeder_leaf(s, &leaves, i, err);
			continue;
		}
		st = seeder_range(s, seeder_find_leaf(&leaves, u->leaves[i].oid), &u->leaves[i], &more, err);
		break;
	}
	wm_leaves_free(&leaves);
	*ret_did = st == WM_OK;
	if (st == WM_OK)
		seeder_unit_done(s);
	return st == WM_OK ? wm_seed_end(s->sql, err) : st;
}

static enum wm_status
seed_in_place(struct worker *w, bool *ret_did, struct wm_error *err)
{
	struct seeder s = { .w = w, .delivery = w->delivery, .batcher = w->batcher, .unit = due_unit(w),
		.own_opened = 1, .late = true };
	enum wm_status st;

	s.delivery.seed = true;
	s.opened = &s.own_opened;
	*ret_did = false;
	if (s.unit == NULL)
		return WM_OK;
	st = worker_sql(w, err);
	if (st != WM_OK)
		return st;
	s.sql = w->sql;
	st = late_batch(&s, ret_did, err);
	w->bookmarks |= s.unit->dirty;
	wm_plan_free(s.plan);
	seeder_forget_passing(&s);
	free(s.visible);
	w->delivery.buried = s.delivery.buried;
	batcher_reset(w->batcher);
	if (st != WM_OK) {
		wm_pg_close(w->sql);	/* in the middle of a transaction, perhaps of a COPY */
		w->sql = NULL;
	}
	if (st == WM_REJECT) {
		st = seeder_fail_unit(&s, err);
		w->bookmarks = true;
	}
	if (seeder_was_altered(s.unit, st, err))
		st = WM_OK;
	worker_show_rules(w);
	return st;
}

/* The next range of rows that are put aside; *ret_done false: there are none such. */
static enum wm_status
put_aside(struct worker *w, bool *ret_done, struct wm_error *err)
{
	struct unit *u;
	enum wm_status st;

	*ret_done = w->staging != NULL;
	if (w->staging != NULL)
		return staging_step(w, err);
	u = due_unit(w);
	if (u == NULL || !staging_wanted(w, u))
		return WM_OK;
	st = worker_sql(w, err);
	if (st == WM_OK)
		st = staging_begin(w, u, ret_done, err);
	if (st == WM_REJECT)
		return WM_OK;		/* the other way is refused as well, and says so */
	*ret_done |= w->staging != NULL;
	if (st == WM_OK || !seeder_was_altered(u, st, err))
		return st;
	*ret_done = true;
	return WM_OK;
}

enum wm_status
seed_step(struct worker *w, bool *ret_did, struct wm_error *err)
{
	bool done;
	enum wm_status st = put_aside(w, &done, err);

	*ret_did = w->staging != NULL;
	return st != WM_OK || done ? st : seed_in_place(w, ret_did, err);
}
