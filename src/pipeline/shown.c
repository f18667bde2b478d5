/* SPDX-License-Identifier: PostgreSQL */
/*
 * shown.c - what status shows of the rules of a worker: the sum of their units.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "walmill/strutil.h"

#define PACE_WINDOW WM_SEC

struct sum {
	uint64_t	read, written;
	double		total;
	bool		failed, seeding;
};

static void
add(struct sum *s, struct unit *u)
{
	enum unit_state state = atomic_load(&u->state);

	pthread_mutex_lock(&u->lock);
	s->read += u->read;
	s->written += u->written;
	s->total += state == UNIT_SEEDING && u->rows > (double)u->read ? u->rows : (double)u->read;
	pthread_mutex_unlock(&u->lock);
	s->failed |= state == UNIT_FAILED;
	s->seeding |= state != UNIT_STREAMING;
}

static enum rule_state
state_of(struct worker *w, const struct wm_rule *rule, const struct sum *s)
{
	const struct hold *h = worker_hold(w, rule);

	if (h != NULL)
		return h->resuming || h->why == HOLD_SEEDING ? RULE_SEEDING :
		    h->why == HOLD_PAUSED                    ? RULE_PAUSED :
							       RULE_FAILED;
	return s->failed ? RULE_FAILED : s->seeding ? RULE_SEEDING : RULE_STREAMING;
}

/* The pace of a seed, over a second and what was before. */
static void
show_pace(struct rule_share *share, enum rule_state state, uint64_t read)
{
	wm_usec now = wm_clock_mono(), time = now - share->rate_at;
	uint64_t rate = atomic_load(&share->seed_rate), lately;

	if (state != RULE_SEEDING || share->rate_at == 0 || read < share->rate_read) {
		atomic_store(&share->seed_rate, 0);
		share->rate_at = state == RULE_SEEDING ? now : 0;
		share->rate_read = read;
	} else if (time >= PACE_WINDOW) {
		lately = (read - share->rate_read) * WM_SEC / (uint64_t)time;
		atomic_store(&share->seed_rate, rate == 0 ? lately : (rate + lately) / 2);
		share->rate_at = now;
		share->rate_read = read;
	}
}

enum rule_state
stats_state(const struct rule_stats *stats)
{
	static const enum rule_state worst_first[] = { RULE_FAILED, RULE_PAUSED, RULE_SEEDING };

	for (size_t i = 0; i < WM_ARRAY_SIZE(worst_first); i++)
		for (unsigned k = 0; k < stats->lanes; k++)
			if (atomic_load(&stats->shares[k].state) == (int)worst_first[i])
				return worst_first[i];
	return RULE_STREAMING;
}

void
worker_show_rules(struct worker *w)
{
	const struct wm_ruleset *rules = w->p->setup->rules;
	WM_AUTO(wm_freep) struct sum *sums = calloc(rules->n + 1, sizeof(*sums));

	for (size_t i = 0; sums != NULL && i < w->nunits; i++)
		add(&sums[w->units[i]->rule - rules->rules], w->units[i]);
	for (size_t i = 0; sums != NULL && i < rules->n; i++) {
		const struct wm_rule *rule = &rules->rules[i];
		struct rule_stats *stats;
		struct rule_share *share;
		enum rule_state state;

		if (strcmp(rule->target, w->model->name) != 0 || strcmp(rule->source, w->source->config->base) != 0 ||
		    (stats = pipeline_stats(w->p, rule->name)) == NULL)
			continue;
		share = worker_share(w, stats);
		state = state_of(w, rule, &sums[i]);
		atomic_store(&share->read, sums[i].read);
		atomic_store(&share->seeded, sums[i].written);
		atomic_store(&share->total, (uint64_t)sums[i].total);
		show_pace(share, state, sums[i].read);
		atomic_store(&share->state, state);
	}
	atomic_store(&w->settled, units_settled(w));
	pipeline_notice(w->p);
}
