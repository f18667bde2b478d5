/* SPDX-License-Identifier: PostgreSQL */
/*
 * canary.c - is the stream alive?  A source that has been quiet is sent a message through its own WAL.
 *
 * The keeper writes the message by SQL; the receiver, which no silence of the server holds up, judges whether the
 * stream passes it in time.  As long as the stream comes further, or is not listened to because the journal is full,
 * nothing is late.
 */
#include "internal.h"

#define PREFIX "walmill"

static wm_usec
later(wm_usec a, wm_usec b)
{
	return a > b ? a : b;
}

void
canary_forget(struct source *s)
{
	pthread_mutex_lock(&s->lock);
	s->canary.sent = 0;
	pthread_mutex_unlock(&s->lock);
}

/* ---- the keeper's part ---- */

static enum wm_status
send_one(struct source *s, struct wm_pg *sql, wm_usec now, struct wm_error *err)
{
	struct canary *c = &s->canary;
	wm_lsn lsn = 0;
	enum wm_status st;

	/* On its way from now on: the server may not even answer. */
	pthread_mutex_lock(&s->lock);
	c->sent = c->tended = now;
	c->lsn = 0;
	c->session = atomic_load(&s->shared.sessions);
	pthread_mutex_unlock(&s->lock);
	source_wake(s);
	st = wm_pg_emit_message(sql, PREFIX, s->config->slot, &lsn, err);
	pthread_mutex_lock(&s->lock);
	c->lsn = lsn;
	/* A crash of the server may have taken it along, so that a new session never brings it. */
	if (lsn == 0 || c->session != atomic_load(&s->shared.sessions))
		c->sent = 0;
	pthread_mutex_unlock(&s->lock);
	source_wake(s);
	if (st == WM_OK)
		c->refused = false;
	if (st == WM_OK || st == WM_RETRY)
		return st;
	if (!c->refused)
		wm_log(WM_LOG_WARNING, "canary_refused", "a stall of source \"%s\" would not be noticed: %s",
		    s->config->name, err->text);
	c->refused = true;
	return WM_OK;
}

enum wm_status
canary_tend(struct source *s, struct wm_pg *sql, wm_usec *ret_next, struct wm_error *err)
{
	wm_usec now = wm_clock_mono(), every = s->config->canary_every, due;
	int state = atomic_load(&s->state);
	bool outside;

	*ret_next = now + every;
	if (!s->config->canary || (state != SOURCE_STREAMING && state != SOURCE_STALLED))
		return WM_OK;
	pthread_mutex_lock(&s->lock);
	outside = s->canary.sent != 0;
	pthread_mutex_unlock(&s->lock);
	/* Several times before it is late. */
	if (outside && every > s->config->canary_within / 4)
		every = s->config->canary_within / 4;
	due = later(atomic_load(&s->shared.moved), s->canary.tended) + every;
	*ret_next = now < due ? due : now + every;
	if (now < due)
		return WM_OK;
	if (!outside)
		return send_one(s, sql, now, err);
	/* A server that is busy with much WAL says how far it is when it is asked. */
	s->canary.tended = now;
	atomic_store(&s->shared.ask, true);
	source_wake(s);
	return WM_OK;
}

/* ---- the receiver's part ---- */

static void
stall(struct source *s, const struct canary *c, wm_usec now)
{
	struct wm_error err = { 0 };
	int64_t quiet = (now - later(c->sent, atomic_load(&s->shared.moved))) / WM_SEC;

	if (c->lsn == 0)
		(void)wm_fail(&err, WM_RETRY,
		    "source \"%s\" is stalled: nothing has come for %" PRId64
		    " s, and SQL is not answered either; look "
		    "whether the server hangs",
		    s->config->name, quiet);
	else
		(void)wm_fail(&err, WM_RETRY,
		    "source \"%s\" is stalled: the message that was written at " WM_LSN_FMT
		    " has not come back, nor has "
		    "anything else for %" PRId64
		    " s; look in pg_stat_activity what the walsender of slot \"%s\" waits for",
		    s->config->name, WM_LSN_ARGS(c->lsn), quiet, s->config->slot);
	atomic_store(&s->state, SOURCE_STALLED);
	source_set_error(s, &err);
	wm_log(WM_LOG_ERROR, "source_stalled", "%s", err.text);
	pipeline_notice(s->p);
}

static void
recover(struct source *s)
{
	atomic_store(&s->state, SOURCE_STREAMING);
	source_set_error(s, NULL);
	wm_log(WM_LOG_INFO, "source_moves", "source \"%s\" is not stalled any more", s->config->name);
	pipeline_notice(s->p);
}

wm_usec
canary_watch(void *arg, wm_usec now)
{
	struct source *s = arg;
	bool stalled = atomic_load(&s->state) == SOURCE_STALLED;
	struct canary c;
	wm_usec due;

	pthread_mutex_lock(&s->lock);
	if (s->canary.sent != 0 && s->canary.lsn != 0 && atomic_load(&s->shared.received) >= s->canary.lsn)
		s->canary.sent = 0;
	c = (struct canary){ .sent = s->canary.sent, .lsn = s->canary.lsn };
	pthread_mutex_unlock(&s->lock);
	due = later(c.sent, atomic_load(&s->shared.moved)) + s->config->canary_within;
	if (c.sent == 0 || now < due) {
		if (stalled)
			recover(s);
		return c.sent == 0 ? INT64_MAX : due;
	}
	if (!stalled)
		stall(s, &c, now);
	return INT64_MAX;
}
