/* SPDX-License-Identifier: PostgreSQL */
/*
 * units.c - the tables under the rules of one worker, and how far each has come.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "walmill/strutil.h"

struct unit *
unit_create(const struct wm_rule *rule, struct rule_stats *stats, const struct wm_relation *rel)
{
	struct unit *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return NULL;
	pthread_mutex_init(&u->lock, NULL);
	pthread_mutex_init(&u->bookmarking, NULL);
	u->rule = rule;
	u->stats = stats;
	u->oid = rel->oid;
	u->fingerprint = rule->fingerprint;
	u->schema = strdup(rel->schema);
	u->name = strdup(rel->name);
	u->rel = wm_relation_dup(rel);
	if (stats == NULL || u->schema == NULL || u->name == NULL || u->rel == NULL) {
		unit_destroy(u);
		return NULL;
	}
	return u;
}

void
unit_destroy(struct unit *u)
{
	if (u == NULL)
		return;
	pthread_mutex_destroy(&u->lock);
	pthread_mutex_destroy(&u->bookmarking);
	wm_relation_free(u->rel);
	free(u->schema);
	free(u->name);
	free(u->visible);
	free(u->columns);
	free(u->numbers);
	free(u->leaves);
	free(u->seen);
	free(u);
}

void
unit_restart(struct unit *u)
{
	u->dirty = true;
	if (u->rule->seed_mode == WM_SEED_NEVER) {
		u->state = UNIT_STREAMING;
		u->empty_view = false;
		return;
	}
	u->state = UNIT_SEEDING;
	u->reseed = true;
	u->catchup = 0;
	free(u->visible);
	u->visible = NULL;
	free(u->leaves);
	u->leaves = NULL;
	u->nleaves = 0;
	u->read = u->written = u->filtered = u->dead = 0;
	u->resumed = false;
	if (u->rule->mode == WM_MODE_APPEND)
		u->empty_view = true;	/* a log begins with its seed */
}

bool
unit_has_progress(const struct unit *u)
{
	for (size_t i = 0; i < u->nleaves; i++)
		if (u->leaves[i].next != 0 || u->leaves[i].done || u->leaves[i].nahead > 0)
			return true;
	return false;
}

void
unit_fail(struct unit *u, bool left_rows)
{
	u->empty_view |= left_rows || u->reseed || unit_has_progress(u);
	u->state = UNIT_FAILED;
	u->dirty = true;
}

struct unit *
units_with(const struct worker *w, uint32_t oid)
{
	struct unit *first;

	HASH_FIND(hh, w->by_oid, &oid, sizeof(oid), first);
	return first;
}

static void
index_unit(struct worker *w, struct unit *u)
{
	struct unit *first = units_with(w, u->oid);

	u->alike = NULL;
	if (first == NULL)
		HASH_ADD(hh, w->by_oid, oid, sizeof(u->oid), u);
	else {
		u->alike = first->alike;
		first->alike = u;
	}
}

struct unit *
units_find(struct worker *w, const struct wm_rule *rule, uint32_t oid, const char *schema, const char *name)
{
	for (struct unit *u = units_with(w, oid); u != NULL; u = u->alike) {
		if (u->rule == rule && strcmp(u->name, name) == 0 && strcmp(u->schema, schema) == 0)
			return u;
	}
	return NULL;
}

void
units_free(struct worker *w)
{
	HASH_CLEAR(hh, w->by_oid);
	for (size_t i = 0; i < w->nunits; i++)
		unit_destroy(w->units[i]);
	free(w->units);
	w->units = NULL;
	w->nunits = 0;
}

bool
units_settled(const struct worker *w)
{
	for (size_t i = 0; i < w->nunits; i++)
		if (w->units[i]->state == UNIT_SEEDING || w->units[i]->state == UNIT_CATCHING) {
			const struct hold *h = w->holds;

			while (h != NULL && h->rule != w->units[i]->rule)
				h = h->next;
			if (h == NULL || h->why == HOLD_SEEDING)
				return false;
		}
	for (const struct hold *h = w->holds; h != NULL; h = h->next)
		if (h->resuming)
			return false;
	return true;
}

enum wm_status
unit_take_relation(struct unit *u, const struct wm_relation *rel, wm_lsn lsn, struct wm_error *err)
{
	struct wm_relation *copy;

	if (lsn < u->rel_lsn)
		return WM_OK;
	copy = wm_relation_dup(rel);
	if (copy == NULL)
		return wm_oom(err, "a table");
	u->rel_lsn = lsn;
	wm_relation_free(u->rel);
	u->rel = copy;
	return WM_OK;
}

