/* SPDX-License-Identifier: PostgreSQL */
/*
 * deliver.c - writes batches, finds the rows a target refuses, and does with them what their
 * rule says.
 *
 * A refused batch has had no effect, so its parts can be written one by one: halves, unless the
 * target named the row.  Rows are one per key, so the order of the parts does not matter.
 */
#include <stdlib.h>
#include <string.h>

#include "letters.h"
#include "receipts.h"
#include "walmill/strutil.h"

static const char *
origin(const struct delivery *d)
{
	return d->seed ? "seed" : "stream";
}

static enum wm_status
bury(struct delivery *d, const struct wm_rule *rule, const struct wm_view *view, const struct wm_row *row,
    const char *class, struct wm_error *err)
{
	struct rule_stats *stats = pipeline_stats(d->p, rule->name);
	struct wm_error why = *err;
	enum wm_status st = letters_bury(d->letters, rule, view, row, d->seed, class, &why, err);

	if (st != WM_OK)
		return wm_error_prefix(err, "could not store a dead letter of rule \"%s\"", rule->name);
	wm_log(WM_LOG_WARNING, "dead_letter",
	    "rule \"%s\": a row for view \"%s\" was refused and stored as a dead letter: %s",
	    rule->name, view->name, why.text);
	stats_set_error(stats, why.text);
	if (stats != NULL) {
		atomic_store(&stats->refused, true);
		atomic_fetch_add(&stats->buried, 1);
	}
	receipts_refused(d->receipts, rule, row == NULL ? 0 : row->at.commit_lsn, origin(d));
	d->buried++;
	return WM_OK;
}

/* What the rule says of a row that was refused; row may be NULL. */
static enum wm_status
deliver_bad(struct delivery *d, const struct wm_rule *rule, const struct wm_view *view, const struct wm_row *row,
    const char *class, struct wm_error *err)
{
	if (err->status != WM_REJECT)
		return err->status;	/* not the row's fault: memory */
	switch (rule->on_error) {
	case WM_ON_ERROR_DEAD_LETTER:
		return bury(d, rule, view, row, class, err);
	case WM_ON_ERROR_STOP:
		d->failed_rule = rule->name;
		err->status = WM_REJECT;
		return wm_error_prefix(err, "rule \"%s\" stops at a row that was refused", rule->name);
	case WM_ON_ERROR_RETRY:
		break;
	}
	stats_set_error(pipeline_stats(d->p, rule->name), err->text);
	err->status = WM_RETRY;
	return wm_error_prefix(err, "rule \"%s\": a row was refused and is tried again (on_error: retry)", rule->name);
}

enum wm_status
deliver_refused(struct delivery *d, struct wm_plan *plan, const struct wm_change *change, struct wm_arena *arena,
    struct wm_error *err)
{
	struct wm_row row;
	bool known = err->status == WM_REJECT && wm_plan_salvage(plan, change, arena, &row);

	return deliver_bad(d, wm_plan_rule(plan), wm_plan_view(plan), known ? &row : NULL, err->code, err);
}

/* NULL, and why, when there is none. */
static const struct wm_rule *
rule_of(const struct delivery *d, const struct wm_view *view, struct wm_error *err)
{
	const struct wm_rule *rule = wm_ruleset_find(d->p->setup->rules, view->rule);

	if (rule == NULL)
		wm_fail(err, WM_FATAL, "view \"%s\" belongs to no rule", view->name);
	return rule;
}

static enum wm_status
judge(struct delivery *d, const struct wm_view *view, const struct wm_row *row, struct wm_error *err)
{
	const struct wm_rule *rule = rule_of(d, view, err);

	return rule == NULL ? WM_FATAL : deliver_bad(d, rule, view, row, "row", err);
}

/* Rows from..to (counted over all views) as a batch of their own; parts has batch->nviews entries. */
static struct wm_batch
slice(const struct wm_batch *batch, size_t from, size_t to, struct wm_view_batch *parts)
{
	struct wm_batch part = { .views = parts };
	size_t base = 0;

	for (size_t i = 0; i < batch->nviews; i++) {
		const struct wm_view_batch *v = &batch->views[i];
		size_t lo = from > base ? from - base : 0;
		size_t hi = to > base ? to - base : 0;

		base += v->nrows;
		if (hi > v->nrows)
			hi = v->nrows;
		if (lo >= hi)
			continue;
		parts[part.nviews++] = (struct wm_view_batch){
			.view = v->view, .nrows = hi - lo, .rows = v->rows + lo
		};
		part.nrows += hi - lo;
	}
	return part;
}

/* The target is fine, one view is not: its rule stops. */
static enum wm_status
stop_rule(struct delivery *d, const struct wm_view *view, struct wm_error *err)
{
	const struct wm_rule *rule = rule_of(d, view, err);

	if (rule == NULL)
		return WM_FATAL;
	d->failed_rule = rule->name;
	err->status = WM_REJECT;
	return wm_error_prefix(err, "rule \"%s\" stops, because its view cannot be written", rule->name);
}

