/* SPDX-License-Identifier: PostgreSQL */
/*
 * route.c - which plans the changes of one relation go through.
 *
 * A route is made at the first change of a relation and made again when the stream announces the
 * relation with other columns, types or another name: rules are matched by name, so a renamed
 * table may fall under another rule.  Should it have its old name back when the catalog is read next, the
 * changes in between are missing, and the unit begins again.
 *
 * The catalog, and with it a rule that is new or was changed, may be ahead of the stream: older changes may lack
 * columns that the rule reads, or have them in types that the view left behind.  They are left to the rule's seed,
 * which begins (again) once the stream has passed what the catalog showed.  In the same way a rule that has come
 * further than the transaction at work, which comes again for another rule, has no plan for what the table was then.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "walmill/strutil.h"

static void
route_free(struct route *r)
{
	for (size_t i = 0; i < r->nplans; i++)
		wm_plan_free(r->plans[i].plan);
	free(r->plans);
	wm_relation_free(r->rel);
	free(r);
}

void
routes_forget(struct worker *w)
{
	struct route *r, *tmp;

	HASH_ITER(hh, w->routes, r, tmp) {
		HASH_DEL(w->routes, r);
		route_free(r);
	}
}

void
routes_announced(struct worker *w, uint32_t oid)
{
	struct route *r;

	for (r = w->routes; r != NULL; r = r->hh.next)
		if (oid == 0 || r->oid == oid)
			r->announced = NULL;
}

/* A unit that cannot go on: one that has rows holds its rule, so that nothing is lost; one that has none is left out. */
static enum wm_status
unit_stops(struct worker *w, struct unit *u, struct wm_error *err)
{
	wm_error_prefix(err, "table %s.%s under rule \"%s\"", u->schema, u->name, u->rule->name);
	stats_set_error(u->stats, err->text);
	if (u->state == UNIT_SEEDING) {
		unit_fail(u, false);
		w->bookmarks = true;
	} else
		w->delivery.failed_rule = u->rule->name;
	wm_log(WM_LOG_ERROR, "rule_failed", "%s", err->text);
	err->status = WM_REJECT;
	return WM_REJECT;
}

/* Types that only the catalog knows; the primary key where the identity does not tell it. */
static enum wm_status
complete(struct worker *w, struct wm_relation *rel, struct wm_error *err)
{
	bool needed = rel->identity == WM_IDENTITY_FULL;
	enum wm_status st;

	for (unsigned i = 0; i < rel->ncolumns; i++)
		needed |= rel->columns[i].type.class == WM_TYPE_UNKNOWN;
	if (!needed)
		return WM_OK;
	st = worker_sql_now(w, err);
	return st == WM_OK ? wm_catalog_complete(w->sql, rel, err) : st;
}

/* The primary key as it was known last, should the catalog not have the table any more. */
static void
recall_primary(const struct worker *w, struct wm_relation *rel)
{
	const struct unit *u = units_with(w, rel->oid);
	const struct wm_relation *known = u == NULL ? NULL : u->rel;

	for (unsigned k = 0; known != NULL && k < known->ncolumns; k++) {
		int column = known->columns[k].primary ? wm_relation_column(rel, known->columns[k].name) : -1;

		if (column >= 0)
			rel->columns[column].primary = true;
	}
}

/* Where a unit's table is known from that the stream has not passed; 0 when no seed is to come. */
static wm_lsn
known_until(const struct worker *w, const struct unit *u)
{
	if (u->rule->mode != WM_MODE_UPSERT || u->rule->seed_mode != WM_SEED_AUTO ||
	    (u->state != UNIT_SEEDING && u->state != UNIT_CATCHING))
		return 0;
	return u->rel_lsn > w->check_columns ? u->rel_lsn : w->check_columns;
}

static void
leave_to_seed(struct worker *w, struct unit *u)
{
	wm_log(WM_LOG_INFO, "left_to_seed", "table %s.%s looked different before rule \"%s\" came: older changes are "
	    "left to its seed, which begins when the stream has passed them", u->schema, u->name, u->rule->name);
	u->await = known_until(w, u);
	/* Rows that those changes took out of the table may be in the view. */
	u->empty_view = true;
	unit_restart(u);
	w->bookmarks = true;
	worker_show_rules(w);
}

