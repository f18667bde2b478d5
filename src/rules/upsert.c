/* SPDX-License-Identifier: PostgreSQL */
/*
 * upsert.c - changes to rows of an upserting rule: one row of the view for one of the source.
 */
#include "work.h"

/* ---- keys ---- */

enum key_state { KEY_WHOLE, KEY_NULL, KEY_FAILED };

/* The view's key of a row, in the order of view.keys, into ret. */
static enum key_state
make_key(struct wm_work *w, const struct wm_value *row, struct wm_value *ret)
{
	const struct wm_view *view = &w->plan->view;
	enum key_state state = KEY_WHOLE;

	for (unsigned i = 0; i < view->nkeys; i++) {
		if (!wm_work_value(w, view->keys[i], row, &ret[i]))
			return KEY_FAILED;
		if (ret[i].kind == WM_VALUE_NULL || ret[i].kind == WM_VALUE_UNCHANGED)
			state = KEY_NULL;
	}
	return state;
}

static bool
same_source_key(const struct wm_plan *plan, const struct wm_value *a, const struct wm_value *b)
{
	for (unsigned i = 0; i < plan->rel->ncolumns; i++) {
		if (plan->key_reads[i] && !wm_value_equal(&a[i], &b[i]))
			return false;
	}
	return true;
}

/*
 * *ret is the key that the view knows the row by when the update may have changed it, else NULL.
 * Evaluates the expressions for the old row, if the key takes any.
 */
static bool
find_old_key(struct wm_work *w, const struct wm_value *row, struct wm_value **ret)
{
	const struct wm_tuple *before = w->change->before;
	struct wm_value *key;

	*ret = NULL;
	if (before == NULL || same_source_key(w->plan, before->values, row))
		return true;
	if (w->plan->key_computed && wm_work_judge(w, before->values, true) == WM_VERDICT_FAILED)
		return false;
	key = wm_arena_alloc(w->arena, w->plan->view.nkeys * sizeof(*key));
	if (key == NULL) {
		wm_work_oom(w);
		return false;
	}
	switch (make_key(w, before->values, key)) {
	case KEY_FAILED:
		return false;
	case KEY_WHOLE:
		*ret = key;
		return true;
	default:		/* never written */
		return true;
	}
}

static bool
same_key(const struct wm_plan *plan, const struct wm_value *key, const struct wm_value *values)
{
	for (unsigned i = 0; i < plan->view.nkeys; i++) {
		if (!wm_value_equal(&key[i], &values[plan->view.keys[i]]))
			return false;
	}
	return true;
}

/* ---- rows of an upserting rule ---- */

/* Takes the row with this key out of the view, or marks it. */
static enum wm_outcome
remove_key(struct wm_work *w, const struct wm_value *key, bool soft)
{
	static const struct wm_value null = { .kind = WM_VALUE_NULL };
	const struct wm_view *view = &w->plan->view;
	struct wm_row *row = wm_work_add_row(
	    w, soft ? WM_ROW_UPDATE : WM_ROW_DELETE, soft ? &wm_work_unchanged : &null);

	if (row == NULL)
		return wm_work_oom(w);
	for (unsigned i = 0; i < view->nkeys; i++)
		row->values[view->keys[i]] = key[i];
	if (soft)	/* the last column */
		row->values[view->ncolumns - 1] = (struct wm_value){ .data = "t", .len = 1, .kind = WM_VALUE_TEXT };
	return WM_PLAN_ROWS;
}

/* The same for the key of a row, whose expressions have been evaluated. */
static enum wm_outcome
remove_row(struct wm_work *w, const struct wm_value *row, bool soft)
{
	struct wm_value *key = wm_arena_alloc(w->arena, w->plan->view.nkeys * sizeof(*key));

	if (key == NULL)
		return wm_work_oom(w);
	switch (make_key(w, row, key)) {
	case KEY_FAILED:
		return WM_PLAN_BAD;
	case KEY_WHOLE:
		return remove_key(w, key, soft);
	default:
		return w->rows.n > 0 ? WM_PLAN_ROWS : WM_PLAN_NOTHING;
	}
}

