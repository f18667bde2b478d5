/* SPDX-License-Identifier: PostgreSQL */
/*
 * pipeline.c - starts, stops and reloads the threads.
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
