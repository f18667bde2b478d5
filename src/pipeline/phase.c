/* SPDX-License-Identifier: PostgreSQL */
/*
 * phase.c - how far all of them are: whether they go on, show signs of life, have reached a position.
 */
#include <stdlib.h>
#include <time.h>

#include "internal.h"
#include "walmill/strutil.h"

#define ALIVE_FOR (120 * WM_SEC)
/* By a target, where somebody may hold a lock for long: to start again would not help it, and disturb the others. */
#define ANSWERED_IN (3600 * WM_SEC)
#define WAIT_STEP (100 * WM_MSEC)

/* ---- phase ---- */

static bool
worker_failed(struct worker *w, struct wm_error *err)
{
	bool failed;

	pthread_mutex_lock(&w->lock);
	failed = w->failed != WM_OK;
	if (failed) {
		(void)wm_fail(err, w->failed, "%s", w->last_error == NULL ? "" : w->last_error);
		(void)wm_error_prefix(err, "target \"%s\"", w->model->name);
	}
	pthread_mutex_unlock(&w->lock);
	return failed;
}

static bool
source_failed(struct source *s, struct wm_error *err)
{
	bool failed;

	pthread_mutex_lock(&s->lock);
	failed = s->failed != WM_OK;
	if (failed)
		(void)wm_fail(err, s->failed, "source \"%s\": %s", s->config->name,
		    s->last_error == NULL ? "" : s->last_error);
	pthread_mutex_unlock(&s->lock);
	return failed;
}

/* A rule that has stopped, for those who must not take "caught up" for "complete". */
static const struct wm_rule *
failed_rule(struct wm_pipeline *p, struct wm_error *err)
{
	for (size_t i = 0; i < p->setup->rules->n; i++) {
		const struct wm_rule *rule = &p->setup->rules->rules[i];
		struct rule_stats *s = pipeline_stats(p, rule->name);

		if (s == NULL || stats_state(s) != RULE_FAILED)
			continue;
		pthread_mutex_lock(&s->lock);
		(void)wm_fail(err, WM_FATAL, "rule \"%s\" has failed: %s", rule->name, s->last_error == NULL ? "" :
		    s->last_error);
		pthread_mutex_unlock(&s->lock);
		return rule;
	}
	return NULL;
}

/* The lock is held. */
static enum wm_phase
phase(struct wm_pipeline *p, struct wm_error *err)
{
	size_t running = 0, done = 0, streaming = 0;

	for (size_t i = 0; i < p->nsources; i++)
		streaming += atomic_load(&p->sources[i]->state) == SOURCE_STREAMING;
	for (size_t i = 0; i < p->nworkers; i++) {
		struct worker *w = p->workers[i];

		if (source_failed(w->source, err) || worker_failed(w, err)) {
			if (p->once)
				return WM_PHASE_FAILED;
			continue;
		}
		running++;
		done += atomic_load(&w->caught_up);
	}
	if (running == 0 && p->nworkers > 0)
		return WM_PHASE_FAILED;
	if (p->once && done == p->nworkers)
		return failed_rule(p, err) == NULL ? WM_PHASE_DONE : WM_PHASE_FAILED;
	return streaming == p->nsources ? WM_PHASE_RUNNING : WM_PHASE_STARTING;
}

enum wm_phase
wm_pipeline_phase(struct wm_pipeline *p, struct wm_error *err)
{
	enum wm_phase ret;

	pthread_mutex_lock(&p->lock);
	ret = phase(p, err);
	pthread_mutex_unlock(&p->lock);
	return ret;
}

bool
wm_pipeline_alive(struct wm_pipeline *p)
{
	wm_usec now = wm_clock_mono();
	bool alive = true;

	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->nsources; i++) {
		int state = atomic_load(&p->sources[i]->state);

		if (state == SOURCE_STREAMING)
			alive &= now - atomic_load(&p->sources[i]->shared.alive) < ALIVE_FOR;
		alive &= state != SOURCE_STALLED;
	}
	for (size_t i = 0; i < p->nworkers; i++)
		if (atomic_load(&p->workers[i]->state) == WORKER_OK && !p->workers[i]->first_session)
			alive &= now - atomic_load(&p->workers[i]->alive) < ANSWERED_IN;
	pthread_mutex_unlock(&p->lock);
	return alive;
}

/* ---- until positions are reached ---- */

/* Where each source stands now; without the lock, because a source may take long to answer. */
static enum wm_status
positions_now(const struct wm_config *config, wm_lsn *positions, struct wm_error *err)
{
	for (size_t i = 0; i < config->nsources; i++) {
		WM_AUTO(wm_pg_closep) struct wm_pg *c = NULL;
		enum wm_status st;

		if (config->sources[i].lane > 1) {
			positions[i] = positions[i - 1];
			continue;
		}
		st = wm_pg_connect(config->sources[i].uri, WM_PG_SQL, "walmill wait", &c, err);
		if (st == WM_OK)
			st = wm_pg_current_lsn_to_wait_for(c, &positions[i], err);
		if (st != WM_OK)
			return wm_error_prefix(err, "source \"%s\"", config->sources[i].name);
	}
	return WM_OK;
}

