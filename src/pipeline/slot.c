/* SPDX-License-Identifier: PostgreSQL */
/*
 * slot.c - making the replication slot of a source, however long that takes.
 */
#include <string.h>

#include "internal.h"

#define WAITS_TOLD (60 * WM_SEC)

struct slot_wait {
	struct source	*source;
	struct wm_pg	*sql, *slot;
	wm_usec		 told;		/* when the log was told last; 0 never */
};

/* The slot's creation takes long: says for whom, in the status at once and in the log now and then. */
static void
slot_waits(void *arg)
{
	struct slot_wait *w = arg;
	WM_AUTO(wm_buf_free) struct wm_buf who;
	struct wm_error err = { 0 };

	wm_buf_init(&who, 4096);
	if (wm_pg_blockers(w->sql, w->slot, &who, &err) != WM_OK || who.len == 0 || who.failed)
		return;
	(void)wm_fail(&err, WM_RETRY, "replication slot \"%s\" can be made when older transactions have ended: %s; "
	    "SELECT pg_terminate_backend(...) ends one", w->source->config->slot, who.data);
	source_set_error(w->source, &err);
	if (w->told != 0 && wm_clock_mono() - w->told < WAITS_TOLD)
		return;
	w->told = wm_clock_mono();
	wm_log(WM_LOG_WARNING, "waiting_for_transactions", "%s", err.text);
}

static enum wm_status
wants_failover(const struct source *s, struct wm_pg *sql, bool *ret, struct wm_error *err)
{
	enum wm_status st = wm_slot_can_failover(sql, ret, err);

	if (st == WM_OK && !*ret && s->config->failover == WM_FAILOVER_ON)
		wm_log(WM_LOG_WARNING, "failover_ignored",
		    "`failover: true` of source \"%s\" has no effect: standbys keep copies of slots from PostgreSQL 17 on, "
		    "of slots of a primary",
		    s->config->name);
	if (s->config->failover == WM_FAILOVER_OFF)
		*ret = false;
	return st;
}

bool
slot_two_phase(const struct source *s, const struct wm_pg *c)
{
	return s->config->two_phase && wm_pg_version(c) >= WM_SLOT_TWO_PHASE;
}

void
slot_warn_two_phase(const struct source *s, const struct wm_pg *c)
{
	if (s->config->two_phase && !slot_two_phase(s, c))
		wm_log(WM_LOG_WARNING, "two_phase_ignored",
		    "`two_phase: true` of source \"%s\" has no effect: servers send prepared transactions from PostgreSQL 15 "
		    "on; they come when they commit",
		    s->config->name);
}

enum wm_status
slot_make(struct source *s, struct wm_pg *c, struct wm_pg *sql, struct wm_source_record *rec, struct wm_error *err)
{
	char snapshot[64] = "";
	struct slot_wait w = { .source = s, .sql = sql, .slot = c };
	bool failover;
	enum wm_status st;

	/* The state says "about to make it" first: should we die in between, the slot is known to be ours. */
	st = wm_state_source_put(s->p->state, s->config->name, rec, err);
	if (st != WM_OK)
		return st;
	st = wants_failover(s, sql, &failover, err);
	if (st != WM_OK)
		return st;
	source_note_connection(s, &s->maker, c);
	st = wm_slot_create(c, rec->slot, failover, slot_waits, &w, &rec->consistent_lsn, snapshot,
	    sizeof(snapshot), err);
	source_note_connection(s, &s->maker, NULL);
	if (st != WM_OK)
		return st;
	rec->slot_made = true;
	rec->acked_lsn = rec->consistent_lsn;
	st = wm_state_source_put(s->p->state, s->config->name, rec, err);
	if (st != WM_OK)
		return st;
	wm_log(WM_LOG_INFO, "slot_created", "made replication slot \"%s\" at " WM_LSN_FMT, rec->slot,
	    WM_LSN_ARGS(rec->consistent_lsn));
	pthread_mutex_lock(&s->lock);
	memcpy(s->snapshot, snapshot, sizeof(s->snapshot));
	pthread_mutex_unlock(&s->lock);
	return WM_OK;
}
