/* SPDX-License-Identifier: PostgreSQL */
/*
 * gather.c - changes that wait, each priority for its own time.
 *
 * Such targets have no transactions, and what is written to them may come again.  So what is due goes out while other
 * rules' changes wait on, and the position stays: it moves when all before it is written.  What a crash brings again is
 * at most what was written since; the bookmarks stay, too, for they have to fit the position.
 */
#include "receipts.h"
#include "walmill/fault.h"

/* The lowest of what waits; WM_PRIORITIES: nothing does. */
static enum wm_priority
lowest(const struct worker *w)
{
	enum wm_priority p = WM_PRIORITY_LOW;

	while (p < WM_PRIORITIES && w->gather_since[p] == 0)
		p++;
	return p;
}

void
gather_note(struct worker *w, const struct wm_view *view, struct rule_stats *stats)
{
	if (w->gather_since[view->priority] == 0)
		w->gather_since[view->priority] = wm_clock_mono();
	if (w->target->ops->pace != NULL)
		atomic_fetch_add_explicit(&worker_share(w, stats)->waiting, 1, memory_order_relaxed);
}

void
gather_forget(struct worker *w, enum wm_priority least)
{
	for (enum wm_priority p = least; p < WM_PRIORITIES; p++)
		w->gather_since[p] = 0;
	w->crowded = false;
	if (least == WM_PRIORITY_LOW)
		w->kept = 0;
	for (size_t i = 0; w->target->ops->pace != NULL && i < w->nunits; i++)
		if (w->units[i]->rule->priority >= least)
			atomic_store_explicit(&worker_share(w, w->units[i]->stats)->waiting, 0,
			    memory_order_relaxed);
}

void
gather_crowd(struct worker *w, const struct wm_rule *rule, size_t rows, size_t bytes)
{
	w->crowded |= (rule->priority > lowest(w) && rows >= (size_t)rule->batch_rows / 2) ||
	    bytes >= w->kept + rule->batch_bytes / 2;
}

/* When what waits is to be written, and the lowest priority of what is then: those above it go along. */
static wm_usec
next_due(struct worker *w, enum wm_priority *ret_least)
{
	wm_usec now = wm_clock_mono(), first = 0;

	*ret_least = lowest(w);
	if (*ret_least == WM_PRIORITIES) {
		*ret_least = WM_PRIORITY_LOW;
		return now;
	}
	for (enum wm_priority p = WM_PRIORITIES; p-- > WM_PRIORITY_LOW;) {
		bool asked = w->target->ops->pace != NULL && (w->priorities & 1U << p) != 0;
		wm_usec pace = asked ? w->target->ops->pace(w->target, p) : 0, due;

		if (w->gather_since[p] == 0)
			continue;
		due = w->gather_since[p] + (pace > w->interval ? pace : w->interval);
		if (first == 0 || due < first || due <= now) {
			first = first == 0 || due < first ? due : first;
			*ret_least = p;
		}
	}
	return first;
}

wm_usec
gather_due(struct worker *w)
{
	enum wm_priority least;

	return next_due(w, &least);
}

/* Without those below, which wait on. */
static enum wm_status
write_part(struct worker *w, enum wm_priority least, struct wm_error *err)
{
	const struct wm_batch *batch = batcher_part(w->batcher, least);
	enum wm_status st = batch == NULL ? wm_oom(err, "a batch") : deliver(&w->delivery, batch, err);

	if (st != WM_OK)
		return st;
	WM_FAULT(gather_part_written);
	atomic_fetch_add(&w->rows_written, batch->nrows);
	atomic_fetch_add(&w->batches, 1);
	receipts_before_commit(w->delivery.receipts);
	receipts_after_commit(w->delivery.receipts);
	st = batcher_drop_part(&w->batcher, least, err);
	if (st != WM_OK)
		return st;
	w->kept = wm_arena_used(batcher_arena(w->batcher));
	wm_journal_release(w->reader);
	w->unreleased = 0;
	gather_forget(w, least);
	return WM_OK;
}

enum wm_status
gather_write(struct worker *w, struct wm_error *err)
{
	enum wm_priority least, bottom = lowest(w);
	wm_usec due = next_due(w, &least);

	if (wm_clock_mono() < due) {
		/* What may go makes room for what waits on: else a bound would take that along. */
		if (!w->crowded)
			return WM_OK;
		for (least = bottom + 1; least < WM_PRIORITIES && w->gather_since[least] == 0; least++)
			;
		if (least == WM_PRIORITIES)
			return WM_OK;
	}
	return least <= bottom ? apply_commit_soon(w, err) : write_part(w, least, err);
}