static enum wm_status
add_plan(struct worker *w, struct route *r, struct unit *u, struct wm_error *err)
{
	struct wm_plan_env env = pipeline_plan_env(w->p, w->source);
	struct route_plan *plans = realloc(r->plans, (r->nplans + 1) * sizeof(*plans));
	struct wm_plan *plan = NULL;
	bool differ = false;
	enum wm_status st;

	env.emptied = u->empty_view;
	if (plans == NULL)
		return wm_oom(err, "a plan");
	r->plans = plans;
	st = wm_plan_compile(u->rule, r->rel, &env, &plan, err);
	if (st == WM_OK)
		st = columns_differ(u, plan, &differ, err);
	if ((st == WM_REJECT || differ) && (!apply_wants(w, u) || w->at.commit_lsn < known_until(w, u))) {
		if (apply_wants(w, u))
			leave_to_seed(w, u);
		wm_plan_free(plan);
		r->only = w->at.commit_lsn;
		return WM_OK;
	}
	if (st == WM_REJECT)
		return unit_stops(w, u, err);
	if (st != WM_OK) {
		wm_plan_free(plan);
		return st;
	}
	plans[r->nplans++] = (struct route_plan){ .plan = plan, .unit = u };
	if (apply_wants(w, u) && w->at.commit_lsn < known_until(w, u))
		u->older = u->dirty = w->bookmarks = true;
	return columns_follow(w, u, plan, err);
}

/* The table's changes come under another name than the unit's: what is its name now? */
static void
note_stray(struct worker *w, struct unit *u)
{
	u->strayed = w->at.commit_lsn;
	u->dirty = w->bookmarks = true;
	source_look_again(w->source);
}

static int
by_rule(const void *a, const void *b)
{
	const struct unit *const *l = a, *const *r = b;

	return ((*l)->rule > (*r)->rule) - ((*l)->rule < (*r)->rule);
}

/* The units of a table, in the order of their rules; *ret_n may be 0.  The caller frees *ret. */
static enum wm_status
units_of(struct worker *w, uint32_t oid, struct unit ***ret, size_t *ret_n, struct wm_error *err)
{
	struct unit **list;
	size_t n = 0;

	for (struct unit *u = units_with(w, oid); u != NULL; u = u->alike)
		n++;
	list = calloc(n + 1, sizeof(struct unit *));
	if (list == NULL)
		return wm_oom(err, "a table's rules");
	n = 0;
	for (struct unit *u = units_with(w, oid); u != NULL; u = u->alike)
		list[n++] = u;
	qsort(list, n, sizeof(struct unit *), by_rule);
	*ret = list;
	*ret_n = n;
	return WM_OK;
}

static enum wm_status
make(struct worker *w, const struct wm_relation *announced, struct route **ret, struct wm_error *err)
{
	WM_AUTO(wm_freep) struct unit **units = NULL;
	struct route *r = calloc(1, sizeof(*r));
	size_t n = 0;
	enum wm_status st;

	if (r == NULL || (r->rel = wm_relation_dup(announced)) == NULL) {
		free(r);
		return wm_oom(err, "a relation");
	}
	r->oid = announced->oid;
	recall_primary(w, r->rel);
	st = complete(w, r->rel, err);
	if (st == WM_OK)
		st = units_of(w, r->oid, &units, &n, err);
	for (size_t i = 0; st == WM_OK && i < n; i++) {
		struct unit *u = units[i];

		if (strcmp(u->name, r->rel->name) != 0 || strcmp(u->schema, r->rel->schema) != 0) {
			if (units_find(w, u->rule, r->oid, r->rel->schema, r->rel->name) == NULL)
				note_stray(w, u);
		} else if (w->at.commit_lsn < u->await || w->at.commit_lsn < u->since)
			r->only = w->at.commit_lsn;
		else if (u->state != UNIT_FAILED)
			st = add_plan(w, r, u, err);
	}
	if (st != WM_OK) {
		route_free(r);
		return st;
	}
	*ret = r;
	return WM_OK;
}

