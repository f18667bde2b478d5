/* SPDX-License-Identifier: PostgreSQL */
/*
 * seed_key.c - views that are made without their key, which is built from all rows at the end (docs/adr/0011).
 *
 * Without a key nothing tells a row that comes twice, so each has to come once: under one snapshot, passed in whole
 * ranges that commit with their bookmarks, and none of them tried again before the bookmarks are read.  So a unit is
 * bare for one session at most, from the making of its view on, and its bookmark says so.  Whatever is not of this kind
 * comes after the key: a row that was refused, another session, the stream.
 */
#include <stdlib.h>
#include <string.h>

#include "seeder.h"
#include "walmill/fault.h"
#include "walmill/strutil.h"

/* Whether nobody else may write the view: of one source no two tables go into one, of several they may. */
static bool
is_alone(const struct worker *w)
{
	const struct wm_ruleset *rules = w->p->setup->rules;

	for (size_t i = 0; i < rules->n; i++)
		if (strcmp(rules->rules[i].target, w->model->name) == 0 &&
		    strcmp(rules->rules[i].source, w->source->config->base) != 0)
			return false;
	return true;
}

/* Whether the source cannot have two rows of one key. */
static enum wm_status
is_unique(struct seeder *s, bool *ret, struct wm_error *err)
{
	const struct wm_relation *rel = wm_plan_relation(s->plan);
	const struct wm_view *view = wm_plan_view(s->plan);
	WM_AUTO(wm_freep) unsigned *columns = calloc(view->nkeys + 1, sizeof(*columns));
	unsigned at = 0, n = 0;

	if (columns == NULL)
		return wm_oom(err, "a key");
	for (unsigned i = 0; i < rel->ncolumns; i++) {
		if (!s->passing.columns[i])
			continue;
		if (view->columns[at].key)
			columns[n++] = i;
		at++;
	}
	*ret = false;
	return n == view->nkeys ? wm_catalog_is_unique(s->w->sql, rel, columns, n, ret, err) : WM_OK;
}

static enum wm_status
may_begin(struct seeder *s, bool *ret, struct wm_error *err)
{
	const struct unit *u = s->unit;

	*ret = s->delivery.target->ops->make_key != NULL && !u->bare && !u->empty_view && !unit_has_progress(u) &&
	    seeder_may_pass(s) && is_alone(s->w);
	return *ret ? is_unique(s, ret, err) : WM_OK;
}

static enum wm_status
commit(struct seeder *s, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *name = bookmark_unit_name(s->unit);
	WM_AUTO(wm_freep) char *value = NULL;
	struct wm_bookmark mark = { .source = s->w->source->config->name, .name = name };
	enum wm_status st;

	pthread_mutex_lock(&s->unit->bookmarking);
	pthread_mutex_lock(&s->unit->lock);
	mark.value = value = bookmark_unit(s->unit);
	pthread_mutex_unlock(&s->unit->lock);
	st = name == NULL || value == NULL ? wm_oom(err, "a bookmark") :
					     bookmarks_commit(s->w, s->delivery.target, &mark, 1, err);
	pthread_mutex_unlock(&s->unit->bookmarking);
	return st;
}

enum wm_status
seeder_begin_bare(struct seeder *s, bool exact, struct wm_error *err)
{
	struct wm_target *t = s->delivery.target;
	struct unit *u = s->unit;
	enum wm_found found = WM_FOUND_ALL;
	bool may = false;
	enum wm_status st = exact ? may_begin(s, &may, err) : WM_OK;

	if (st != WM_OK || !may)
		return st;
	u->bare = true;
	u->keying = false;
	st = seeder_compile(s, u, err);
	if (st == WM_OK)
		st = t->ops->ensure(t, wm_plan_view(s->plan), &found, err);
	if (st == WM_OK && found == WM_FOUND_NONE) {
		st = commit(s, err);
		WM_FAULT(seed_bare);
		return st;
	}
	/* Another one's table is left as it is. */
	t->ops->rollback(t);
	u->bare = false;
	return st == WM_OK || st == WM_REJECT ? seeder_compile(s, u, err) : st;
}

/*
 * Rows came twice: whoever wrote here beside us, all is read again.  Not while other seeders work at the unit: the next
 * session begins with its key.
 */
static enum wm_status
begin_again(struct seeder *s, struct wm_error *err)
{
	struct unit *u = s->unit;

	if (s->bulk != NULL)
		return err->status = WM_RETRY;
	wm_log(WM_LOG_WARNING, "seed_again",
	    "the key of the view of %s.%s cannot be made, so it is emptied and seeded again: %s",
	    u->schema, u->name, err->text);
	pthread_mutex_lock(&u->lock);
	u->empty_view = true;
	if (u->state == UNIT_SEEDING)
		unit_restart(u);
	u->dirty = true;
	pthread_mutex_unlock(&u->lock);
	return WM_OK;
}

enum wm_status
seeder_make_key(struct seeder *s, struct wm_error *err)
{
	struct wm_target *t = s->delivery.target;
	struct unit *u = s->unit;
	enum wm_status st;

	if (!u->bare)
		return WM_OK;
	st = s->bulk == NULL ? seeder_empty_view(s, err) : WM_OK;
	if (st == WM_OK)
		st = t->ops->make_key(t, wm_plan_view(s->plan), err);
	if (st == WM_OK) {
		u->bare = false;
		st = commit(s, err);
		u->bare = st != WM_OK;
	}
	WM_FAULT(seed_keyed);
	if (st != WM_OK)
		t->ops->rollback(t);
	return st == WM_REJECT ? begin_again(s, err) : st;
}

enum wm_status
seeder_end_bare(struct seeder *s, struct wm_error *err)
{
	struct unit *u = s->unit;
	bool last;

	pthread_mutex_lock(&u->lock);
	last = u->bare && !u->keying && unit_complete(u);
	u->keying |= last;
	pthread_mutex_unlock(&u->lock);
	return last ? seeder_make_key(s, err) : WM_OK;
}
