/* SPDX-License-Identifier: PostgreSQL */
/*
 * seed_stage.c - a late seed that fills a view anew without a hole: all under one snapshot, put aside range by range
 * between two source transactions, in the view's place at the end.
 *
 * The rule is held meanwhile, as a paused one is, from where the stream stood when the snapshot was taken: what it
 * changes comes again from the journal when the rows are in place.  So nothing but the seed writes to the view, and
 * the other rules go on.  After a crash the rule comes back as one that had failed does, and the seed begins again.
 */
#include <stdlib.h>
#include <string.h>

#include "letters.h"
#include "seeder.h"
#include "walmill/strutil.h"

#define TRIES 3				/* that were broken off, until the view is emptied and filled instead */

struct staging {
	struct seeder		 s;
	struct wm_leaves	 leaves;	/* of the snapshot */
};

const struct wm_rule *
staging_rule(const struct worker *w)
{
	return w->staging == NULL ? NULL : w->staging->s.unit->rule;
}

void
staging_free(struct worker *w)
{
	struct staging *g = w->staging;

	if (g == NULL)
		return;
	w->staging = NULL;
	wm_pg_close(g->s.sql);
	wm_plan_free(g->s.plan);
	batcher_destroy(g->s.batcher);
	letters_destroy(g->s.delivery.letters);
	wm_leaves_free(&g->leaves);
	free(g->s.visible);
	free(g);
}

/* The view must be the unit's alone: others' rows would be put aside with its own, or lost. */
static bool
is_alone(const struct worker *w, const struct unit *u, const char *view)
{
	for (size_t i = 0; i < w->nunits; i++) {
		const struct unit *other = w->units[i];
		WM_AUTO(wm_freep) char *name = other == u ? NULL :
		    wm_rule_view_name(other->rule, other->schema, other->name);

		if (other != u && (name == NULL || strcmp(name, view) == 0))
			return false;
	}
	return true;
}

bool
staging_wanted(const struct worker *w, const struct unit *u)
{
	WM_AUTO(wm_freep) char *view = wm_rule_view_name(u->rule, u->schema, u->name);

	return w->target->ops->stage != NULL && u->empty_view && u->rule->mode == WM_MODE_UPSERT &&
	    w->broken_off < TRIES && view != NULL && is_alone(w, u, view);
}

/* *ret_later: the snapshot would lack what the stream has brought, or could not be taken yet. */
static enum wm_status
open_snapshot(struct staging *g, bool *ret_later, struct wm_error *err)
{
	struct seeder *s = &g->s;
	struct unit *u = s->unit;
	enum wm_status st = wm_publication_settle(s->w->sql, u->settle_xid, wm_clock_mono(), err);

	if (st == WM_RETRY && PQstatus(wm_pg_conn(s->w->sql)) == CONNECTION_OK) {
		stats_set_error(u->stats, err->text);
		*ret_later = true;
		return WM_OK;
	}
	if (st == WM_OK)
		st = source_connect(s->w->source, WM_PG_SQL, "walmill seed", &s->sql, err);
	if (st == WM_OK)
		st = seeder_begin(s, NULL, err);
	if (st != WM_OK)
		return st;
	*ret_later = !worker_sees_all(s->w, s->visible);
	return WM_OK;
}

static enum wm_status
begin(struct staging *g, bool *ret_later, struct wm_error *err)
{
	struct seeder *s = &g->s;
	enum wm_status st = seeder_compile(s, s->unit, err);

	if (st == WM_OK)
		st = open_snapshot(g, ret_later, err);
	if (st != WM_OK || *ret_later)
		return st;
	st = seeder_lock_begin(s, err);
	if (st == WM_OK)
		st = wm_catalog_leaves(s->sql, s->unit->oid, &g->leaves, err);
	if (st == WM_OK)
		st = seeder_lock_end(s, err);
	if (st == WM_OK)
		st = seeder_match_leaves(s->unit, &g->leaves, err);
	if (st == WM_OK)
		st = seeder_forget_letters(s, err);
	if (st == WM_OK)
		st = seeder_stage_begin(s, err);
	if (st != WM_OK || !s->unit->staged)
		return st;
	return worker_add_hold(s->w, s->unit->rule, HOLD_SEEDING, err);
}

