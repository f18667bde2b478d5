/* SPDX-License-Identifier: PostgreSQL */
/*
 * worker.c - the thread between one source and one target.
 *
 * A session opens the target, reads what it remembers, seeds what has to be seeded and then
 * follows the journal: whatever has gathered there while the target was busy makes the next batch, and
 * a lone change goes out at once.  When the target fails the session ends; the next one starts from
 * what the target says it has.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "letters.h"
#include "receipts.h"
#include "walmill/strutil.h"

#define MEMORY_WAIT (20 * WM_MSEC)	/* for the rest of a transaction, before its first part is written */
#define IDLE_WAIT (500 * WM_MSEC)
#define STEADY_MIN 64			/* commits in quick succession, until they are let gather */
#define STEADY_EVERY WM_MSEC
#define STREAM_SLICE (100 * WM_MSEC)	/* between two batches of a late seed */
#define FAILED_WAIT (60 * WM_SEC)
#define RELEASE_BYTES (4U << 20)

bool
worker_stopping(const struct worker *w)
{
	return atomic_load(&w->stop);
}

bool
worker_takes(const struct worker *w, const char *table)
{
	const struct wm_source_config *lane = w->source->config;

	return lane_of_name(w->p->setup, lane, table) == (unsigned)lane->lane;
}

struct rule_share *
worker_share(const struct worker *w, struct rule_stats *stats)
{
	return &stats->shares[w->source->config->lane - 1];
}

void
worker_rest(struct worker *w, wm_usec until)
{
	struct timespec ts = { .tv_sec = until / WM_SEC, .tv_nsec = until % WM_SEC * 1000 };

	atomic_store(&w->alive, wm_clock_mono());
	pthread_mutex_lock(&w->lock);
	if (!worker_stopping(w))
		(void)pthread_cond_timedwait(&w->changed, &w->lock, &ts);
	pthread_mutex_unlock(&w->lock);
}

void
worker_set_error(struct worker *w, enum worker_state state, const struct wm_error *err)
{
	pthread_mutex_lock(&w->lock);
	free(w->last_error);
	w->last_error = err == NULL ? NULL : strdup(err->text);
	w->failed = state == WORKER_FAILED ? err->status : WM_OK;
	pthread_mutex_unlock(&w->lock);
	atomic_store(&w->state, state);
	pipeline_notice(w->p);
}

enum wm_status
worker_fail(struct worker *w, struct wm_error *err, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&w->lock);
	(void)wm_fail(err, WM_RETRY, "%s%s%s", text, w->last_error != NULL ? "; its last error: " : "",
	    w->last_error != NULL ? w->last_error : "");
	pthread_mutex_unlock(&w->lock);
	return WM_RETRY;
}

/* ---- following the journal ---- */

/* Everything since the last commit comes again: from memory, or from the source. */
static void
go_back(struct worker *w)
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
	go_back(w);
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
	go_back(w);
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

static enum wm_status
follow(struct worker *w, struct wm_error *err)
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

/* ---- sessions ---- */

static void
close_units(struct worker *w)
{
	w->broken_off += w->staging != NULL;
	staging_free(w);
	routes_forget(w);
	units_free(w);
	bookmarks_forget(w);
}

/* Where this session begins to read.  Rules that had failed try again at each start: that needs their changes again. */
static void
take_position(struct worker *w, bool lost)
{
	bool again = w->first_session || w->await_restart || lost;

	for (struct hold *h = w->holds; h != NULL; h = h->next)
		if (h->why == HOLD_FAILED)
			again = h->resuming = true;
	if (again)
		worker_replay(w, atomic_load(&w->end_lsn));
}

static enum wm_status
first_seed(struct worker *w, struct wm_error *err)
{
	enum wm_status st;

	w->bookmarks = true;
	st = bookmarks_commit_all(w, atomic_load(&w->commit_lsn), atomic_load(&w->end_lsn), false, NULL, err);
	if (st == WM_OK)
		st = seed_bulk(w, err);
	if (st != WM_OK)
		return st;
	w->has_checkpoint = true;
	return apply_commit(w, err);
}

/* Whether the target has lost what it had committed. */
static bool
is_behind(const struct worker *w)
{
	wm_lsn end = atomic_load(&w->end_lsn);

	if (end >= w->written_end)
		return false;
	wm_log(WM_LOG_WARNING, "target_behind",
	    "target \"%s\" stands at " WM_LSN_FMT " and has lost what it had taken up to " WM_LSN_FMT
	    ": the changes between the two come again",
	    w->model->name, WM_LSN_ARGS(end), WM_LSN_ARGS(w->written_end));
	return true;
}

/* What we go on from is to last: an earlier session may have committed it soon. */
static enum wm_status
make_last(struct worker *w, struct wm_error *err)
{
	if (w->target->ops->commit_soon != NULL)
		w->soft_since = wm_clock_mono();
	return apply_commit(w, err);
}

