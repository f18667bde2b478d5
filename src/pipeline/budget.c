/* SPDX-License-Identifier: PostgreSQL */
/*
 * budget.c - how much WAL the server keeps for the slot, and when it will keep no more.
 *
 * Past max_slot_wal_keep_size the server invalidates the slot, and everything has to be seeded again: it is said
 * before, at half of the way and again when little is left.
 */
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define SAMPLE_EVERY (10 * WM_SEC)
#define TREND_MIN (2 * WM_SEC)		/* less says nothing about a rate */

/* In per cent of what may be kept; it is not quite budget, as the server goes by whole segments. */
static int
used_up(const struct wm_slot_wal *w)
{
	double all = (double)w->retained + (double)w->left;

	return w->left < 0 ? 0 : w->left == 0 ? 100 : (int)((double)w->retained * 100 / all);
}

/* Seconds until nothing is left, if it goes on as in the last minutes; -1: it does not grow. */
static int64_t
forecast(const struct budget *b, const struct wm_slot_wal *w, wm_usec now)
{
	int64_t grown;

	if (w->left < 0 || b->n == 0 || now - b->samples[0].at < TREND_MIN)
		return -1;
	grown = w->retained - b->samples[0].retained;
	return grown <= 0 ? -1 : (int64_t)((double)w->left * (double)(now - b->samples[0].at) / (double)grown / WM_SEC);
}

static void
remember(struct budget *b, const struct wm_slot_wal *w, wm_usec now)
{
	if (b->n > 0 && now - b->samples[b->n - 1].at < SAMPLE_EVERY)
		return;
	if (b->n == BUDGET_SAMPLES)
		memmove(b->samples, b->samples + 1, --b->n * sizeof(b->samples[0]));
	b->samples[b->n].at = now;
	b->samples[b->n++].retained = w->retained;
}

/* Once for each level, and when it is over. */
static void
tell(struct source *s, const struct wm_slot_wal *w, int64_t exhausted_s)
{
	int used = used_up(w), level = used >= 80 ? 80 : used >= 50 ? 50 : 0;
	char when[64] = "";

	if (exhausted_s >= 0)
		snprintf(when, sizeof(when), ", used up in %" PRId64 " s at this rate", exhausted_s);
	if (level > s->budget.level)
		wm_log(level == 80 ? WM_LOG_ERROR : WM_LOG_WARNING, "wal_budget",
		    "the server keeps %" PRId64
		    " MiB of WAL for slot \"%s\" of source \"%s\", %d%% of what it may%s: past "
		    "that the slot is lost; see what holds it back, or raise max_slot_wal_keep_size",
		    w->retained >> 20, s->config->slot, s->config->name, used, when);
	/* Not at every tooth of a saw: restart_lsn moves in steps. */
	if (used < 40 && s->budget.level > 0)
		wm_log(WM_LOG_INFO, "wal_budget_eased",
		    "the server keeps %" PRId64 " MiB of WAL for slot \"%s\" of source \"%s\", %d%% of what it may",
		    w->retained >> 20, s->config->slot, s->config->name, used);
	pthread_mutex_lock(&s->lock);
	if (level > s->budget.level)
		s->budget.level = level;
	else if (used < 40)
		s->budget.level = 0;
	else if (used < 70 && s->budget.level == 80)
		s->budget.level = 50;
	pthread_mutex_unlock(&s->lock);
}

enum wm_status
budget_look(struct source *s, struct wm_pg *sql, struct wm_error *err)
{
	struct wm_slot_wal w = { .status = "lost", .retained = 0, .budget = -1, .left = -1 };
	wm_usec now = wm_clock_mono();
	bool found = false;
	int64_t exhausted_s;
	enum wm_status st = wm_slot_wal(sql, s->config->slot, &w, &found, err);

	if (st != WM_OK)
		return st;
	exhausted_s = forecast(&s->budget, &w, now);
	remember(&s->budget, &w, now);
	/* Of one that is lost the guard tells. */
	if (found && strcmp(w.status, "lost") != 0)
		tell(s, &w, exhausted_s);
	pthread_mutex_lock(&s->lock);
	s->budget.shown = (struct wm_slot_status){ .wal_status = w.status, .retained = w.retained, .budget = w.budget,
		.left = w.left, .exhausted_s = exhausted_s };
	pthread_mutex_unlock(&s->lock);
	return WM_OK;
}
