/* SPDX-License-Identifier: PostgreSQL */
/*
 * append.c - changes to rows of an appending rule: every event a row, known by its position.
 */
#include <string.h>

#include "work.h"

static enum wm_outcome
append_row(struct wm_work *w, const char *op, const struct wm_value *source)
{
	struct wm_row *row = wm_work_add_row(w, WM_ROW_UPSERT, NULL);

	if (row == NULL)
		return wm_work_oom(w);
	w->op = op;
	for (unsigned i = 0; i < w->plan->view.ncolumns; i++) {
		if (!wm_work_value(w, i, source, &row->values[i]))
			return WM_PLAN_BAD;
		if (row->values[i].kind != WM_VALUE_UNCHANGED)
			continue;
		if (w->change->kind == WM_EVENT_UPDATE && strcmp(op, "update") == 0 && !w->vanished)
			return WM_PLAN_REREAD;
		row->values[i] = (struct wm_value){ .kind = WM_VALUE_NULL };
	}
	row->fresh = wm_work_is_fresh(w);
	return WM_PLAN_ROWS;
}

/* A row left the source, or stopped matching: what is known of the old one. */
static enum wm_outcome
append_gone(struct wm_work *w, const struct wm_value *key)
{
	const struct wm_value *row = w->change->before_full ? w->change->before->values : wm_work_identity_row(w, key);

	if (row == NULL)
		return wm_work_oom(w);
	switch (wm_work_judge(w, row, true)) {
	case WM_VERDICT_FAILED:
		return WM_PLAN_BAD;
	case WM_VERDICT_REFUSED:
		/* It has never been in the view, if all of it is known; of a key alone that cannot be told. */
		if (w->change->before_full)
			return WM_PLAN_NOTHING;
		/* fall through */
	default:
		return append_row(w, "delete", row);
	}
}

static enum wm_outcome
append_present(struct wm_work *w, const char *op)
{
	const struct wm_value *row = wm_work_new_row(w);
	const struct wm_tuple *before = w->change->before;

	if (row == NULL)
		return wm_work_oom(w);
	switch (wm_work_judge(w, row, w->vanished)) {
	case WM_VERDICT_FAILED:
		return WM_PLAN_BAD;
	case WM_VERDICT_UNDECIDED:
		return WM_PLAN_REREAD;
	case WM_VERDICT_REFUSED:
		if (w->change->kind != WM_EVENT_UPDATE)
			return WM_PLAN_NOTHING;
		return append_gone(w, before != NULL ? before->values : row);
	default:
		return wm_work_passes_checks(w) ? append_row(w, op, row) : WM_PLAN_BAD;
	}
}

enum wm_outcome
wm_work_append(struct wm_work *w)
{
	switch (w->change->kind) {
	case WM_EVENT_INSERT:
		return append_present(w, "insert");
	case WM_EVENT_SEED:
		return append_present(w, "seed");
	case WM_EVENT_UPDATE:
		return append_present(w, "update");
	case WM_EVENT_DELETE:
		if (w->plan->rule->on_delete == WM_DELETE_IGNORE)
			return WM_PLAN_NOTHING;
		return append_gone(w, w->change->before->values);
	default:
		return WM_PLAN_NOTHING;
	}
}
