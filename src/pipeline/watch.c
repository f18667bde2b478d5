/* SPDX-License-Identifier: PostgreSQL */
/*
 * watch.c - looks once a second at what needs an operator, and says so to the alerts.
 *
 * A thread of its own that reads what the others publish anyway: nothing on the way of the data knows of alerts.
 * What cannot be known yet, after a start or a reload, stays as it was.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"
#include "walmill/strutil.h"

#define LOOK_EVERY WM_SEC
#define COUNT_EVERY (5 * WM_SEC)	/* dead letters, which the state has to count */

static void
set(struct wm_pipeline *p, enum wm_alert_kind kind, const char *object, bool stands, const char *text)
{
	wm_alerts_set(p->alerts, kind, object, !stands ? NULL : text == NULL ? "" : text);
}

/* ---- sources ---- */

struct source_look {
	int			 state;
	bool			 known;		/* the state says something */
	bool			 prepared, lost;
	int			 level;		/* of the budget */
	struct wm_slot_status	 slot;
	char			*error;		/* or NULL */
};

static void
look_freep(struct source_look *l)
{
	free(l->error);
}

static void
read_source(struct source *s, struct source_look *ret)
{
	int state = atomic_load(&s->state);

	pthread_mutex_lock(&s->lock);
	*ret = (struct source_look){ .state = state,
		.known = state != SOURCE_CONNECTING && state != SOURCE_STOPPED,
		.prepared = s->prepared,
		.lost = atomic_load(&s->slot_lost) || (s->prepared && s->record.reseeding),
		.level = s->budget.level,
		.slot = s->budget.shown,
		.error = s->last_error == NULL ? NULL : strdup(s->last_error) };
	pthread_mutex_unlock(&s->lock);
}

static void
watch_state(struct source *s, const struct source_look *l)
{
	static const struct {
		enum wm_alert_kind	kind;
		int			state;
	} kinds[] = { { WM_ALERT_SOURCE_STALLED, SOURCE_STALLED }, { WM_ALERT_SOURCE_RETRYING, SOURCE_RETRYING },
		{ WM_ALERT_SOURCE_FAILED, SOURCE_FAILED } };

	for (size_t i = 0; i < WM_ARRAY_SIZE(kinds); i++)
		/* A slot that is lost has a kind of its own. */
		if (l->known)
			set(s->p, kinds[i].kind, s->config->name, !l->lost && l->state == kinds[i].state, l->error);
		else
			wm_alerts_keep(s->p->alerts, kinds[i].kind, s->config->name);
}

static void
watch_slot(struct source *s, const struct source_look *l)
{
	const char *name = s->config->name;

	if (l->lost)
		set(s->p, WM_ALERT_SLOT_LOST, name, true, l->error != NULL ? l->error :
		    "the slot was lost: its rules are being seeded again");
	else if (l->known && l->prepared)
		set(s->p, WM_ALERT_SLOT_LOST, name, false, NULL);
	else
		wm_alerts_keep(s->p->alerts, WM_ALERT_SLOT_LOST, name);
}

static void
watch_budget(struct source *s, const struct source_look *l)
{
	WM_AUTO(wm_freep) char *text = NULL;

	if (l->slot.wal_status == NULL) {
		wm_alerts_keep(s->p->alerts, WM_ALERT_WAL_BUDGET, s->config->name);
		wm_alerts_keep(s->p->alerts, WM_ALERT_WAL_BUDGET_CRITICAL, s->config->name);
		return;
	}
	text = wm_asprintf("the server keeps %" PRId64 " MiB of WAL for slot \"%s\", and %" PRId64
			   " MiB more at most; past that the slot is lost: see what holds it back, or raise "
			   "max_slot_wal_keep_size",
	    l->slot.retained >> 20, s->config->slot, l->slot.left > 0 ? l->slot.left >> 20 : 0);
	set(s->p, WM_ALERT_WAL_BUDGET, s->config->name, l->level >= 50, text);
	set(s->p, WM_ALERT_WAL_BUDGET_CRITICAL, s->config->name, l->level >= 80, text);
}

static void
watch_journal(struct source *s, const struct source_look *l)
{
	const char *name = s->config->name;
	struct wm_journal_state journal;
	WM_AUTO(wm_freep) char *full = NULL;

	if (!l->prepared) {
		wm_alerts_keep(s->p->alerts, WM_ALERT_JOURNAL_FULL, name);
		wm_alerts_keep(s->p->alerts, WM_ALERT_JOURNAL_FAILED, name);
		return;
	}
	wm_journal_look(s->journal, &journal);
	full = wm_asprintf("the journal holds %" PRIu64
			   " MiB, all that it may: the source keeps what comes now; see which "
			   "target is behind, or raise `journal: {max_bytes}`",
	    journal.max_bytes >> 20);
	/* The memory of a journal that is off is full whenever a target is at work. */
	set(s->p, WM_ALERT_JOURNAL_FULL, name, journal.durable && journal.full, full);
	set(s->p, WM_ALERT_JOURNAL_FAILED, name, journal.error.status != WM_OK, journal.error.text);
}

static void
watch_source(struct source *s)
{
	WM_AUTO(look_freep) struct source_look l;

	read_source(s, &l);
	watch_state(s, &l);
	watch_slot(s, &l);
	watch_budget(s, &l);
	watch_journal(s, &l);
}

/* ---- targets ---- */