/* Changes are missing: the view is emptied and seeded. */
static void
begin_again(struct worker *w, struct unit *u, const struct tableset *tables)
{
	u->empty_view = true;
	unit_restart(u);
	u->settle_xid = tables->xid;
	w->bookmarks = true;
}

/*
 * The table was not published until now.  Should it have been before, the stream may still bring what was before the
 * gap: over the seed's rows that would put values which nothing takes back.
 */
static void
step_over_gap(struct worker *w, struct unit *u, const struct tableset *tables)
{
	if (u->columns != NULL)
		wm_log(WM_LOG_WARNING, "table_was_out",
		    "table %s.%s had been taken out of the publication: what changed meanwhile "
		    "is not known, so view and rows under rule \"%s\" begin again",
		    u->schema, u->name, u->rule->name);
	/* A seed that broke off may have left rows which changes that are passed over now took away. */
	if (u->columns != NULL || u->since != 0)
		begin_again(w, u, tables);
	if (u->state != UNIT_SEEDING || u->rule->mode != WM_MODE_UPSERT)
		return;
	u->since = tables->published;
	u->dirty = w->bookmarks = true;
}

/*
 * The unit of the same rule and name, among the first n: a table that was dropped, or renamed, and made again.
 * What the catalog lists has each name once.
 */
static struct unit *
namesake(struct worker *w, const struct unit *u, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct unit *o = w->units[i];

		if (o != u && o->rule == u->rule && strcmp(o->name, u->name) == 0 && strcmp(o->schema, u->schema) == 0)
			return o;
	}
	return NULL;
}

/*
 * One that begins in this lane, where another may have had it: the view may be without its key, and what it holds is of
 * before, which a lane with a bookmark of its own knows.
 */
static enum wm_status
take_from_lane(struct worker *w, struct unit *u, bool marked, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *name = bookmark_unit_name(u);
	enum wm_status st = name == NULL ? wm_oom(err, "a bookmark") : elsewhere_load(w, err);

	if (st != WM_OK || !elsewhere_known(w, name))
		return st;
	u->bare |= elsewhere_bare(w, name);
	if (marked)
		return WM_OK;
	wm_log(WM_LOG_INFO, "table_taken_over",
	    "table %s.%s under rule \"%s\" comes from another lane of its source: it is seeded again",
	    u->schema, u->name, u->rule->name);
	u->empty_view = true;
	unit_restart(u);
	return WM_OK;
}

/* known: as refresh_unit's. */
static enum wm_status
add_unit(struct worker *w, const struct tableset *tables, const struct matched *m, size_t known, struct unit **ret,
    struct wm_error *err)
{
	struct unit **units = realloc(w->units, (w->nunits + 1) * sizeof(*units));
	struct unit *u;
	bool marked = true;

	if (units == NULL)
		return wm_oom(err, "a table");
	w->units = units;
	u = unit_create(m->rule, pipeline_stats(w->p, m->rule->name), m->rel);
	if (u == NULL)
		return wm_oom(err, "a table");
	units[w->nunits++] = u;
	index_unit(w, u);
	u->settle_xid = tables->xid;
	u->rel_lsn = tables->lsn;
	if (namesake(w, u, known) != NULL) {
		u->empty_view = true;
		unit_restart(u);
	} else if (!(marked = bookmark_apply(w, u))) {
		u->dirty = true;
		if (m->rule->seed_mode == WM_SEED_NEVER)
			u->state = UNIT_STREAMING;
	}
	u->taken = u->dirty;
	w->bookmarks |= u->dirty;
	*ret = u;
	/* The only lane there is has a mark of each table that others had before. */
	return u->dirty && u->state == UNIT_SEEDING && (marked || w->source->config->lanes > 1) ?
	    take_from_lane(w, u, marked, err) : WM_OK;
}

static void
refuse_unit(struct worker *w, struct unit *u, const char *why)
{
	/* While it is refused its changes are not published: it has to be seeded when it comes back. */
	if (u->state != UNIT_FAILED) {
		unit_fail(u, u->state != UNIT_SEEDING);
		w->bookmarks = true;
		wm_log(WM_LOG_ERROR, "table_refused", "rule \"%s\" cannot take table %s.%s: %s",
		    u->rule->name, u->schema, u->name, why);
	}
	stats_set_error(u->stats, why);
}

