/* SPDX-License-Identifier: PostgreSQL */
/*
 * commit.c - what waits is written, and committed at the target.
 *
 * Data and positions are committed together, and only at the end of a source transaction; a
 * transaction larger than a batch is written in parts inside one target transaction.
 */
#include <string.h>

#include "letters.h"
#include "receipts.h"
#include "walmill/fault.h"

#define STEADY_WITHIN (3 * WM_MSEC / 2)	/* from one commit to the next, in a stream that does not end */

static void
count_written(struct worker *w, size_t nrows)
{
	atomic_fetch_add(&w->rows_written, nrows);
	atomic_fetch_add(&w->batches, 1);
	w->uncommitted = true;
}

/* The batch is the target's, if not committed. */
static void
note_written(struct worker *w, const struct wm_batch *batch)
{
	count_written(w, batch->nrows);
	w->pending = false;
}

enum wm_status
apply_write(struct worker *w, struct wm_error *err)
{
	const struct wm_batch *batch;
	enum wm_status st = apply_land(w, err);

	if (st != WM_OK || !w->pending)
		return st;
	batch = batcher_batch(w->batcher);
	st = batch == NULL ? wm_oom(err, "a batch") : deliver(&w->delivery, batch, err);
	if (st == WM_OK)
		note_written(w, batch);
	return st;
}

/* Nothing refers to the changes any more that were read. */
static void
release(struct worker *w)
{
	batcher_reset(w->batcher);
	wm_journal_release(w->reader);
	w->unreleased = 0;
	w->ripe = false;
}

enum wm_status
apply_flush(struct worker *w, struct wm_error *err)
{
	enum wm_status st = apply_write(w, err);

	if (st == WM_OK)
		release(w);
	return st;
}

/* The target's transaction has ended. */
static void
end_widening(struct worker *w, bool committed)
{
	for (size_t i = 0; w->widening && i < w->nunits; i++) {
		struct unit *u = w->units[i];

		u->grew &= !(committed && u->widening);
		u->widening = false;
	}
	w->widening = false;
}

void
apply_abandon(struct worker *w)
{
	const struct wm_batch *batch;
	struct wm_error ignored;
	size_t bad;

	if (w->flies)
		(void)ahead_wait(w->ahead, &batch, &bad, &ignored);
	ahead_clear(w->ahead);
	w->flies = false;
	wm_journal_forget_held(w->reader);
}

void
apply_rollback(struct worker *w)
{
	struct route *r;

	apply_abandon(w);
	batcher_reset(w->batcher);
	w->pending = w->uncommitted = w->ripe = false;
	w->nwaiting = 0;
	gather_forget(w, WM_PRIORITY_LOW);
	w->in_transaction = false;
	letters_forget(w->delivery.letters);
	receipts_forget(w->delivery.receipts);
	w->boundary_commit = atomic_load(&w->commit_lsn);
	w->boundary_end = atomic_load(&w->end_lsn);
	/* Where the stream stands when a rule's changes come again is known at the next boundary only. */
	for (const struct hold *h = w->holds; h != NULL; h = h->next)
		if (h->resuming)
			w->boundary_commit = w->boundary_end = 0;
	if (w->target->ops->rollback != NULL)
		w->target->ops->rollback(w->target);
	end_widening(w, false);
	for (r = w->routes; r != NULL; r = r->hh.next)
		for (size_t i = 0; i < r->nplans; i++)
			r->plans[i].ensured = false;
}

/* Rules that come again have come as far as the last transaction read; are they in step now? */
static void
advance_holds(struct worker *w)
{
	for (struct hold **link = &w->holds; *link != NULL;) {
		struct hold *h = *link;

		if (h->resuming && w->boundary_end > h->end_lsn) {
			h->end_lsn = w->boundary_end;
			if (w->boundary_commit > h->commit_lsn)
				h->commit_lsn = w->boundary_commit;
			w->bookmarks = true;
		}
		if (h->resuming && h->end_lsn >= atomic_load(&w->end_lsn)) {
			wm_log(WM_LOG_INFO, "rule_resumed", "rule \"%s\" is in step again", h->rule->name);
			stats_set_error(pipeline_stats(w->p, h->rule->name), NULL);
			*link = h->next;
			free(h);
			if (w->check_columns == 0)
				w->check_columns = 1;	/* the rule took no part in the last look */
		} else
			link = &h->next;
	}
}