/* Of all that write to it: the worst, and what it says. */
static void
watch_target(struct wm_pipeline *p, const struct wm_target *model)
{
	WM_AUTO(wm_freep) char *error = NULL;
	bool known = true;
	int worst = WORKER_OK;

	for (size_t i = 0; i < p->nworkers; i++) {
		struct worker *w = p->workers[i];
		int state = atomic_load(&w->state);

		if (w->model != model)
			continue;
		known &= state != WORKER_OK || !atomic_load(&w->first_session);
		if (state <= worst)
			continue;
		worst = state;
		free(error);
		pthread_mutex_lock(&w->lock);
		error = w->last_error == NULL ? NULL : strdup(w->last_error);
		pthread_mutex_unlock(&w->lock);
	}
	if (worst == WORKER_OK && !known) {
		wm_alerts_keep(p->alerts, WM_ALERT_TARGET_RETRYING, model->name);
		wm_alerts_keep(p->alerts, WM_ALERT_TARGET_FAILED, model->name);
		return;
	}
	set(p, WM_ALERT_TARGET_RETRYING, model->name, worst == WORKER_RETRYING, error);
	set(p, WM_ALERT_TARGET_FAILED, model->name, worst == WORKER_FAILED, error);
}

/* ---- rules ---- */

/* New ones begin the alert; it is over when there are none at all any more. */
static void
watch_letters(struct wm_pipeline *p, const char *rule, struct rule_stats *s)
{
	uint64_t buried = atomic_load(&s->buried);
	WM_AUTO(wm_freep) char *text = NULL;
	wm_usec now = wm_clock_mono();
	int64_t letters = 0;

	if (buried == s->told_buried && !s->letters_stand) {
		set(p, WM_ALERT_DEAD_LETTERS, rule, false, NULL);
		return;
	}
	if ((s->letters_stand && now < s->count_at) ||
	    wm_state_dead_letter_count(p->state, rule, &letters, NULL) != WM_OK) {
		wm_alerts_keep(p->alerts, WM_ALERT_DEAD_LETTERS, rule);
		return;
	}
	s->told_buried = buried;
	s->letters_stand = letters > 0;
	s->count_at = now + COUNT_EVERY;
	text = wm_asprintf("%" PRIu64 " rows were refused since the start, %" PRId64
			   " are kept: `walmill errors list --rule %s` shows them, `retry` and `drop` end this",
	    buried, letters, rule);
	set(p, WM_ALERT_DEAD_LETTERS, rule, letters > 0, text);
}

static void
watch_rule(struct wm_pipeline *p, const char *rule)
{
	struct rule_stats *s = pipeline_stats(p, rule);
	WM_AUTO(wm_freep) char *error = NULL;
	bool failed, quiet;

	if (s == NULL)
		return;
	failed = stats_state(s) == RULE_FAILED;
	/* Of thousands of rules hardly one has anything to tell. */
	quiet = !failed && !s->letters_stand && atomic_load(&s->buried) == s->told_buried;
	if (quiet && s->quiet)
		return;
	s->quiet = quiet;
	pthread_mutex_lock(&s->lock);
	error = s->last_error == NULL ? NULL : strdup(s->last_error);
	pthread_mutex_unlock(&s->lock);
	set(p, WM_ALERT_RULE_STOPPED, rule, failed, error);
	watch_letters(p, rule, s);
}

/* ---- the thread ---- */

static void
look(struct wm_pipeline *p)
{
	pthread_mutex_lock(&p->lock);
	wm_alerts_begin(p->alerts);
	for (size_t i = 0; i < p->nsources; i++)
		watch_source(p->sources[i]);
	for (size_t i = 0; i < p->setup->ntargets; i++)
		watch_target(p, p->setup->targets[i]);
	for (size_t i = 0; i < p->setup->rules->n; i++)
		watch_rule(p, p->setup->rules->rules[i].name);
	wm_alerts_end(p->alerts);
	pthread_mutex_unlock(&p->lock);
}

static void *
watch_main(void *arg)
{
	struct wm_pipeline *p = arg;
	bool stop = false;

	while (!stop) {
		wm_usec until = wm_clock_mono() + LOOK_EVERY;
		struct timespec ts = { .tv_sec = until / WM_SEC, .tv_nsec = until % WM_SEC * 1000 };

		pthread_mutex_lock(&p->progress_lock);
		while (!p->watch_stop && wm_clock_mono() < until)
			pthread_cond_timedwait(&p->watch_changed, &p->progress_lock, &ts);
		stop = p->watch_stop;
		pthread_mutex_unlock(&p->progress_lock);
		/* Once more when it stops: what made it stop may be younger than the last look. */
		look(p);
	}
	return NULL;
}

enum wm_status
watch_start(struct wm_pipeline *p, struct wm_error *err)
{
	if (p->alerts == NULL)
		return WM_OK;
	if (pthread_create(&p->watch, NULL, watch_main, p) != 0)
		return wm_fail(err, WM_FATAL, "could not start the thread that watches for alerts");
	p->watch_runs = true;
	return WM_OK;
}

void
watch_stop(struct wm_pipeline *p)
{
	pthread_mutex_lock(&p->progress_lock);
	p->watch_stop = true;
	pthread_cond_broadcast(&p->watch_changed);
	pthread_mutex_unlock(&p->progress_lock);
	if (p->watch_runs)
		pthread_join(p->watch, NULL);
	p->watch_runs = false;
}
