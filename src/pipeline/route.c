/* SPDX-License-Identifier: PostgreSQL */
/*
 * route.c - which plans the changes of one relation go through.
 *
 * A route is made at the first change of a relation and made again when the stream announces the
 * relation with other columns, types or another name: rules are matched by name, so a renamed
 * table may fall under another rule.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "walmill/strutil.h"

#define GONE ":0:0"

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
	if (u->state == UNIT_SEEDING)
		u->state = UNIT_FAILED;
	else
		w->delivery.failed_rule = u->rule->name;
	wm_log(WM_LOG_ERROR, "rule_failed", "%s", err->text);
	err->status = WM_REJECT;
	return WM_REJECT;
}

/* The entry "name:oid:typmod" of a signature that belongs to name; NULL when there is none. */
static const char *
signature_find(const char *signature, const char *name, size_t len)
{
	for (const char *p = signature; *p != '\0'; p = strchr(p, ',') + 1)
		if (strncmp(p, name, len) == 0 && p[len] == ':')
			return p;
	return NULL;
}

/* The entry of a column that the table had once: the view still has it, with the values of then. */
static bool
is_gone(const char *entry)
{
	return strncmp(strchr(entry, ':'), GONE, strlen(GONE)) == 0;
}

/* now, and what of old is gone; malloc'd. */
static char *
signature_merge(const char *old, const char *now)
{
	struct wm_buf b;

	wm_buf_init(&b, 1U << 20);
	wm_buf_adds(&b, now);
	for (const char *p = old; *p != '\0'; p = strchr(p, ',') + 1) {
		size_t len = (size_t)(strchr(p, ':') - p);

		if (signature_find(now, p, len) == NULL)
			wm_buf_addf(&b, "%.*s" GONE ",", (int)len, p);
	}
	return wm_buf_steal(&b);
}

/* A typmod alone changes how values look only for these (they are rounded or padded to it). */
static bool
typmod_matters(const struct wm_relation *rel, const char *name, size_t len)
{
	for (unsigned i = 0; i < rel->ncolumns; i++) {
		const struct wm_column *c = &rel->columns[i];

		if (strlen(c->name) != len || strncmp(c->name, name, len) != 0)
			continue;
		return c->type.class != WM_TYPE_TEXT || strncmp(c->type.name, "character(", 10) == 0;
	}
	return false;
}

/*
 * Whether rows that stand in the view may differ from the source in a column that the stream said
 * nothing about: a column that came with a default, was renamed, or changed its type.
 */
static enum wm_status
needs_backfill(struct worker *w, const struct wm_relation *rel, const char *old, const char *new, bool *ret,
    struct wm_error *err)
{
	bool vanished = false;

	*ret = false;
	for (const char *p = old; *p != '\0'; p = strchr(p, ',') + 1)
		vanished |= !is_gone(p) && signature_find(new, p, (size_t)(strchr(p, ':') - p)) == NULL;
	for (const char *p = new; *p != '\0' && !*ret; p = strchr(p, ',') + 1) {
		size_t len = (size_t)(strchr(p, ':') - p), whole = (size_t)(strchr(p, ',') - p);
		const char *was = signature_find(old, p, len);
		const char *type_end;
		enum wm_status st;

		if (was == NULL && vanished)
			*ret = true;		/* perhaps renamed: rows have values */
		else if (was == NULL) {
			WM_AUTO(wm_freep) char *name = strndup(p, len);

			if (name == NULL)
				return wm_oom(err, "a column");
			st = worker_sql_now(w, err);
			if (st == WM_OK)
				st = wm_catalog_has_default(w->sql, rel->oid, name, ret, err);
			if (st != WM_OK)
				return st;
		} else if (strncmp(p, was, whole + 1) != 0) {
			type_end = strchr(p + len + 1, ':');
			*ret = strncmp(p, was, (size_t)(type_end - p) + 1) != 0 || typmod_matters(rel, p, len);
		}
	}
	return WM_OK;
}

