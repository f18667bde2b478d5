/* SPDX-License-Identifier: PostgreSQL */
/*
 * follow.c - a worker follows the journal: record after record, and what is to be done between two of them.
 *
 * Whatever has gathered while the target was busy makes the next batch, and a lone change goes out at once.
 */
#include <string.h>
#include <time.h>

#include "receipts.h"

#define MEMORY_WAIT (20 * WM_MSEC)	/* for the rest of a transaction, before its first part is written */
#define IDLE_WAIT (500 * WM_MSEC)
#define STEADY_MIN 64			/* commits in quick succession, until they are let gather */
#define STEADY_EVERY WM_MSEC
#define STREAM_SLICE (100 * WM_MSEC)	/* between two batches of a late seed */
#define RELEASE_BYTES (4U << 20)

void
worker_go_back(struct worker *w)
{
	apply_rollback(w);
	if (wm_journal_rewind(w->reader))
		return;
	worker_replay(w, atomic_load(&w->end_lsn));
}

/* Whole transactions wait with the beginning of another: they come again, and are committed without it. */
static void
part_from_open(struct worker *w)
{
	w->commit_upto = w->boundary_end;
	worker_go_back(w);
}

/* A new session of the source: a transaction that was open will not end. */
static void
take_reset(struct worker *w, const struct wm_record *rec)
{
	wm_pgoutput_reset(w->decoder);
	routes_announced(w, 0);
	if (rec->restarted) {
		w->await_restart = false;
		apply_rollback(w);
		wm_journal_mark(w->reader);
		return;
	}
	if (w->in_transaction && w->mixed)
		part_from_open(w);
	else if (w->in_transaction)
		apply_rollback(w);
}

static enum wm_status
take_record(struct worker *w, const struct wm_record *rec, struct wm_error *err)
{
	struct wm_message m;
	enum wm_status st;

	if (rec->kind == WM_RECORD_RESET) {
		st = apply_land(w, err);
		if (st == WM_OK)
			take_reset(w, rec);
		return st;
	}
	if (w->await_restart)
		return WM_OK;
	if (rec->kind == WM_RECORD_IDLE) {
		if (!w->in_transaction && rec->lsn > w->boundary_end)
			w->boundary_end = rec->lsn;
		return rec->lsn <= w->commit_upto ? apply_commit(w, err) : WM_OK;
	}
	w->unreleased += rec->len;
	if (w->unreleased > RELEASE_BYTES && !w->pending && !w->flies) {
		/* Changes that no rule takes must not fill the log. */
		wm_journal_release(w->reader);
		w->unreleased = rec->len;
	}
	st = wm_pgoutput_decode(w->decoder, rec->data, rec->len, &m, err);
	if (st != WM_OK)
		return wm_error_prefix(err, "source \"%s\"", w->source->config->name);
	return apply_message(w, &m, err);
}

static bool
journal_full(const struct worker *w)
{
	struct wm_journal_state state;

	wm_journal_look(w->source->journal, &state);
	return state.full;
}

/* Whether a commit at the last boundary would move what the journal has to keep. */
static bool
may_advance(const struct worker *w)
{
	bool may = w->mixed || w->boundary_end > atomic_load(&w->end_lsn);

	for (const struct hold *h = w->holds; h != NULL && !may; h = h->next)
		may = h->resuming && w->boundary_end > h->end_lsn;
	return may;
}

/* Where each write has its price, what waits goes on gathering until it is due, unless somebody waits for it. */
static bool
may_gather(const struct worker *w)
{
	wm_lsn awaited = atomic_load(&w->awaited);

	return w->target->ops->pace != NULL && w->pending && !w->uncommitted && !w->p->once &&
	    (awaited <= atomic_load(&w->end_lsn) || awaited > w->boundary_end) &&
	    (atomic_load(&w->settled) || w->staging != NULL) && !journal_full(w);
}

/* Writes what is due; waits for a moment when nothing is. */
static enum wm_status
go_on_gathering(struct worker *w, struct wm_error *err)
{
	wm_usec left = gather_due(w) - wm_clock_mono();

	if (left <= 0)
		return gather_write(w, err);
	if (w->seeds)
		w->stream_until = 0;		/* nothing is kept waiting by the next batch */
	else
		(void)wm_journal_wait(w->reader, left < IDLE_WAIT ? left : IDLE_WAIT);
	return WM_OK;
}

/*
 * A commit has its price at every target, and in a stream that does not end it would be paid for the few transactions
 * that the last one left time for.  So they gather for a moment; after a pause of the stream none waits.
 */
static bool
steady_gathers(struct worker *w)
{
	wm_usec left = w->committed_at + STEADY_EVERY - wm_clock_mono();
	struct timespec nap = { .tv_nsec = left * 1000 };

	if (!w->pending || w->steady < STEADY_MIN || left <= 0)
		return false;
	(void)nanosleep(&nap, NULL);
	return true;
}

static wm_usec
idle_wait(const struct worker *w)
{
	wm_usec left = w->soft_since + APPLY_SOFT_MAX - wm_clock_mono();

	return w->soft_since == 0 || left > IDLE_WAIT ? IDLE_WAIT : left > 0 ? left : 0;
}

