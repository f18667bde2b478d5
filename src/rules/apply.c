/* SPDX-License-Identifier: PostgreSQL */
/*
 * apply.c - one change of the source to rows of a view.
 */
#include "work.h"

/* The change must fit the plan's relation: a caller that compiled for another version would read beyond it. */
static bool
fits(struct wm_work *w)
{
	const struct wm_change *c = w->change;
	unsigned n = w->plan->rel->ncolumns;
	bool has_row = c->kind == WM_EVENT_DELETE ? c->before != NULL : c->after != NULL;

	if (has_row && (c->before == NULL || c->before->n == n) && (c->after == NULL || c->after->n == n))
		return true;
	wm_fail(w->err, WM_FATAL, "a change of table %s.%s does not have the table's %u columns", w->plan->rel->schema,
	    w->plan->rel->name, n);
	return false;
}

static enum wm_outcome
finish(struct wm_work *w, enum wm_outcome outcome, struct wm_plan_rows *ret)
{
	if (outcome == WM_PLAN_ROWS || (outcome == WM_PLAN_BAD && w->moved))
		*ret = w->rows;
	return outcome;
}

enum wm_outcome
wm_plan_apply(struct wm_plan *plan, const struct wm_change *change, unsigned flags, struct wm_arena *arena,
    struct wm_plan_rows *ret, struct wm_error *err)
{
	struct wm_work w = { .plan = plan, .change = change, .flags = flags, .arena = arena, .err = err };
	bool append = plan->rule->mode == WM_MODE_APPEND;

	if (change->kind != WM_EVENT_SEED && (plan->rule->events & change->kind) == 0)
		return WM_PLAN_NOTHING;
	if (change->kind == WM_EVENT_TRUNCATE)
		return append || plan->rule->on_truncate == WM_TRUNCATE_IGNORE ? WM_PLAN_NOTHING : WM_PLAN_TRUNCATE;
	if (!fits(&w))
		return WM_PLAN_BAD;
	return finish(&w, append ? wm_work_append(&w) : wm_work_upsert(&w), ret);
}

enum wm_outcome
wm_plan_vanished(struct wm_plan *plan, const struct wm_change *change, struct wm_arena *arena,
    struct wm_plan_rows *ret, struct wm_error *err)
{
	struct wm_work w = { .plan = plan, .change = change, .arena = arena, .err = err, .vanished = true };

	if (change->kind == WM_EVENT_TRUNCATE || change->kind == WM_EVENT_DELETE)
		return WM_PLAN_NOTHING;		/* neither asks for a read-back */
	if (!fits(&w))
		return WM_PLAN_BAD;
	if (plan->rule->mode == WM_MODE_APPEND)
		return finish(&w, wm_work_append(&w), ret);
	/* A view that keeps what the source deleted keeps the row, with what is known of its last state. */
	if (plan->rule->on_delete != WM_DELETE_DELETE)
		return finish(&w, wm_work_upsert(&w), ret);
	return finish(&w, wm_work_vanish(&w), ret);
}

bool
wm_plan_salvage(struct wm_plan *plan, const struct wm_change *change, struct wm_arena *arena, struct wm_row *ret)
{
	struct wm_work w = { .plan = plan, .change = change, .arena = arena };

	if (change->kind == WM_EVENT_TRUNCATE || !fits(&w) || !wm_work_salvage(&w))
		return false;
	*ret = w.rows.row[0];
	return true;
}