/*
 * The table has its name again, or the stream did not tell its new one: PostgreSQL forgets to when
 * a schema is renamed.  A new session learns all names anew.
 */
static void
recover_strayed(struct worker *w, struct unit *u, const struct tableset *tables)
{
	wm_log(WM_LOG_WARNING, "table_renamed",
	    "changes of table %s.%s came under another name: what they changed is not in the view, so view and rows "
	    "under rule \"%s\" begin again", u->schema, u->name, u->rule->name);
	begin_again(w, u, tables);
	u->strayed = 0;
	if (w->first_session)
		return;		/* the stream has not begun */
	w->await_session = source_renew(w->source);
}

static enum wm_status
drop_unlisted(struct worker *w, struct wm_error *err)
{
	enum wm_status st = WM_OK;
	size_t kept = 0;

	for (size_t i = 0; i < w->nunits; i++) {
		struct unit *u = w->units[i];

		if (u->listed)
			continue;
		wm_log(WM_LOG_INFO, "table_gone",
		    "table %s.%s does not fall under rule \"%s\" any more", u->schema, u->name,
		    u->rule->name);
		bookmark_leave_view(w, u);
		/* Should it come back, it is a new one. */
		if (st == WM_OK && namesake(w, u, w->nunits) == NULL)
			st = bookmark_drop_unit(w, u, err);
		w->bookmarks = true;
	}
	HASH_CLEAR(hh, w->by_oid);
	for (size_t i = 0; i < w->nunits; i++) {
		if (!w->units[i]->listed) {
			unit_destroy(w->units[i]);
			continue;
		}
		w->units[kept++] = w->units[i];
		index_unit(w, w->units[i]);
	}
	w->nunits = kept;
	return st;
}

/* Rows that another rule or table left in the view are not this one's; those of a log, or that a rule keeps, stay. */
static enum wm_status
claim_view(struct worker *w, struct unit *u, const struct tableset *tables, bool *ret_mine, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *view = wm_rule_view_name(u->rule, u->schema, u->name);
	bool foreign, taken;
	enum wm_status st = view == NULL ? wm_oom(err, "a view") : views_claim(w, view, ret_mine, &taken, err);

	if (st != WM_OK || !*ret_mine)
		return st;
	st = bookmark_claim_view(w, u, &foreign, err);
	foreign |= taken;
	if (st != WM_OK || !foreign || u->rule->mode != WM_MODE_UPSERT || u->rule->seed_mode != WM_SEED_AUTO)
		return st;
	wm_log(WM_LOG_INFO, "view_taken_over",
	    "the view of table %s.%s under rule \"%s\" holds rows of another rule, table or time: it begins again",
	    u->schema, u->name, u->rule->name);
	u->empty_view |= leaves_behind(u->rule) == 0;
	unit_restart(u);
	u->settle_xid = tables->xid;
	return WM_OK;
}

/* One table that falls under a rule of this target.  known: units that there were before this look. */
static enum wm_status
refresh_unit(struct worker *w, const struct tableset *tables, const struct matched *m, size_t known,
    struct wm_error *err)
{
	const char *refused = m->refused;
	bool mine = true;
	struct unit *u = units_find(w, m->rule, m->rel->oid, m->rel->schema, m->rel->name);
	enum wm_status st = u == NULL ? add_unit(w, tables, m, known, &u, err) :
					unit_take_relation(u, m->rel, tables->lsn, err);

	if (st != WM_OK)
		return st;
	u->listed = true;
	u->rows = m->rows;
	if (m->column_list && !u->column_list)
		u->column_list = u->dirty = w->bookmarks = true;
	if (m->gap > atomic_load(&w->gaps_done) && m->refused == NULL)
		step_over_gap(w, u, tables);
	if (u->column_list)
		u->settle_xid = tables->xid;
	if (u->strayed != 0 && tables->lsn >= u->strayed)
		recover_strayed(w, u, tables);
	if (refused == NULL && (st = claim_view(w, u, tables, &mine, err)) != WM_OK)
		return st;
	if (!mine)
		refused = "another lane of the source has yet to let go of its view";
	if (refused != NULL)
		refuse_unit(w, u, refused);
	else if (u->state == UNIT_FAILED) {
		unit_restart(u);
		u->settle_xid = tables->xid;
	}
	return WM_OK;
}

