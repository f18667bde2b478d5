/* SPDX-License-Identifier: PostgreSQL */
/*
 * worker.c - the thread between one source and one target.
 *
 * A session opens the target, reads what it remembers, seeds what has to be seeded and then follows the journal
 * (follow.c).  When the target fails the session ends; the next one starts from what the target says it has.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "letters.h"
#include "receipts.h"
#include "walmill/strutil.h"

#define FAILED_WAIT (60 * WM_SEC)

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
	return worker_follow(w, err);
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
		worker_go_back(w);
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