static enum wm_outcome
null_key(struct wm_work *w, unsigned column)
{
	const struct wm_plan *plan = w->plan;

	wm_fail_code(w->err, WM_REJECT, "key", "rule \"%s\": key column \"%s\" of a row of table %s.%s has no value",
	    plan->rule->name, plan->view.columns[column].name, plan->rel->schema, plan->rel->name);
	return WM_PLAN_BAD;
}

/* Whether the target may be without a row that the source has had all along. */
static bool
may_lack_rows(const struct wm_plan *plan)
{
	return plan->has_where || plan->nchecks > 0 || plan->rule->seed_mode == WM_SEED_NEVER ||
	    (plan->rule->events & WM_EVENT_INSERT) == 0;
}

/* values: of the view, complete but for holes. */
static enum wm_outcome
write_holes(struct wm_work *w, struct wm_row *row, struct wm_value *old_key)
{
	if (!w->vanished && ((w->flags & WM_PLAN_WHOLE) != 0 || may_lack_rows(w->plan)))
		return WM_PLAN_REREAD;
	row->op = WM_ROW_UPDATE;
	row->old_key = old_key;
	return WM_PLAN_ROWS;
}

/* Writes a row that was judged, under a key that may have been another one before. */
static enum wm_outcome
write_row(struct wm_work *w, const struct wm_value *source, struct wm_value *old_key)
{
	const struct wm_plan *plan = w->plan;
	struct wm_row *row = wm_work_add_row(w, WM_ROW_UPSERT, NULL);
	bool holes = false;

	if (row == NULL)
		return wm_work_oom(w);
	for (unsigned i = 0; i < plan->view.ncolumns; i++) {
		if (!wm_work_value(w, i, source, &row->values[i]))
			return WM_PLAN_BAD;
		holes |= row->values[i].kind == WM_VALUE_UNCHANGED;
	}
	for (unsigned i = 0; i < plan->view.nkeys; i++) {
		uint8_t kind = row->values[plan->view.keys[i]].kind;

		if (kind == WM_VALUE_NULL || kind == WM_VALUE_UNCHANGED)
			return null_key(w, plan->view.keys[i]);
	}
	if (old_key != NULL && same_key(plan, old_key, row->values))
		old_key = NULL;
	if (holes)
		return write_holes(w, row, old_key);
	if (old_key != NULL) {
		struct wm_row upsert = *row;

		w->rows.n = 0;
		if (remove_key(w, old_key, false) == WM_PLAN_BAD)
			return WM_PLAN_BAD;
		w->rows.row[w->rows.n++] = upsert;
	}
	row->fresh = (w->change->kind == WM_EVENT_INSERT || w->change->kind == WM_EVENT_SEED) && wm_work_is_fresh(w);
	return WM_PLAN_ROWS;
}

static enum wm_outcome
upsert_new(struct wm_work *w)
{
	const struct wm_value *row = w->change->after->values;

	switch (wm_work_judge(w, row, false)) {
	case WM_VERDICT_FAILED:
		return WM_PLAN_BAD;
	case WM_VERDICT_UNDECIDED:
		return WM_PLAN_REREAD;
	case WM_VERDICT_REFUSED:
		if (w->change->kind != WM_EVENT_SEED || (w->flags & WM_PLAN_RESEED) == 0)
			return WM_PLAN_NOTHING;
		return remove_row(w, row, w->plan->rule->on_delete == WM_DELETE_SOFT);
	default:
		return wm_work_passes_checks(w) ? write_row(w, row, NULL) : WM_PLAN_BAD;
	}
}

/* A row that stopped matching: gone under its old key and its new one. */
static enum wm_outcome
update_refused(struct wm_work *w, const struct wm_value *row, const struct wm_value *old_key)
{
	bool soft = w->plan->rule->on_delete == WM_DELETE_SOFT;

	if (old_key != NULL && remove_key(w, old_key, soft) == WM_PLAN_BAD)
		return WM_PLAN_BAD;
	return remove_row(w, row, soft);
}