enum wm_status
deliver_write(struct delivery *d, const struct wm_batch *part, size_t *bad, struct wm_error *err)
{
	enum wm_status st;

	*bad = WM_BAD_UNKNOWN;
	d->failed_rule = NULL;
	st = d->target->ops->write(d->target, part, bad, err);
	return st == WM_FATAL && *bad >= WM_BAD_VIEW && *bad - WM_BAD_VIEW < part->nviews ?
	    stop_rule(d, part->views[*bad - WM_BAD_VIEW].view, err) : st;
}

static enum wm_status
deliver_part(struct delivery *d, const struct wm_batch *part, size_t *bad, struct wm_error *err)
{
	enum wm_status st = deliver_write(d, part, bad, err);

	if (st != WM_OK)
		return st;
	receipts_take(d->receipts, part, origin(d));
	return letters_settle(d->letters, part, d->seed, err);
}

/* Nothing stops: a row, or a part with one, was refused. */
static bool
refused(const struct delivery *d, enum wm_status st)
{
	return st == WM_REJECT && d->failed_rule == NULL;
}

/* The source has no row of the old key any more, whatever became of the new one. */
static enum wm_status
delete_old(struct delivery *d, const struct wm_view *view, const struct wm_row *moved, struct wm_error *err)
{
	WM_AUTO(wm_freep) struct wm_value *values = calloc(view->ncolumns, sizeof(*values));
	struct wm_row row = { .op = WM_ROW_DELETE, .values = values, .at = moved->at,
		.commit_time = moved->commit_time };
	struct wm_view_batch rows = { .view = view, .nrows = 1, .rows = &row };
	struct wm_batch part = { .nviews = 1, .views = &rows, .nrows = 1 };
	size_t bad;
	enum wm_status st;

	if (values == NULL)
		return wm_oom(err, "a row");
	for (unsigned i = 0; i < view->nkeys; i++)
		values[view->keys[i]] = moved->old_key[i];
	st = deliver_part(d, &part, &bad, err);
	return refused(d, st) ? judge(d, view, &row, err) : st;
}

static enum wm_status
refuse_row(struct delivery *d, const struct wm_view *view, const struct wm_row *row, struct wm_error *err)
{
	enum wm_status st = judge(d, view, row, err);

	return st == WM_OK && row->old_key != NULL ? delete_old(d, view, row, err) : st;
}

/* Rows from..to of a batch that was refused as a whole. */
static enum wm_status
deliver_parts(struct delivery *d, const struct wm_batch *batch, size_t from, size_t to, struct wm_error *err)
{
	WM_AUTO(wm_freep) struct wm_view_batch *parts = calloc(batch->nviews, sizeof(*parts));
	struct wm_batch part;
	size_t bad, cut;
	enum wm_status st;

	if (parts == NULL)
		return wm_oom(err, "a batch");
	part = slice(batch, from, to, parts);
	if (part.nrows == 0)
		return WM_OK;
	st = deliver_part(d, &part, &bad, err);
	if (!refused(d, st))
		return st;
	if (part.nrows == 1)
		return refuse_row(d, parts[0].view, &parts[0].rows[0], err);
	if (bad >= part.nrows) {
		cut = from + part.nrows / 2;
		st = deliver_parts(d, batch, from, cut, err);
		return st == WM_OK ? deliver_parts(d, batch, cut, to, err) : st;
	}
	st = deliver_parts(d, batch, from, from + bad, err);
	if (st == WM_OK)
		st = deliver_parts(d, batch, from + bad, from + bad + 1, err);
	return st == WM_OK ? deliver_parts(d, batch, from + bad + 1, to, err) : st;
}

static enum wm_status
deliver_truncates(struct delivery *d, const struct wm_batch *batch, struct wm_error *err)
{
	for (size_t i = 0; i < batch->nviews; i++) {
		struct wm_view_batch view = { .view = batch->views[i].view, .truncate = true };
		struct wm_batch part = { .nviews = 1, .views = &view };
		size_t bad;
		enum wm_status st;

		if (!batch->views[i].truncate)
			continue;
		st = deliver_part(d, &part, &bad, err);
		if (refused(d, st))
			st = judge(d, view.view, NULL, err);
		if (st != WM_OK)
			return st;
	}
	return WM_OK;
}

enum wm_status
deliver(struct delivery *d, const struct wm_batch *batch, struct wm_error *err)
{
	size_t bad;
	enum wm_status st = deliver_part(d, batch, &bad, err);

	if (!refused(d, st))
		return st;
	st = deliver_truncates(d, batch, err);
	return st == WM_OK ? deliver_parts(d, batch, 0, batch->nrows, err) : st;
}