enum wm_status
units_refresh(struct worker *w, struct wm_error *err)
{
	struct tableset *tables;
	size_t known = w->nunits;
	enum wm_status st = WM_OK;

	pthread_mutex_lock(&w->source->lock);
	tables = tableset_ref(w->source->tables);
	w->tables_version = w->source->tables_version;
	pthread_mutex_unlock(&w->source->lock);
	for (size_t i = 0; i < w->nunits; i++)
		w->units[i]->listed = false;
	for (size_t i = 0; st == WM_OK && i < tables->n; i++)
		if (strcmp(tables->list[i].rule->target, w->model->name) == 0)
			st = refresh_unit(w, tables, &tables->list[i], known, err);
	w->check_columns = tables->lsn_after;
	tableset_unref(tables);
	if (st != WM_OK)
		return st;
	/* Plans point to units. */
	routes_forget(w);
	st = drop_unlisted(w, err);
	if (st != WM_OK)
		return st;
	views_keep(w);
	for (struct saved *s = w->saved; s != NULL; s = s->hh.next)
		w->bookmarks |= !s->claimed;
	w->interval = WM_SEC;
	w->priorities = 0;
	for (size_t i = 0; i < w->nunits; i++) {
		w->priorities |= 1U << w->units[i]->rule->priority;
		if (w->units[i]->rule->batch_interval < w->interval)
			w->interval = w->units[i]->rule->batch_interval;
	}
	if (!w->bookmarks)
		atomic_store(&w->gaps_done, w->tables_version);		/* nothing is to be written */
	worker_show_rules(w);
	return WM_OK;
}

/*
 * One table that the catalog shows.  The stream may have shown a later state of it, but tells neither partitions
 * nor which column a name stands for.
 */
static enum wm_status
check_columns(struct worker *w, const struct matched *m, const struct tableset *tables, struct wm_error *err)
{
	struct wm_plan_env env = pipeline_plan_env(w->p, w->source);
	struct unit *u = units_find(w, m->rule, m->rel->oid, m->rel->schema, m->rel->name);
	struct wm_plan *plan = NULL;
	enum wm_status st;
	bool newest, replaced;

	if (u == NULL || (u->state != UNIT_STREAMING && u->state != UNIT_CATCHING) || worker_hold(w, u->rule) != NULL)
		return WM_OK;
	newest = u->rel_lsn <= tables->lsn;
	if (newest)
		u->rel_lsn = tables->lsn_after;
	/* Of a change while the catalog was read nobody knows which of the two is the later one. */
	else if (u->rel_lsn <= tables->lsn_after)
		source_look_again(w->source);
	if (m->partitioned && (st = partitions_follow(w, u, m, tables, err)) != WM_OK)
		return st;
	st = wm_plan_compile(u->rule, m->rel, &env, &plan, err);
	if (st == WM_OK && newest)
		st = columns_follow(w, u, plan, err);
	/* All that comes from here on was written after the list had gone. */
	if (st == WM_OK && newest && u->column_list && !m->column_list) {
		u->column_list = false;
		u->dirty = true;
	}
	replaced = st == WM_OK && columns_replaced(u, m->rel, wm_plan_needed(plan));
	/* The stream of before this look may have meant a dropped column by a name that another one has now. */
	if (replaced || (u->older && m->rel->last_dropped != 0)) {
		wm_log(WM_LOG_INFO, "columns_changed",
		    "a column of table %s.%s was replaced by another of its name, or may have been; its rows are read again",
		    u->schema, u->name);
		unit_restart(u);
		worker_show_rules(w);
	}
	u->dirty |= u->older;
	u->older = false;
	w->bookmarks |= u->dirty;
	wm_plan_free(plan);
	/* What a rule cannot take any more is told when a change comes, or by the next look at the catalog. */
	return st == WM_REJECT ? WM_OK : st;
}

enum wm_status
units_check_columns(struct worker *w, struct wm_error *err)
{
	struct tableset *tables;
	uint64_t version;
	enum wm_status st = WM_OK;

	pthread_mutex_lock(&w->source->lock);
	tables = tableset_ref(w->source->tables);
	version = w->source->tables_version;
	pthread_mutex_unlock(&w->source->lock);
	w->check_columns = 0;
	for (size_t i = 0; st == WM_OK && i < tables->n; i++)
		if (tables->list[i].refused == NULL && strcmp(tables->list[i].rule->target, w->model->name) == 0)
			st = check_columns(w, &tables->list[i], tables, err);
	tableset_unref(tables);
	if (st == WM_OK)
		atomic_store(&w->looked, version);
	return st;
}