/* Nothing to read now. */
static enum wm_status
idle(struct worker *w, struct wm_error *err)
{
	wm_lsn once = atomic_load(&w->source->once_lsn);
	enum wm_status st;

	if (w->flies) {
		if (ahead_done(w->ahead))
			return apply_land(w, err);
		(void)wm_journal_wait(w->reader, IDLE_WAIT);
		return WM_OK;
	}
	if (w->staging != NULL && journal_full(w))
		return staging_give_up(w, err);
	if (w->in_transaction || w->await_restart) {
		if (wm_journal_wait(w->reader, MEMORY_WAIT) || w->await_restart)
			return WM_OK;
		if ((may_advance(w) || w->soft_since != 0) && journal_full(w)) {
			/* There is room for its rest once what came before it is committed, and lasts. */
			part_from_open(w);
			return w->soft_since != 0 ? apply_commit(w, err) : WM_OK;
		}
		/* Its rest may need the room that its beginning takes; where writes have a price only then. */
		return w->target->ops->pace == NULL || journal_full(w) ? apply_flush(w, err) : WM_OK;
	}
	if (may_gather(w)) {
		st = go_on_gathering(w, err);
		if (st != WM_OK || w->pending)
			return st;
	}
	if (steady_gathers(w))
		return WM_OK;
	st = w->p->once ? apply_commit(w, err) : apply_commit_soon(w, err);
	if (st != WM_OK)
		return st;
	receipts_idle(w->delivery.receipts);
	atomic_store(&w->behind_since, 0);
	if (w->p->once && once != 0 && atomic_load(&w->end_lsn) >= once && atomic_load(&w->settled) &&
	    (w->check_columns == 0 || w->check_columns > once) &&
	    !atomic_exchange(&w->caught_up, true))
		pipeline_notice(w->p);
	if (w->seeds)
		w->stream_until = 0;		/* nothing is kept waiting by the next batch */
	else
		(void)wm_journal_wait(w->reader, idle_wait(w));
	return WM_OK;
}

/* What can only be done between two transactions. */
static enum wm_status
between_transactions(struct worker *w, struct wm_error *err)
{
	bool changed;
	enum wm_status st = WM_OK;

	if (atomic_load(&w->commands)) {
		st = apply_land(w, err);
		if (st == WM_OK)
			st = worker_serve(w, err);
		if (st != WM_OK || w->await_restart)
			return st;
	}
	if (wm_clock_mono() >= w->retry_at) {
		st = apply_land(w, err);
		if (st == WM_OK)
			st = retry_due(w, err);
		if (st != WM_OK)
			return st;
	}
	pthread_mutex_lock(&w->source->lock);
	changed = w->source->tables_version != w->tables_version;
	pthread_mutex_unlock(&w->source->lock);
	if (changed) {
		st = apply_commit(w, err);
		if (st == WM_OK)
			st = staging_drop(w, err);
		if (st != WM_OK || w->await_restart)
			return st;
		st = units_refresh(w, err);
		if (st == WM_OK)
			st = apply_commit(w, err);
	}
	if (st == WM_OK && w->check_columns != 0 && atomic_load(&w->end_lsn) >= w->check_columns &&
	    atomic_load(&w->settled)) {
		st = apply_land(w, err);
		if (st == WM_OK)
			st = units_check_columns(w, err);
		if (st == WM_OK)
			st = apply_commit(w, err);	/* tells those who wait, too */
	}
	if (st != WM_OK || wm_clock_mono() < w->stream_until)
		return st;
	w->seeds = false;
	if (atomic_load(&w->settled) && w->staging == NULL)
		return WM_OK;
	/* What is put aside is no part of what the stream commits. */
	st = w->staging == NULL ? apply_commit(w, err) : WM_OK;
	if (st == WM_OK)
		st = seed_step(w, &w->seeds, err);
	if (st == WM_OK && w->staging == NULL)
		st = apply_commit(w, err);
	w->stream_until = wm_clock_mono() + STREAM_SLICE;
	return st;
}

/* A rule stops, or a table was taken out: go on without. */
static enum wm_status
rule_stops(struct worker *w, const struct wm_error *why, struct wm_error *err)
{
	const char *name = w->delivery.failed_rule;
	const struct wm_rule *rule = name == NULL ? NULL : wm_ruleset_find(w->p->setup->rules, name);
	char text[sizeof(why->text)];
	enum wm_status st = WM_OK;

	memcpy(text, why->text, sizeof(text));
	w->delivery.failed_rule = NULL;
	worker_go_back(w);
	routes_forget(w);
	if (rule != NULL) {
		wm_log(WM_LOG_ERROR, "rule_stopped",
		    "%s; the others go on, `walmill resume %s` once it is mended", text, name);
		stats_set_error(pipeline_stats(w->p, name), text);
		st = worker_add_hold(w, rule, HOLD_FAILED, err);
	}
	worker_show_rules(w);
	return st;
}

enum wm_status
worker_follow(struct worker *w, struct wm_error *err)
{
	w->stream_until = 0;
	w->seeds = false;
	while (!worker_stopping(w)) {
		struct wm_record rec;
		enum wm_status st = WM_OK;

		atomic_store_explicit(&w->alive, wm_clock_mono(), memory_order_relaxed);
		if (!w->in_transaction && !w->await_restart)
			st = between_transactions(w, err);
		for (unsigned i = 0; st == WM_OK && i < 256; i++) {
			bool found = false;

			st = wm_journal_read(w->reader, &rec, &found, err);
			if (st == WM_OK && !found) {
				st = idle(w, err);
				break;
			}
			if (st == WM_OK)
				st = take_record(w, &rec, err);
		}
		if (st == WM_REJECT)
			st = rule_stops(w, err, err);
		if (st != WM_OK)
			return st;
	}
	if (w->in_transaction)
		apply_rollback(w);
	return apply_commit(w, err);
}