static enum wm_status
session(struct worker *w, struct wm_error *err)
{
	enum wm_status st = w->target->ops->open(w->target, err);

	if (st == WM_OK)
		st = bookmarks_load(w, err);
	if (st == WM_OK)
		st = letters_load(w->delivery.letters, w, err);
	if (st == WM_OK)
		st = receipts_recover(w->delivery.receipts, w, err);
	if (st != WM_OK)
		return st;
	w->retry_from = 0;
	take_position(w, is_behind(w));
	apply_rollback(w);
	st = units_refresh(w, err);
	if (st == WM_OK && !w->has_checkpoint)
		st = first_seed(w, err);
	if (st == WM_OK && w->first_session)
		source_release_snapshot(w->source);
	if (st != WM_OK)
		return st;
	w->first_session = false;
	st = make_last(w, err);
	if (st != WM_OK)
		return st;
	worker_set_error(w, WORKER_OK, NULL);
	return follow(w, err);
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	struct wm_backoff backoff;

	wm_log_context("target", w->model->name);
	wm_backoff_init(&backoff, 100 * WM_MSEC, 30 * WM_SEC);
	if (!source_wait_prepared(w->source))
		return NULL;
	while (!worker_stopping(w)) {
		struct wm_error err = { 0 };
		wm_usec began = wm_clock_mono(), again;
		wm_lsn from = atomic_load(&w->end_lsn);
		enum wm_status st = session(w, &err);

		apply_abandon(w);
		atomic_store(&w->waits, 0);
		if (st != WM_OK && !w->in_transaction && worker_stopping(w))
			wm_log(WM_LOG_WARNING, "target_stop",
			    "the last batch was not written and comes again: %s", err.text);
		if (w->target->ops->rollback != NULL)
			w->target->ops->rollback(w->target);
		w->target->ops->close(w->target);
		if (st == WM_OK || worker_stopping(w))
			break;
		go_back(w);
		close_units(w);
		/* What gets on between its failures need not wait as what does not. */
		if (atomic_load(&w->end_lsn) > from || wm_clock_mono() - began > 60 * WM_SEC)
			wm_backoff_reset(&backoff);
		if (st == WM_RETRY) {
			worker_set_error(w, WORKER_RETRYING, &err);
			wm_log(WM_LOG_WARNING, "target_retry", "%s", err.text);
		} else {
			worker_set_error(w, WORKER_FAILED, &err);
			wm_log(WM_LOG_ERROR, "target_failed", "%s", err.text);
		}
		atomic_fetch_add(&w->retries, 1);
		again = wm_clock_mono() + (st == WM_RETRY ? wm_backoff_asked(&backoff, err.retry_after) : FAILED_WAIT);
		while (!worker_stopping(w) && wm_clock_mono() < again)
			worker_rest(w, again);
	}
	return NULL;
}

/* ---- life ---- */

enum wm_status
worker_create(struct wm_pipeline *p, struct source *s, const struct wm_target *model, struct worker **ret,
    struct wm_error *err)
{
	struct worker *w = calloc(1, sizeof(*w));
	pthread_condattr_t attr;
	enum wm_status st;

	if (w == NULL)
		return wm_oom(err, "a worker");
	w->p = p;
	w->source = s;
	w->model = model;
	w->first_session = true;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->changed, &attr);
	pthread_condattr_destroy(&attr);
	w->delivery = (struct delivery){ .p = p, .source = s->config,
		.letters = letters_create(p, s->config, model->name) };
	w->decoder = wm_pgoutput_create();
	w->batcher = batcher_create();
	w->ahead = ahead_create(w);
	st = w->decoder == NULL || w->batcher == NULL || w->ahead == NULL || w->delivery.letters == NULL ?
	    wm_oom(err, "a worker") :
	    wm_target_clone(model, &w->target, err);
	if (st == WM_OK)
		st = receipts_create(p, s->config->name, model->name, &w->delivery.receipts, err);
	if (st == WM_OK)
		st = wm_journal_reader_open(s->journal, 0, &w->reader, err);
	if (st != WM_OK) {
		worker_destroy(w);
		return st;
	}
	w->host = worker_host(w);
	w->target->host = &w->host;
	w->target->lone = true;
	w->delivery.target = w->target;
	*ret = w;
	return WM_OK;
}

enum wm_status
worker_start(struct worker *w, struct wm_error *err)
{
	atomic_store(&w->alive, wm_clock_mono());
	if (pthread_create(&w->thread, NULL, worker_main, w) != 0)
		return wm_fail(err, WM_FATAL, "could not start a thread for target \"%s\"", w->model->name);
	w->runs = true;
	return WM_OK;
}

void
worker_announce_stop(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	atomic_store(&w->stop, true);
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	wm_journal_wake(w->reader);
}

void
worker_stop(struct worker *w)
{
	if (w->runs)
		pthread_join(w->thread, NULL);
	w->runs = false;
	pthread_mutex_lock(&w->lock);
	if (atomic_load(&w->commands)) {
		w->wanted.st = wm_fail(&w->wanted.err, WM_RETRY, "walmill is stopping");
		w->wanted.done = true;
		pthread_cond_broadcast(&w->changed);
	}
	while (w->askers > 0)
		pthread_cond_wait(&w->changed, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

void
worker_destroy(struct worker *w)
{
	if (w == NULL)
		return;
	ahead_destroy(w->ahead);
	close_units(w);
	wm_journal_reader_close(w->reader);
	wm_pgoutput_destroy(w->decoder);
	batcher_destroy(w->batcher);
	wm_target_destroy(w->target);
	wm_pg_close(w->sql);
	free(w->last_error);
	request_clear(&w->wanted);
	letters_destroy(w->delivery.letters);
	receipts_destroy(w->delivery.receipts);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
