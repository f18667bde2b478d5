/* SPDX-License-Identifier: PostgreSQL */
/*
 * pipeline.c - starts, stops and reloads the threads, and passes requests to them.
 *
 * A reload stops all threads at a transaction boundary and starts them with the new setup:
 * every position is durable by then, so nothing is special about it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"
#include "walmill/receipts.h"
#include "walmill/strutil.h"

#define ALIVE_FOR (120 * WM_SEC)
/* By a target, where somebody may hold a lock for long: to start again would not help it, and disturb the others. */
#define ANSWERED_IN (3600 * WM_SEC)
#define WAIT_STEP (100 * WM_MSEC)

void
pipeline_notice(struct wm_pipeline *p)
{
	uint64_t one = 1;

	/* Fails only when it is as readable as it can be. */
	(void)!write(p->fd, &one, sizeof(one));
}

void
pipeline_progress(struct wm_pipeline *p)
{
	pthread_mutex_lock(&p->progress_lock);
	if (p->waiters > 0)
		pthread_cond_broadcast(&p->progress);
	pthread_mutex_unlock(&p->progress_lock);
}

static struct rule_stats *
stats_create(struct wm_state *state, const char *rule)
{
	struct rule_stats *s = calloc(1, sizeof(*s));
	struct wm_error err;
	int64_t letters = 0;

	if (s == NULL || (s->name = strdup(rule)) == NULL || (s->shares = calloc(1, sizeof(*s->shares))) == NULL) {
		if (s != NULL)
			free(s->name);
		free(s);
		return NULL;
	}
	s->lanes = 1;
	pthread_mutex_init(&s->lock, NULL);
	/* Not known is treated like some: it costs reading a few rows again. */
	s->refused = wm_state_dead_letter_count(state, rule, &letters, &err) != WM_OK || letters > 0;
	return s;
}

struct rule_stats *
pipeline_stats(struct wm_pipeline *p, const char *rule)
{
	struct rule_stats *s;

	pthread_mutex_lock(&p->stats_lock);
	HASH_FIND_STR(p->stats, rule, s);
	if (s == NULL && (s = stats_create(p->state, rule)) != NULL)
		HASH_ADD_KEYPTR(hh, p->stats, s->name, strlen(s->name), s);
	pthread_mutex_unlock(&p->stats_lock);
	return s;
}

void
stats_set_error(struct rule_stats *stats, const char *text)
{
	if (stats == NULL)
		return;
	pthread_mutex_lock(&stats->lock);
	free(stats->last_error);
	stats->last_error = text == NULL ? NULL : strdup(text);
	pthread_mutex_unlock(&stats->lock);
}

struct wm_plan_env
pipeline_plan_env(const struct wm_pipeline *p, const struct source *s)
{
	return (struct wm_plan_env){
		.source = s->config->base, .mask_key = p->mask_key, .mask_key_len = p->mask_key_len
	};
}

/* ---- threads ---- */

/* Whether some rule goes from the source to the target. */
static bool
joined(const struct wm_setup *setup, const char *source, const char *target)
{
	for (size_t i = 0; i < setup->rules->n; i++)
		if (strcmp(setup->rules->rules[i].source, source) == 0 &&
		    strcmp(setup->rules->rules[i].target, target) == 0)
			return true;
	return false;
}

static enum wm_status
add_workers(struct wm_pipeline *p, struct source *s, struct wm_error *err)
{
	for (size_t i = 0; i < p->setup->ntargets; i++) {
		struct wm_target *model = p->setup->targets[i];
		enum wm_status st;

		if (!joined(p->setup, s->config->base, model->name))
			continue;
		st = worker_create(p, s, model, &p->workers[p->nworkers], err);
		if (st != WM_OK)
			return st;
		p->nworkers++;
		s->importers++;
	}
	return WM_OK;
}

static enum wm_status
set_mask_key(struct wm_pipeline *p, struct wm_error *err)
{
	const char *key = p->setup->config->mask_key;

	if (key == NULL) {
		p->mask_key_len = 32;
		return wm_state_mask_key(p->state, p->mask_key, err);
	}
	p->mask_key_len = strlen(key) < sizeof(p->mask_key) ? strlen(key) : sizeof(p->mask_key);
	memcpy(p->mask_key, key, p->mask_key_len);
	return WM_OK;
}