static enum wm_outcome
update_judged(struct wm_work *w, const struct wm_value *row, struct wm_value *old_key)
{
	switch (wm_work_judge(w, row, w->vanished)) {
	case WM_VERDICT_FAILED:
		return WM_PLAN_BAD;
	case WM_VERDICT_UNDECIDED:
		return WM_PLAN_REREAD;
	case WM_VERDICT_REFUSED:
		return update_refused(w, row, old_key);
	default:
		return wm_work_passes_checks(w) ? write_row(w, row, old_key) : WM_PLAN_BAD;
	}
}

/*
 * A row that is refused keeps its last good version, but not under a key that it no longer has: nothing
 * that the source does to it later would reach that one.
 */
static enum wm_outcome
upsert_update(struct wm_work *w)
{
	const struct wm_value *row = wm_work_new_row(w);
	struct wm_value *old_key;
	enum wm_outcome outcome;

	if (row == NULL)
		return wm_work_oom(w);
	if (!find_old_key(w, row, &old_key))
		return WM_PLAN_BAD;
	outcome = update_judged(w, row, old_key);
	if (outcome != WM_PLAN_BAD || old_key == NULL)
		return outcome;
	w->rows.n = 0;
	w->moved = remove_key(w, old_key, false) == WM_PLAN_ROWS;
	return WM_PLAN_BAD;
}

/* The old row is known and the target wants whole rows: it gets one, marked. */
static enum wm_outcome
mark_whole(struct wm_work *w)
{
	enum wm_outcome outcome = write_row(w, w->change->before->values, NULL);

	if (outcome == WM_PLAN_ROWS)
		w->rows.row[0].values[w->plan->view.ncolumns - 1].data = "t";
	return outcome;
}

static bool
has_key(const struct wm_plan *plan, const struct wm_value *row)
{
	for (unsigned i = 0; i < plan->rel->ncolumns; i++) {
		if (plan->key_reads[i] && row[i].kind == WM_VALUE_NULL)
			return false;
	}
	return true;
}

static enum wm_outcome
upsert_delete(struct wm_work *w)
{
	const struct wm_plan *plan = w->plan;
	const struct wm_value *row = w->change->before->values;
	bool soft = plan->rule->on_delete == WM_DELETE_SOFT;
	bool whole = soft && w->change->before_full && (w->flags & WM_PLAN_WHOLE) != 0 && has_key(plan, row) &&
	    !wm_work_has_holes(row, plan->rel->ncolumns);
	enum wm_verdict verdict = WM_VERDICT_TAKEN;

	if (plan->rule->on_delete == WM_DELETE_IGNORE)
		return WM_PLAN_NOTHING;
	if (whole || plan->key_computed)
		verdict = wm_work_judge(w, row, true);
	if (verdict == WM_VERDICT_FAILED)
		return WM_PLAN_BAD;
	return whole && verdict == WM_VERDICT_TAKEN ? mark_whole(w) : remove_row(w, row, soft);
}

/* ---- changes ---- */

enum wm_outcome
wm_work_upsert(struct wm_work *w)
{
	switch (w->change->kind) {
	case WM_EVENT_INSERT:
	case WM_EVENT_SEED:
		return upsert_new(w);
	case WM_EVENT_UPDATE:
		return upsert_update(w);
	case WM_EVENT_DELETE:
		return upsert_delete(w);
	default:
		return WM_PLAN_NOTHING;
	}
}

enum wm_outcome
wm_work_vanish(struct wm_work *w)
{
	const struct wm_value *row = wm_work_new_row(w);
	struct wm_value *old_key;

	if (row == NULL)
		return wm_work_oom(w);
	if (!find_old_key(w, row, &old_key) ||
	    (w->plan->key_computed && wm_work_judge(w, row, true) == WM_VERDICT_FAILED))
		return WM_PLAN_BAD;
	if (old_key != NULL && remove_key(w, old_key, false) == WM_PLAN_BAD)
		return WM_PLAN_BAD;
	return remove_row(w, row, false);
}