/* Tables whose stream has passed what the seed saw. */
static void
advance_units(struct worker *w)
{
	for (size_t i = 0; i < w->nunits; i++) {
		struct unit *u = w->units[i];

		if (u->state != UNIT_CATCHING || atomic_load(&w->end_lsn) < u->catchup)
			continue;
		u->state = UNIT_STREAMING;
		free(u->visible);
		u->visible = NULL;
		u->dirty = w->bookmarks = true;
	}
}

/* The first n that waited are visible. */
static void
note_latency(struct worker *w, size_t n)
{
	wm_usec now = wm_clock_wall();

	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < n; i++)
		w->latency[w->nlatency++ % LATENCY_SAMPLES] = now - w->waiting[i];
	pthread_mutex_unlock(&w->lock);
	w->nwaiting -= n;
	memmove(w->waiting, w->waiting + n, w->nwaiting * sizeof(*w->waiting));
}

/* It made the first n transactions that waited visible. */
static void
note_commit(struct worker *w, bool soon, size_t n)
{
	wm_usec now = wm_clock_mono();

	WM_FAULT(apply_done);
	if (soon && w->soft_since == 0)
		w->soft_since = now;
	end_widening(w, true);
	note_latency(w, n);
	w->steady = now - w->committed_at < STEADY_WITHIN ? w->steady + 1 : 0;
	w->committed_at = now;
}

static void
tell_journal(struct worker *w)
{
	wm_lsn lsn = atomic_load(&w->end_lsn);

	if (w->soft_since != 0)
		return;		/* the target may lose it yet */
	for (const struct hold *h = w->holds; h != NULL; h = h->next)
		if (h->end_lsn < lsn)
			lsn = h->end_lsn;
	wm_journal_commit(w->reader, lsn);
	atomic_store(&w->lasting_lsn, atomic_load(&w->end_lsn));
}

void
report_position(struct worker *w)
{
	tell_journal(w);
	wm_journal_mark(w->reader);
	w->unreleased = 0;
}

/* Letters and receipts want to know of rows before their commit. */
static bool
in_one_step(const struct worker *w)
{
	return w->target->ops->write_commit != NULL && w->pending && !w->uncommitted && !w->bookmarks &&
	    w->delivery.receipts == NULL && !letters_any(w->delivery.letters);
}

/* with: as bookmarks_commit_all's. */
static enum wm_status
commit_positions(struct worker *w, wm_lsn commit, wm_lsn end, bool soon, const struct wm_batch *with,
    struct wm_error *err)
{
	enum wm_status st;

	WM_FAULT(apply_before);
	st = bookmarks_commit_all(w, commit, end, soon, with, err);
	WM_FAULT(apply_committed);
	return st;
}

/* What is pending, and the positions, in one step; *ret_done false: not possible, and nothing has happened. */
static enum wm_status
write_commit(struct worker *w, wm_lsn commit, wm_lsn end, bool *ret_done, struct wm_error *err)
{
	const struct wm_batch *batch = batcher_batch(w->batcher);
	enum wm_status st;

	*ret_done = false;
	if (batch == NULL)
		return wm_oom(err, "a batch");
	st = commit_positions(w, commit, end, true, batch, err);
	if (st != WM_OK)
		return st == WM_REJECT ? WM_OK : st;
	*ret_done = true;
	note_written(w, batch);
	release(w);
	return WM_OK;
}

static enum wm_status
commit_written(struct worker *w, wm_lsn commit, wm_lsn end, bool soon, struct wm_error *err)
{
	enum wm_status st = letters_before_commit(w->delivery.letters, err);

	receipts_before_commit(w->delivery.receipts);
	if (st == WM_OK)
		st = commit_positions(w, commit, end, soon, NULL, err);
	if (st == WM_OK)
		receipts_after_commit(w->delivery.receipts);
	return st == WM_OK ? letters_remove(w->delivery.letters, err) : st;
}

static enum wm_status
commit_now(struct worker *w, bool soon, struct wm_error *err)
{
	wm_lsn commit = atomic_load(&w->commit_lsn), end = atomic_load(&w->end_lsn);
	bool held = w->holds != NULL;	/* advance_holds may end the last one */
	bool done = false;
	enum wm_status st;

	st = apply_land(w, err);
	if (w->boundary_commit > commit)
		commit = w->boundary_commit;
	if (w->boundary_end > end)
		end = w->boundary_end;
	if (st == WM_OK && soon && in_one_step(w))
		st = write_commit(w, commit, end, &done, err);
	if (st == WM_OK && !done)
		st = apply_flush(w, err);
	if (st != WM_OK)
		return st;
	advance_holds(w);
	if (w->uncommitted || w->bookmarks || (!soon && w->soft_since != 0)) {
		if (!done)
			st = commit_written(w, commit, end, soon, err);
		if (st != WM_OK)
			return st;
		note_commit(w, soon, w->nwaiting);
	}
	w->uncommitted = false;
	gather_forget(w, WM_PRIORITY_LOW);
	atomic_store(&w->commit_lsn, commit);
	atomic_store(&w->end_lsn, end);
	report_position(w);
	pipeline_progress(w->p);
	if (!atomic_load(&w->settled) || held) {
		advance_units(w);
		worker_show_rules(w);
	}
	return WM_OK;
}