/* Those of lanes that stay are kept. */
static bool
set_shares(struct rule_stats *s, unsigned lanes)
{
	struct rule_share *shares = s->lanes == lanes ? s->shares : realloc(s->shares, lanes * sizeof(*shares));

	if (shares == NULL)
		return false;
	for (unsigned k = s->lanes; k < lanes; k++)
		memset(&shares[k], 0, sizeof(shares[k]));
	s->shares = shares;
	s->lanes = lanes;
	return true;
}

/* Over how many lanes each rule's numbers are added up. */
static enum wm_status
set_lanes(struct wm_pipeline *p, struct wm_error *err)
{
	for (size_t i = 0; i < p->setup->rules->n; i++) {
		const struct wm_rule *rule = &p->setup->rules->rules[i];
		unsigned lanes = (unsigned)wm_setup_source(p->setup, rule->source)->lanes;
		struct rule_stats *s = pipeline_stats(p, rule->name);

		if (s == NULL || !set_shares(s, lanes))
			return wm_oom(err, "rules");
	}
	return WM_OK;
}

/* Makes sources and workers for the setup; nothing runs yet. */
static enum wm_status
build(struct wm_pipeline *p, struct wm_error *err)
{
	const struct wm_config *config = p->setup->config;
	enum wm_status st = set_mask_key(p, err);

	p->sources = calloc(config->nsources + 1, sizeof(struct source *));
	p->workers = calloc(config->nsources * p->setup->ntargets + 1, sizeof(struct worker *));
	if (p->sources == NULL || p->workers == NULL)
		return wm_oom(err, "the pipeline");
	if (st == WM_OK && config->receipts)
		st = wm_receipts_open(config->state, config->receipts_keep,
		    config->receipts_max_bytes, &p->receipts, err);
	if (st == WM_OK)
		st = set_lanes(p, err);
	for (size_t i = 0; st == WM_OK && i < config->nsources; i++) {
		if (config->sources[i].lane == 1)
			st = lanes_retire(p, &config->sources[i], err);
		if (st != WM_OK)
			return st;
		st = source_create(p, &config->sources[i], &p->sources[p->nsources], err);
		if (st == WM_OK)
			st = add_workers(p, p->sources[p->nsources++], err);
	}
	return st;
}

static void
tear_down(struct wm_pipeline *p)
{
	for (size_t i = 0; i < p->nworkers; i++)
		worker_destroy(p->workers[i]);
	for (size_t i = 0; i < p->nsources; i++)
		source_destroy(p->sources[i]);
	free(p->workers);
	free(p->sources);
	p->workers = NULL;
	p->sources = NULL;
	p->nworkers = p->nsources = 0;
	wm_receipts_close(p->receipts);
	p->receipts = NULL;
	views_forget(p);
}

static void
stop_threads(struct wm_pipeline *p)
{
	/* A worker that waits for its source to get ready must be let go. */
	for (size_t i = 0; i < p->nsources; i++)
		source_announce_stop(p->sources[i]);
	for (size_t i = 0; i < p->nworkers; i++)
		worker_announce_stop(p->workers[i]);
	for (size_t i = 0; i < p->nworkers; i++)
		worker_stop(p->workers[i]);
	/* The receivers last: they tell the servers what the workers have just committed. */
	for (size_t i = 0; i < p->nsources; i++)
		source_stop(p->sources[i]);
}

static enum wm_status
start_threads(struct wm_pipeline *p, struct wm_error *err)
{
	enum wm_status st = WM_OK;

	for (size_t i = 0; st == WM_OK && i < p->nsources; i++)
		st = source_start(p->sources[i], err);
	for (size_t i = 0; st == WM_OK && i < p->nworkers; i++)
		st = worker_start(p->workers[i], err);
	if (st != WM_OK)
		stop_threads(p);
	return st;
}

/* ---- life ---- */

enum wm_status
wm_pipeline_create(struct wm_setup *setup, struct wm_state *state, struct wm_alerts *alerts, bool once,
    struct wm_pipeline **ret, struct wm_error *err)
{
	struct wm_pipeline *p = calloc(1, sizeof(*p));
	pthread_condattr_t attr;
	enum wm_status st;