enum wm_status
route_follow_columns(struct worker *w, struct unit *u, const struct wm_plan *plan, struct wm_error *err)
{
	const struct wm_relation *rel = wm_plan_relation(plan);
	WM_AUTO(wm_freep) char *listed = unit_signature(rel, wm_plan_needed(plan));
	WM_AUTO(wm_freep) char *now = listed == NULL ? NULL : signature_merge(u->columns == NULL ? "" : u->columns, listed);
	bool backfill = false;
	enum wm_status st;

	if (now == NULL)
		return wm_oom(err, "a table");
	if (u->columns != NULL && strcmp(u->columns, now) == 0)
		return WM_OK;
	if (u->columns != NULL) {
		st = needs_backfill(w, rel, u->columns, listed, &backfill, err);
		if (st != WM_OK)
			return st;
		wm_log(WM_LOG_INFO, "columns_changed", "the columns of table %s.%s changed%s", u->schema, u->name,
		    backfill ? "; its rows are read again" : "");
	}
	/* A seed reads the columns as they are from here on. */
	st = unit_take_relation(u, rel, w->in_transaction ? w->at.commit_lsn : u->rel_lsn, err);
	if (st != WM_OK)
		return st;
	free(u->columns);
	u->columns = now;
	now = NULL;
	if (backfill && u->rule->mode == WM_MODE_UPSERT && u->rule->seed_mode == WM_SEED_AUTO)
		unit_restart(u);
	u->dirty = w->bookmarks = true;
	worker_show_rules(w);
	return WM_OK;
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

static enum wm_status
add_plan(struct worker *w, struct route *r, struct unit *u, struct wm_error *err)
{
	struct wm_plan_env env = pipeline_plan_env(w->p, w->source->config->name);
	struct route_plan *plans = realloc(r->plans, (r->nplans + 1) * sizeof(*plans));
	struct wm_plan *plan = NULL;
	enum wm_status st;

	if (plans == NULL)
		return wm_oom(err, "a plan");
	r->plans = plans;
	st = wm_plan_compile(u->rule, r->rel, &env, &plan, err);
	if (st == WM_REJECT)
		return unit_stops(w, u, err);
	if (st != WM_OK)
		return st;
	plans[r->nplans++] = (struct route_plan){ .plan = plan, .unit = u };
	return route_follow_columns(w, u, plan, err);
}

static enum wm_status
make(struct worker *w, const struct wm_relation *announced, struct route **ret, struct wm_error *err)
{
	const struct wm_ruleset *rules = w->p->setup->rules;
	struct route *r = calloc(1, sizeof(*r));
	enum wm_status st;

	if (r == NULL || (r->rel = wm_relation_dup(announced)) == NULL) {
		free(r);
		return wm_oom(err, "a relation");
	}
	r->oid = announced->oid;
	st = complete(w, r->rel, err);
	for (size_t i = 0; st == WM_OK && i < rules->n; i++) {
		const struct wm_rule *rule = &rules->rules[i];
		struct unit *u;

		if (strcmp(rule->target, w->model->name) != 0 || strcmp(rule->source, w->source->config->name) != 0)
			continue;
		u = units_find(w, rule, r->oid, r->rel->schema, r->rel->name);
		if (u != NULL && u->state != UNIT_FAILED)
			st = add_plan(w, r, u, err);
	}
	if (st != WM_OK) {
		route_free(r);
		return st;
	}
	*ret = r;
	return WM_OK;
}

enum wm_status
route_get(struct worker *w, const struct wm_relation *announced, struct route **ret, struct wm_error *err)
{
	struct route *r, *fresh = NULL;
	enum wm_status st;

	HASH_FIND(hh, w->routes, &announced->oid, sizeof(announced->oid), r);
	if (r != NULL && (r->announced == announced || wm_relation_same(r->rel, announced))) {
		r->announced = announced;
		*ret = r;
		return WM_OK;
	}
	/* Rows that wait belong to views of the old plans. */
	st = apply_flush(w, err);
	if (st == WM_OK)
		st = make(w, announced, &fresh, err);
	if (st != WM_OK)
		return st;
	if (r != NULL) {
		HASH_DEL(w->routes, r);
		route_free(r);
	}
	fresh->announced = announced;
	HASH_ADD(hh, w->routes, oid, sizeof(fresh->oid), fresh);
	*ret = fresh;
	return WM_OK;
}

enum wm_status
route_ensure(struct worker *w, struct route_plan *rp, struct wm_error *err)
{
	struct unit *u = rp->unit;
	bool created;
	enum wm_status st;

	if (rp->ensured)
		return WM_OK;
	st = w->target->ops->ensure(w->target, wm_plan_view(rp->plan), &created, err);
	if (st == WM_REJECT)
		return unit_stops(w, u, err);
	if (st != WM_OK)
		return st;
	rp->ensured = w->uncommitted = true;
	if (created && u->state != UNIT_SEEDING && u->rule->seed_mode == WM_SEED_AUTO) {
		wm_log(WM_LOG_WARNING, "view_gone", "view \"%s\" of rule \"%s\" had been dropped at the target; it is seeded again",
		    wm_plan_view(rp->plan)->name, u->rule->name);
		unit_restart(u);
		w->bookmarks = true;
		worker_show_rules(w);
	}
	return WM_OK;
}