enum wm_status
apply_commit(struct worker *w, struct wm_error *err)
{
	return commit_now(w, false, err);
}

/* Whether somebody waits for what the next commit brings, or the last one brought. */
static bool
is_awaited(const struct worker *w)
{
	wm_lsn awaited = atomic_load(&w->awaited), end = atomic_load(&w->end_lsn);

	return awaited > atomic_load(&w->lasting_lsn) && awaited <= (w->boundary_end > end ? w->boundary_end : end);
}

/*
 * Changes come again from the journal, should the target lose them.  What else a commit stands for (a unit's progress, a
 * rule that is in step, a dead letter that is void) would not.
 */
static bool
may_commit_soon(const struct worker *w)
{
	return w->target->ops->commit_soon != NULL && !w->bookmarks && w->holds == NULL &&
	    atomic_load(&w->settled) && atomic_load(&w->recorded) &&
	    !letters_any_settled(w->delivery.letters) && !is_awaited(w) &&
	    (w->soft_since == 0 || wm_clock_mono() < w->soft_since + APPLY_SOFT_MAX);
}

enum wm_status
apply_commit_soon(struct worker *w, struct wm_error *err)
{
	return commit_now(w, may_commit_soon(w), err);
}

/* ---- ahead ---- */

bool
apply_may_run_ahead(const struct worker *w)
{
	return w->target->ops->commit_soon != NULL && !w->bookmarks && w->holds == NULL && atomic_load(&w->settled) &&
	    atomic_load(&w->recorded) && !letters_any(w->delivery.letters) && w->boundary_end >= w->alone_until;
}

enum wm_status
apply_hand_over(struct worker *w, bool whole, struct wm_error *err)
{
	enum wm_status st = apply_land(w, err);

	if (st != WM_OK)
		return st;
	if (!apply_may_run_ahead(w) || !ahead_start(w->ahead, &w->batcher))
		return whole ? apply_commit_soon(w, err) : apply_flush(w, err);
	wm_journal_hold(w->reader);
	gather_forget(w, WM_PRIORITY_LOW);
	w->flies = true;
	w->whole = whole;
	w->whole_commit = w->boundary_commit;
	w->whole_end = w->boundary_end;
	w->nwhole = w->nwaiting;
	w->pending = w->ripe = false;
	w->unreleased = 0;
	return WM_OK;
}

/* The batch that was written ahead, and what is uncommitted before it; what gathers now stays as it is. */
static enum wm_status
commit_ahead(struct worker *w, struct wm_error *err)
{
	bool soon = may_commit_soon(w);
	enum wm_status st = commit_written(w, w->whole_commit, w->whole_end, soon, err);

	if (st != WM_OK)
		return st;
	note_commit(w, soon, w->nwhole);
	w->uncommitted = false;
	atomic_store(&w->commit_lsn, w->whole_commit);
	atomic_store(&w->end_lsn, w->whole_end);
	tell_journal(w);
	wm_journal_mark_held(w->reader);
	pipeline_progress(w->p);
	return WM_OK;
}

enum wm_status
apply_land(struct worker *w, struct wm_error *err)
{
	const struct wm_batch *batch;
	size_t bad;
	enum wm_status st;

	if (!w->flies)
		return WM_OK;
	st = ahead_wait(w->ahead, &batch, &bad, err);
	w->flies = false;
	if (st == WM_REJECT || (st == WM_FATAL && bad >= WM_BAD_VIEW && bad != WM_BAD_UNKNOWN)) {
		w->alone_until = w->boundary_end + 1;
		w->delivery.failed_rule = NULL;
		return err->status = WM_REJECT;
	}
	if (st != WM_OK)
		return st;
	count_written(w, batch->nrows);
	receipts_take(w->delivery.receipts, batch, "stream");
	ahead_clear(w->ahead);
	/* What has come up since then goes with the next commit. */
	if (w->whole && apply_may_run_ahead(w))
		return commit_ahead(w, err);
	wm_journal_release_held(w->reader);
	return WM_OK;
}
