/* SPDX-License-Identifier: PostgreSQL */
/*
 * lost.c - `on_slot_lost: seed`: a slot that is gone or invalidated, and how to go on without an operator.
 *
 * What happened since the last position that was safe cannot be had.  The state says first that all begins again;
 * from then on the source is as new, with targets that know another slot: a new slot is made, and they are seeded
 * again.  A slot that is lost once more before that seed has ended would be lost for ever again, so that one is left
 * to an operator.
 */
#include "internal.h"

bool
lost_may_seed(const struct source *s, const struct wm_source_record *rec, struct wm_error *err)
{
	struct wm_error why = *err;

	if (s->config->on_slot_lost != WM_SLOT_LOST_SEED)
		return false;
	if (!rec->reseeding)
		return true;
	(void)wm_fail(err, WM_OPERATOR,
	    "the slot was lost again before the seed that followed the last loss had ended, so `on_slot_lost: seed` "
	    "does not try once more: %s",
	    why.text);
	return false;
}

enum wm_status
lost_begin_again(struct source *s, struct wm_source_record *rec, const struct wm_error *why, struct wm_error *err)
{
	wm_log(WM_LOG_ERROR, "slot_lost",
	    "%s; as `on_slot_lost: seed` says, a new slot is made and all rules of source \"%s\" are seeded again",
	    why->text, s->config->name);
	rec->slot_made = false;
	rec->reseeding = true;
	return wm_state_source_begin_again(s->p->state, s->config->name, rec, err);
}

enum wm_status
lost_look(struct source *s, struct wm_error *err)
{
	enum wm_status st;
	bool reseeding;

	pthread_mutex_lock(&s->lock);
	reseeding = s->record.reseeding;
	pthread_mutex_unlock(&s->lock);
	for (size_t i = 0; reseeding && i < s->p->nworkers; i++)
		if (s->p->workers[i]->source == s &&
		    (atomic_load(&s->p->workers[i]->first_session) || !atomic_load(&s->p->workers[i]->settled)))
			reseeding = false;
	if (!reseeding)
		return WM_OK;
	/* Alone: the receiver stores positions meanwhile. */
	st = wm_state_source_seeded(s->p->state, s->config->name, err);
	if (st != WM_OK)
		return st;
	pthread_mutex_lock(&s->lock);
	s->record.reseeding = false;
	pthread_mutex_unlock(&s->lock);
	atomic_store(&s->slot_lost, false);
	wm_log(WM_LOG_INFO, "slot_replaced", "all rules of source \"%s\" are seeded again", s->config->name);
	return WM_OK;
}