	if (p == NULL)
		return wm_oom(err, "the pipeline");
	p->setup = wm_setup_ref(setup);
	p->state = state;
	p->alerts = alerts;
	p->once = once;
	p->started = wm_clock_mono();
	pthread_mutex_init(&p->lock, NULL);
	pthread_mutex_init(&p->stats_lock, NULL);
	pthread_mutex_init(&p->views_lock, NULL);
	pthread_mutex_init(&p->progress_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->progress, &attr);
	pthread_cond_init(&p->watch_changed, &attr);
	pthread_condattr_destroy(&attr);
	p->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	st = p->fd < 0 ? wm_fail(err, WM_FATAL, "could not make an eventfd: %s", strerror(errno)) : build(p, err);
	if (st != WM_OK) {
		wm_pipeline_destroy(p);
		return st;
	}
	*ret = p;
	return WM_OK;
}

enum wm_status
wm_pipeline_start(struct wm_pipeline *p, struct wm_error *err)
{
	enum wm_status st = start_threads(p, err);

	if (st == WM_OK)
		st = watch_start(p, err);
	if (st != WM_OK)
		stop_threads(p);
	return st;
}

int
wm_pipeline_fd(const struct wm_pipeline *p)
{
	return p->fd;
}

void
wm_pipeline_stop(struct wm_pipeline *p)
{
	watch_stop(p);
	atomic_store(&p->stopping, true);
	pipeline_progress(p);
	stop_threads(p);
}

void
wm_pipeline_destroy(struct wm_pipeline *p)
{
	if (p == NULL)
		return;
	tear_down(p);
	while (p->stats != NULL) {
		struct rule_stats *s = p->stats;

		HASH_DEL(p->stats, s);
		pthread_mutex_destroy(&s->lock);
		free(s->last_error);
		free(s->shares);
		free(s->name);
		free(s);
	}
	if (p->fd >= 0)
		close(p->fd);
	wm_setup_unref(p->setup);
	pthread_cond_destroy(&p->watch_changed);
	pthread_cond_destroy(&p->progress);
	pthread_mutex_destroy(&p->progress_lock);
	pthread_mutex_destroy(&p->stats_lock);
	pthread_mutex_destroy(&p->views_lock);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

enum wm_status
wm_pipeline_reload(struct wm_pipeline *p, struct wm_setup *setup, struct wm_error *err)
{
	struct wm_setup *old = p->setup;
	enum wm_status st;

	for (size_t i = 0; i < old->config->nsources; i++) {
		const struct wm_source_config *was = &old->config->sources[i];
		const struct wm_source_config *is = wm_setup_source(setup, was->name);

		if (is != NULL && (strcmp(is->uri, was->uri) != 0 || strcmp(is->slot, was->slot) != 0 ||
		    strcmp(is->publication, was->publication) != 0))
			return wm_fail(err, WM_FATAL,
			    "uri, slot and publication of source \"%s\" cannot be changed while walmill runs; "
			    "restart it",
			    was->name);
	}
	if (strcmp(setup->config->state, old->config->state) != 0)
		return wm_fail(err, WM_FATAL, "`state` cannot be changed while walmill runs (%s to %s); restart it",
		    old->config->state, setup->config->state);
	/* Without the lock: a target may take its time, and status is to be had meanwhile. */
	stop_threads(p);
	pthread_mutex_lock(&p->lock);
	tear_down(p);
	p->setup = wm_setup_ref(setup);
	st = build(p, err);
	if (st == WM_OK)
		st = start_threads(p, err);
	if (st != WM_OK) {
		struct wm_error ignored;

		/* What ran before can be built again. */
		tear_down(p);
		wm_setup_unref(p->setup);
		p->setup = old;
		old = NULL;
		if (build(p, &ignored) != WM_OK || start_threads(p, &ignored) != WM_OK)
			wm_log(WM_LOG_ERROR, "reload_failed", "%s", ignored.text);
	}
	pthread_mutex_unlock(&p->lock);
	wm_setup_unref(old);
	pipeline_notice(p);
	return st;
}

enum wm_status
wm_pipeline_begin_again(struct wm_pipeline *p, struct wm_error *err)
{
	bool again = false;

	for (size_t i = 0; i < p->nsources; i++)
		again |= atomic_load(&p->sources[i]->begin_again);
	return again ? wm_pipeline_reload(p, p->setup, err) : WM_OK;
}

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

/* ---- requests ---- */

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