enum wm_status
staging_begin(struct worker *w, struct unit *u, bool *ret_later, struct wm_error *err)
{
	struct staging *g = calloc(1, sizeof(*g));
	enum wm_status st;

	*ret_later = false;
	if (g == NULL)
		return wm_oom(err, "a seed");
	w->staging = g;
	g->s = (struct seeder){ .w = w,
		.delivery = w->delivery,
		.batcher = batcher_create(),
		.unit = u,
		.own_opened = 1,
		.late = true };
	g->s.delivery.seed = true;
	g->s.opened = &g->s.own_opened;
	/* Its own: what the stream's batches have settled waits for the stream's commit. */
	g->s.delivery.letters = letters_create(w->p, w->delivery.source, w->model->name);
	st = g->s.batcher == NULL || g->s.delivery.letters == NULL ? wm_oom(err, "a batch") :
	    letters_load(g->s.delivery.letters, NULL, err);
	if (st == WM_OK)
		st = begin(g, ret_later, err);
	w->delivery.buried = g->s.delivery.buried;
	w->bookmarks |= u->dirty;
	if (st != WM_OK || !u->staged)
		staging_free(w);
	return st;
}

/* The rule goes on, from where it was held. */
static enum wm_status
let_go(struct worker *w, struct wm_error *err)
{
	const struct wm_rule *rule = staging_rule(w);
	enum wm_status st = apply_commit(w, err);

	if (st != WM_OK)
		return st;
	routes_forget(w);		/* their plans say that the view is to be emptied */
	staging_free(w);
	w->bookmarks = true;
	st = letters_load(w->delivery.letters, NULL, err);	/* the seed may have made some */
	return st == WM_OK ? worker_end_seeding(w, rule, err) : st;
}

enum wm_status
staging_drop(struct worker *w, struct wm_error *err)
{
	struct unit *u = w->staging == NULL ? NULL : w->staging->s.unit;
	enum wm_status st;

	if (u == NULL)
		return WM_OK;
	st = seeder_stage_drop(&w->staging->s, err);
	if (u->state == UNIT_SEEDING)
		unit_restart(u);
	return st == WM_OK ? let_go(w, err) : st;
}

static enum wm_status
end(struct staging *g, struct wm_error *err)
{
	struct worker *w = g->s.w;
	enum wm_status st = seeder_stage_end(&g->s, err);

	if (st != WM_OK)
		return st;
	seeder_unit_done(&g->s);
	w->broken_off = 0;
	return let_go(w, err);
}

/* Its locks go with the subtransaction: whoever alters the table waits for one range at most. */
static enum wm_status
range(struct staging *g, struct leaf_progress *progress, struct wm_error *err)
{
	struct seeder *s = &g->s;
	const struct wm_leaf *leaf = seeder_find_leaf(&g->leaves, progress->oid);
	enum wm_status st = seeder_lock_begin(s, err);
	bool more;

	if (st == WM_OK && leaf == NULL)
		st = wm_fail(err, WM_RETRY, "a part of %s.%s is not in its snapshot", s->unit->schema, s->unit->name);
	if (st == WM_OK)
		st = seeder_range(s, leaf, progress, &more, err);
	return st == WM_OK ? seeder_lock_end(s, err) : st;
}

static enum wm_status
step(struct staging *g, struct wm_error *err)
{
	struct unit *u = g->s.unit;

	for (size_t i = 0; i < u->nleaves; i++)
		if (!u->leaves[i].done)
			return range(g, &u->leaves[i], err);
	return end(g, err);
}

enum wm_status
staging_step(struct worker *w, struct wm_error *err)
{
	struct staging *g = w->staging;
	struct unit *u = g->s.unit;
	bool may;
	enum wm_status st;

	/* Something has had it begin again meanwhile. */
	if (!u->staged || u->state != UNIT_SEEDING || (u->nleaves == 0 && g->leaves.n > 0))
		return staging_drop(w, err);
	st = seeder_stage_may(&g->s, &may, err);
	if (st != WM_OK || !may)
		return st;		/* later; the stream of the others goes on */
	g->s.delivery.buried = w->delivery.buried;
	st = step(g, err);
	if (w->staging != NULL)
		w->delivery.buried = g->s.delivery.buried;
	worker_show_rules(w);
	if (st == WM_OK)
		return WM_OK;
	if (seeder_was_altered(u, st, err))
		return staging_drop(w, err);
	if (st == WM_REJECT) {
		st = seeder_fail_unit(&g->s, err);
		if (st == WM_OK)
			st = let_go(w, err);
		worker_show_rules(w);
		return st;
	}
	return st;
}

enum wm_status
staging_give_up(struct worker *w, struct wm_error *err)
{
	const struct unit *u = w->staging->s.unit;

	w->broken_off = TRIES;
	return wm_fail(err, WM_RETRY,
	    "the journal is full of what comes after the snapshot that %s.%s is seeded under: view and rows begin again, in "
	    "another way",
	    u->schema, u->name);
}
