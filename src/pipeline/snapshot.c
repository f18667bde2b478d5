/* SPDX-License-Identifier: PostgreSQL */
/*
 * snapshot.c - the state of everything, copied for those who show it.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "walmill/strutil.h"

static char *
copy(const char *s)
{
	return s == NULL ? NULL : strdup(s);
}

static wm_lsn
behind(wm_lsn server, wm_lsn at)
{
	return server > at ? server - at : 0;
}

static void
show_source(struct source *s, struct wm_source_status *ret)
{
	static const char *const states[] = { [SOURCE_CONNECTING] = "connecting", [SOURCE_STREAMING] = "streaming",
		[SOURCE_STALLED] = "stalled",
		[SOURCE_RETRYING] = "retrying", [SOURCE_FAILED] = "failed", [SOURCE_STOPPED] = "stopped" };

	struct wm_journal_state journal;
	wm_usec moved = atomic_load(&s->shared.moved);

	ret->name = copy(s->config->name);
	ret->slot_name = copy(s->config->slot);
	ret->state = states[atomic_load(&s->state)];
	ret->received_lsn = atomic_load(&s->shared.received);
	ret->acknowledged_lsn = atomic_load(&s->shared.acknowledged);
	ret->server_lsn = atomic_load(&s->shared.server);
	ret->lag_bytes = behind(ret->server_lsn, ret->acknowledged_lsn);
	ret->transactions = atomic_load(&s->shared.transactions);
	ret->changes = atomic_load(&s->shared.changes);
	ret->reconnects = atomic_load(&s->reconnects);
	ret->prepared = atomic_load(&s->shared.prepared);
	ret->waiting_bytes = atomic_load(&s->shared.waiting_bytes);
	ret->quiet_s = moved == 0 ? 0 : (double)(wm_clock_mono() - moved) / WM_SEC;
	wm_journal_look(s->journal, &journal);
	ret->journal_bytes = journal.durable ? journal.bytes : journal.memory;
	ret->journal_max_bytes = journal.max_bytes;
	ret->journal_state = journal.error.status == WM_FATAL ? "failed" :
	    journal.error.status == WM_RETRY                  ? "no_space" :
	    journal.full                                      ? "full" :
	    journal.durable                                   ? "ok" :
								"off";
	pthread_mutex_lock(&s->lock);
	ret->last_error = copy(s->last_error);
	ret->slot = s->budget.shown;
	pthread_mutex_unlock(&s->lock);
}

/* A target is shown once, whatever number of sources feed it: by the furthest behind. */
static void
add_worker(struct worker *w, struct wm_target_status *ret)
{
	static const char *const states[] = { [WORKER_OK] = "ok", [WORKER_RETRYING] = "retrying",
		[WORKER_FAILED] = "failed" };
	int state = atomic_load(&w->state);
	wm_lsn at = atomic_load(&w->end_lsn), server = atomic_load(&w->source->shared.server);
	wm_usec since = atomic_load(&w->behind_since);
	double lag = since == 0 ? 0 : (double)(wm_clock_wall() - since) / WM_SEC;

	if (ret->applied_lsn == 0 || behind(server, at) > ret->lag_bytes)
		ret->applied_lsn = at;
	if (behind(server, at) > ret->lag_bytes)
		ret->lag_bytes = behind(server, at);
	if (lag > ret->lag_s)
		ret->lag_s = lag;
	ret->rows_written += atomic_load(&w->rows_written);
	ret->batches += atomic_load(&w->batches);
	ret->retries += atomic_load(&w->retries);
	if (state == WORKER_FAILED || (state == WORKER_RETRYING && strcmp(ret->state, "failed") != 0))
		ret->state = states[state];
	pthread_mutex_lock(&w->lock);
	if (ret->last_error == NULL)
		ret->last_error = copy(w->last_error);
	pthread_mutex_unlock(&w->lock);
}

/* The view's real name where the rule is about one table, else with its placeholders. */
static char *
view_of(const struct wm_rule *rule)
{
	const char *pattern = rule->tables.list[0], *dot = strchr(pattern, '.');
	WM_AUTO(wm_freep) char *schema = dot == NULL ? NULL : strndup(pattern, (size_t)(dot - pattern));

	if (rule->tables.n != 1 || schema == NULL || strpbrk(pattern, "*?") != NULL)
		return copy(rule->view);
	return wm_rule_view_name(rule, schema, dot + 1);
}

static void
add_shares(const struct rule_stats *s, struct wm_rule_status *ret)
{
	for (unsigned i = 0; i < s->lanes; i++) {
		const struct rule_share *share = &s->shares[i];

		ret->rows_seeded += atomic_load(&share->seeded);
		ret->rows_read += atomic_load(&share->read);
		ret->seed_total += atomic_load(&share->total);
		ret->seed_rows_per_s += (double)atomic_load(&share->seed_rate);
		ret->waiting += atomic_load(&share->waiting);
	}
}