/* Whether rows wait for a view of these by another plan: under another oid, say. */
static bool
waits_for_same(const struct worker *w, const struct route *fresh)
{
	for (size_t i = 0; i < fresh->nplans; i++)
		if (batcher_has(w->batcher, wm_plan_view(fresh->plans[i].plan)->name))
			return true;
	return false;
}

enum wm_status
route_get(struct worker *w, const struct wm_relation *announced, struct route **ret, struct wm_error *err)
{
	struct route *r, *fresh = NULL;
	enum wm_status st;

	HASH_FIND(hh, w->routes, &announced->oid, sizeof(announced->oid), r);
	if (r != NULL && (r->only == 0 || r->only == w->at.commit_lsn) &&
	    (r->announced == announced || wm_relation_same(r->rel, announced))) {
		r->announced = announced;
		*ret = r;
		return WM_OK;
	}
	/* Rows that wait belong to views of the old plans. */
	st = r == NULL ? WM_OK : apply_flush(w, err);
	if (st == WM_OK)
		st = make(w, announced, &fresh, err);
	if (st == WM_OK && waits_for_same(w, fresh))
		st = apply_flush(w, err);
	if (st != WM_OK) {
		if (fresh != NULL)
			route_free(fresh);
		return st;
	}
	if (r != NULL) {
		HASH_DEL(w->routes, r);
		route_free(r);
	}
	fresh->announced = announced;
	HASH_ADD(hh, w->routes, oid, sizeof(fresh->oid), fresh);
	*ret = fresh;
	return WM_OK;
}

/* Somebody dropped the view at the target, or columns of it, which the source has had for long. */
static void
seed_what_is_gone(struct worker *w, const struct route_plan *rp, enum wm_found found)
{
	struct unit *u = rp->unit;
	const char *name = wm_plan_view(rp->plan)->name;

	if (found == WM_FOUND_ALL || u->state == UNIT_SEEDING || u->rule->seed_mode != WM_SEED_AUTO ||
	    (found == WM_FOUND_SOME && (u->grew || u->rule->mode != WM_MODE_UPSERT)))
		return;
	if (found == WM_FOUND_NONE)
		wm_log(WM_LOG_WARNING, "view_gone",
		    "view \"%s\" of rule \"%s\" had been dropped at the target; it is seeded again",
		    name, u->rule->name);
	else
		wm_log(WM_LOG_WARNING, "columns_gone",
		    "columns of view \"%s\" of rule \"%s\" had been dropped at the target; they are there again, and "
		    "the rows are read again to fill them", name, u->rule->name);
	unit_restart(u);
	w->bookmarks = true;
	worker_show_rules(w);
}

enum wm_status
route_ensure(struct worker *w, struct route_plan *rp, struct wm_error *err)
{
	struct unit *u = rp->unit;
	enum wm_found found;
	enum wm_status st;

	if (rp->ensured)
		return WM_OK;
	st = apply_land(w, err);
	if (st != WM_OK)
		return st;
	st = w->target->ops->ensure(w->target, wm_plan_view(rp->plan), &found, err);
	if (st == WM_REJECT)
		return unit_stops(w, u, err);
	if (st != WM_OK)
		return st;
	rp->ensured = true;
	w->uncommitted |= (w->target->ops->caps & WM_TARGET_TRANSACTIONAL) != 0;
	seed_what_is_gone(w, rp, found);
	if (u->grew)
		u->widening = w->widening = u->dirty = w->bookmarks = true;
	return WM_OK;
}

enum wm_status
route_plan_of(struct worker *w, struct unit *u, struct route_plan *own, struct route_plan **ret, struct wm_error *err)
{
	struct wm_plan_env env = pipeline_plan_env(w->p, w->source);
	struct route *r;

	HASH_FIND(hh, w->routes, &u->oid, sizeof(u->oid), r);
	for (size_t i = 0; r != NULL && i < r->nplans; i++)
		if (r->plans[i].unit == u) {
			*ret = &r->plans[i];
			return WM_OK;
		}
	*own = (struct route_plan){ .unit = u };
	*ret = own;
	return wm_plan_compile(u->rule, u->rel, &env, &own->plan, err);
}