/* The version of the tables when the catalog was last read, if that was before lsn; 0: no such look is known. */
static uint64_t
look_before(struct source *s, wm_lsn lsn)
{
	uint64_t version = 0;

	pthread_mutex_lock(&s->lock);
	if (s->tables != NULL && s->tables->lsn_after <= lsn)
		version = s->tables_version;
	pthread_mutex_unlock(&s->lock);
	return version;
}

/* What gathers for the target's sake is written now. */
static void
await_position(struct worker *w, wm_lsn lsn)
{
	if (atomic_load(&w->awaited) >= lsn)
		return;
	atomic_store(&w->awaited, lsn);
	wm_journal_wake(w->reader);
}

/* WM_RETRY: not there yet; the lock is held. */
static enum wm_status
have_reached(struct wm_pipeline *p, const wm_lsn *positions, struct wm_error *err)
{
	for (size_t i = 0; i < p->nsources; i++) {
		struct source *s = p->sources[i];

		if (source_failed(s, err))
			return WM_FATAL;
		if (atomic_load(&s->shared.wanted) < positions[i]) {
			atomic_store(&s->shared.wanted, positions[i]);
			source_wake(s);
		}
		for (size_t k = 0; k < p->nworkers; k++) {
			struct worker *w = p->workers[k];

			if (w->source != s)
				continue;
			if (worker_failed(w, err))
				return WM_FATAL;
			if (atomic_load(&w->lasting_lsn) < positions[i]) {
				await_position(w, positions[i]);
				return worker_fail(w, err,
				    "target \"%s\" is at " WM_LSN_FMT
				    ", source \"%s\" was at " WM_LSN_FMT,
				    w->model->name, WM_LSN_ARGS(atomic_load(&w->end_lsn)),
				    s->config->name, WM_LSN_ARGS(positions[i]));
			}
			/* Before the next question: what the catalog shows may begin a seed. */
			if (atomic_load(&w->looked) < look_before(s, positions[i]))
				return wm_fail(err, WM_RETRY,
				    "target \"%s\" has not taken up yet what the catalog of source \"%s\" showed",
				    w->model->name, s->config->name);
			if (!atomic_load(&w->settled))
				return worker_fail(w, err,
				    "a rule to target \"%s\" is still being seeded",
				    w->model->name);
		}
	}
	for (size_t i = 0; i < p->setup->rules->n; i++) {
		const char *name = p->setup->rules->rules[i].name;
		struct rule_stats *s = pipeline_stats(p, name);

		if (s != NULL && stats_state(s) == RULE_PAUSED)
			return wm_fail(err, WM_FATAL,
			    "rule \"%s\" is paused, so its changes are not in the target; `walmill resume %s`",
			    name, name);
	}
	return failed_rule(p, err) == NULL ? WM_OK : WM_FATAL;
}

/* Until a worker has come further, or a while has passed. */
static void
await_progress(struct wm_pipeline *p)
{
	wm_usec until = wm_clock_mono() + WAIT_STEP;
	struct timespec ts = { .tv_sec = until / WM_SEC, .tv_nsec = until % WM_SEC * 1000 };

	pthread_mutex_lock(&p->progress_lock);
	p->waiters++;
	pthread_cond_timedwait(&p->progress, &p->progress_lock, &ts);
	p->waiters--;
	pthread_mutex_unlock(&p->progress_lock);
}

enum wm_status
wm_pipeline_wait(struct wm_pipeline *p, wm_lsn lsn, wm_usec timeout, struct wm_error *err)
{
	wm_usec until = wm_clock_mono() + timeout;
	WM_AUTO(wm_freep) wm_lsn *positions = NULL;
	struct wm_setup *setup;
	size_t nsources;
	enum wm_status st = WM_OK;

	pthread_mutex_lock(&p->lock);
	setup = wm_setup_ref(p->setup);
	pthread_mutex_unlock(&p->lock);
	nsources = setup->config->nsources;
	positions = calloc(nsources + 1, sizeof(*positions));
	if (positions == NULL)
		st = wm_oom(err, "positions");
	else if (lsn == 0)
		st = positions_now(setup->config, positions, err);
	wm_setup_unref(setup);
	for (size_t i = 0; st == WM_OK && lsn != 0 && i < nsources; i++)
		positions[i] = lsn;
	if (st != WM_OK)
		return st;
	for (;;) {
		pthread_mutex_lock(&p->lock);
		st = p->nsources == nsources ? have_reached(p, positions, err) :
		    wm_fail(err, WM_FATAL, "the configuration was read again meanwhile");
		if (st == WM_RETRY && atomic_load(&p->stopping))
			st = wm_fail(err, WM_FATAL, "walmill is stopping");
		pthread_mutex_unlock(&p->lock);
		if (st != WM_RETRY || wm_clock_mono() >= until)
			return st;
		await_progress(p);
	}
}