static enum wm_status
show_rule(struct wm_pipeline *p, const struct wm_rule *rule, struct wm_rule_status *ret, struct wm_error *err)
{
	static const char *const states[] = { [RULE_SEEDING] = "seeding", [RULE_STREAMING] = "streaming",
		[RULE_PAUSED] = "paused", [RULE_FAILED] = "failed" };
	static const char *const priorities[] = { [WM_PRIORITY_LOW] = "low", [WM_PRIORITY_NORMAL] = "normal",
		[WM_PRIORITY_HIGH] = "high" };
	struct rule_stats *s = pipeline_stats(p, rule->name);
	struct wm_buf tables;
	int64_t letters = 0;
	enum wm_status st = s == NULL ? wm_oom(err, "status") :
	    wm_state_dead_letter_count(p->state, rule->name, &letters, err);

	if (st != WM_OK)
		return st;
	wm_buf_init(&tables, 64U << 10);
	for (size_t i = 0; i < rule->tables.n; i++)
		wm_buf_addf(&tables, "%s%s", i == 0 ? "" : " ", rule->tables.list[i]);
	ret->name = copy(rule->name);
	ret->source = copy(rule->source);
	ret->target = copy(rule->target);
	ret->table = wm_buf_steal(&tables);
	ret->view = view_of(rule);
	ret->state = states[stats_state(s)];
	add_shares(s, ret);
	ret->seed_left_s = ret->seed_rows_per_s == 0 || ret->seed_total < ret->rows_read ? -1 :
	    (double)(ret->seed_total - ret->rows_read) / ret->seed_rows_per_s;
	ret->inserts = atomic_load(&s->inserts);
	ret->updates = atomic_load(&s->updates);
	ret->deletes = atomic_load(&s->deletes);
	ret->truncates = atomic_load(&s->truncates);
	ret->rereads = atomic_load(&s->rereads);
	ret->priority = priorities[rule->priority];
	ret->dead_letters = (uint64_t)letters;
	pthread_mutex_lock(&s->lock);
	ret->last_error = copy(s->last_error);
	pthread_mutex_unlock(&s->lock);
	return WM_OK;
}

static int
compare(const void *a, const void *b)
{
	wm_usec x = *(const wm_usec *)a, y = *(const wm_usec *)b;

	return (x > y) - (x < y);
}

static enum wm_status
show_latency(struct wm_pipeline *p, struct wm_snapshot *ret, struct wm_error *err)
{
	WM_AUTO(wm_freep) wm_usec *all = malloc((p->nworkers * LATENCY_SAMPLES + 1) * sizeof(*all));
	size_t n = 0;

	if (all == NULL)
		return wm_oom(err, "status");
	for (size_t i = 0; i < p->nworkers; i++) {
		struct worker *w = p->workers[i];
		size_t have;

		pthread_mutex_lock(&w->lock);
		have = w->nlatency < LATENCY_SAMPLES ? w->nlatency : LATENCY_SAMPLES;
		memcpy(all + n, w->latency, have * sizeof(*all));
		pthread_mutex_unlock(&w->lock);
		n += have;
	}
	if (n == 0)
		return WM_OK;
	qsort(all, n, sizeof(*all), compare);
	ret->latency_p50 = (double)all[n / 2] / WM_SEC;
	ret->latency_p99 = (double)all[n * 99 / 100] / WM_SEC;
	return WM_OK;
}

static enum wm_status
show(struct wm_pipeline *p, struct wm_snapshot *ret, struct wm_error *err)
{
	const struct wm_setup *setup = p->setup;
	enum wm_status st = WM_OK;

	ret->uptime_s = (double)(wm_clock_mono() - p->started) / WM_SEC;
	ret->sources = calloc(p->nsources + 1, sizeof(*ret->sources));
	ret->targets = calloc(setup->ntargets + 1, sizeof(*ret->targets));
	ret->rules = calloc(setup->rules->n + 1, sizeof(*ret->rules));
	if (ret->sources == NULL || ret->targets == NULL || ret->rules == NULL)
		return wm_oom(err, "status");
	for (size_t i = 0; i < p->nsources; i++)
		show_source(p->sources[i], &ret->sources[ret->nsources++]);
	for (size_t i = 0; i < setup->ntargets; i++) {
		struct wm_target_status *t = &ret->targets[ret->ntargets++];

		t->name = copy(setup->targets[i]->name);
		t->type = setup->targets[i]->ops->type;
		t->state = "ok";
		if (setup->targets[i]->ops->facts != NULL)
			t->nfacts = setup->targets[i]->ops->facts(setup->targets[i], t->facts, WM_FACTS_MAX);
		for (size_t k = 0; k < p->nworkers; k++)
			if (p->workers[k]->model == setup->targets[i])
				add_worker(p->workers[k], t);
	}
	for (size_t i = 0; st == WM_OK && i < setup->rules->n; i++)
		st = show_rule(p, &setup->rules->rules[i], &ret->rules[ret->nrules++], err);
	if (st == WM_OK && p->alerts != NULL)
		st = wm_alerts_look(p->alerts, &ret->alerts, err);
	return st == WM_OK ? show_latency(p, ret, err) : st;
}

enum wm_status
wm_pipeline_snapshot(struct wm_pipeline *p, struct wm_snapshot *ret, struct wm_error *err)
{
	struct wm_snapshot snapshot = { 0 };
	enum wm_status st;

	pthread_mutex_lock(&p->lock);
	st = show(p, &snapshot, err);
	pthread_mutex_unlock(&p->lock);
	if (st != WM_OK) {
		wm_snapshot_free(&snapshot);
		return st;
	}
	*ret = snapshot;
	return WM_OK;
}

void
wm_snapshot_free(struct wm_snapshot *s)
{
	for (size_t i = 0; i < s->nsources; i++) {
		free(s->sources[i].name);
		free(s->sources[i].slot_name);
		free(s->sources[i].last_error);
	}
	for (size_t i = 0; i < s->ntargets; i++) {
		free(s->targets[i].name);
		free(s->targets[i].last_error);
	}
	for (size_t i = 0; i < s->nrules; i++) {
		struct wm_rule_status *r = &s->rules[i];

		free(r->name);
		free(r->source);
		free(r->target);
		free(r->table);
		free(r->view);
		free(r->last_error);
	}
	free(s->sources);
	free(s->targets);
	free(s->rules);
	wm_alerts_status_free(&s->alerts);
	*s = (struct wm_snapshot){ 0 };
}
