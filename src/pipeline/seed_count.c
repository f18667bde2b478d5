/* SPDX-License-Identifier: PostgreSQL */
/*
 * seed_count.c - at the end of a seed: are all rows accounted for, here and at the target?
 *
 * Numbers are compared where they have to be equal: of a view that held nothing else, filled under one snapshot, before
 * a change of the stream came on top.  Elsewhere a difference would say nothing.
 */
#include <inttypes.h>
#include <stdio.h>

#include "seeder.h"

void
seeder_account(const struct unit *u)
{
	char text[400];

	if (u->resumed || u->read == u->written + u->filtered + u->dead)
		return;
	snprintf(text, sizeof(text), "the seed of %s.%s read %" PRIu64 " rows but wrote %" PRIu64 ", left out %" PRIu64
	    " and refused %" PRIu64 ": rows with the same key fall together; give the rule a `key` that is unique",
	    u->schema, u->name, u->read, u->written, u->filtered, u->dead);
	stats_set_error(u->stats, text);
	wm_log(WM_LOG_WARNING, "rows_missing", "%s", text);
}

bool
seeder_may_count(const struct seeder *s)
{
	const struct unit *u = s->unit;

	/* Late, the rule is held where its rows were put aside; else changes have come in between. */
	return s->delivery.target->ops->count != NULL && (s->w->staging != NULL || (!s->late && u->catchup == 0)) &&
	    !u->resumed && !u->reseed && u->rule->mode == WM_MODE_UPSERT;
}

static enum wm_status
count(struct seeder *s, uint64_t expected, uint64_t *ret, struct wm_error *err)
{
	struct wm_target *t = s->delivery.target;
	enum wm_status st;

	if (s->instance_lock != NULL)
		pthread_mutex_lock(s->instance_lock);
	st = t->ops->count(t, wm_plan_view(s->plan), expected, ret, err);
	if (s->instance_lock != NULL)
		pthread_mutex_unlock(s->instance_lock);
	return st;
}

void
seeder_count(struct seeder *s)
{
	const struct unit *u = s->unit;
	const char *view = wm_plan_view(s->plan)->name, *target = s->w->model->name;
	struct wm_error err = { 0 };
	uint64_t there = 0;
	char text[400];
	enum wm_status st = count(s, u->written, &there, &err);

	if (st != WM_OK) {
		wm_log(st == WM_REJECT ? WM_LOG_INFO : WM_LOG_WARNING, "rows_not_counted",
		    "the rows of view \"%s\" at target \"%s\" are not counted: %s", view, target, err.text);
		return;
	}
	if (there == u->written) {
		wm_log(WM_LOG_INFO, "rows_counted",
		    "view \"%s\" at target \"%s\" has the %" PRIu64 " rows of its seed", view,
		    target, there);
		return;
	}
	snprintf(text, sizeof(text),
	    "the seed of %s.%s wrote %" PRIu64
	    " rows, but view \"%s\" at target \"%s\" has %" PRIu64 ": %s",
	    u->schema, u->name, u->written, view, target, there,
	    there > u->written ?
		"somebody else writes to it, or it had rows before" :
		"rows with the same key fall together, or somebody took rows out; a view that is dropped is made and seeded again");
	stats_set_error(u->stats, text);
	wm_log(WM_LOG_WARNING, "rows_differ", "%s", text);
}
