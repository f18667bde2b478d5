/* SPDX-License-Identifier: PostgreSQL */
/*
 * receiver.c - the thread of one receiver: what is due to it, and when.
 *
 * It compares what the receiver was told with what is.  Between two messages about one condition at least `interval`
 * passes, so that one that flaps is a message now and then which says how often it began.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"
#include "walmill/log.h"

#define RETRY_FIRST WM_SEC
#define RETRY_LAST (300 * WM_SEC)

enum wm_status
receiver_create(struct wm_alerts *a, const struct wm_alert_config *config, struct receiver **ret, struct wm_error *err)
{
	struct receiver *r = calloc(1, sizeof(*r));
	enum wm_status st;

	if (r == NULL)
		return wm_oom(err, "alerts");
	r->alerts = a;
	wm_backoff_init(&r->backoff, RETRY_FIRST, RETRY_LAST);
	st = wm_options_copy(wm_alert_options, config, &r->config, err);
	r->name = st == WM_OK ? wm_alert_receiver_name(config) : NULL;
	if (st == WM_OK && r->name == NULL)
		st = wm_oom(err, "alerts");
	if (st != WM_OK) {
		receiver_destroy(r);
		return st;
	}
	*ret = r;
	return WM_OK;
}

void
receiver_destroy(struct receiver *r)
{
	if (r == NULL)
		return;
	assert(!r->runs);
	wm_options_free(wm_alert_options, &r->config);
	free(r->name);
	free(r->told);
	free(r->last_error);
	free(r);
}

void
receiver_stop(struct receiver *r)
{
	atomic_store(&r->cancel, true);
	pthread_mutex_lock(&r->alerts->lock);
	pthread_cond_broadcast(&r->alerts->changed);
	pthread_mutex_unlock(&r->alerts->lock);
	if (r->runs)
		pthread_join(r->thread, NULL);
	r->runs = false;
}

void
receiver_inherit(struct receiver *r, struct receiver *from)
{
	free(r->told);
	r->told = from->told;
	r->ntold = from->ntold;
	r->sent = from->sent;
	r->failed = from->failed;
	from->told = NULL;
	from->ntold = 0;
	from->followed = true;
}

/* ---- what is due; the lock is held ---- */

/* NULL: memory is out. */
static struct told *
told_of(struct receiver *r, const struct condition *c)
{
	size_t need = r->alerts->nconditions;
	struct told *grown;

	if (c->index < r->ntold)
		return &r->told[c->index];
	grown = realloc(r->told, need * sizeof(*grown));
	if (grown == NULL)
		return NULL;
	memset(grown + r->ntold, 0, (need - r->ntold) * sizeof(*grown));
	r->told = grown;
	r->ntold = need;
	return &r->told[c->index];
}

/* Saturates: a configuration may ask for any time. */
static wm_usec
after(wm_usec at, wm_usec time)
{
	wm_usec sum;

	return __builtin_add_overflow(at, time, &sum) ? INT64_MAX : sum;
}

/* When there is something to say, and what; INT64_MAX: nothing, as things stand. */
static wm_usec
due(const struct receiver *r, const struct condition *c, const struct told *t, wm_usec now, enum message_state *ret)
{
	wm_usec next = t->at == 0 ? now : after(t->at, r->config.interval);

	if (condition_stands(c, r->config.retrying, now)) {
		*ret = t->raised ? MESSAGE_REMINDER : MESSAGE_RAISED;
		if (!t->raised)
			return next;
		return r->config.repeat == 0 ? INT64_MAX : after(t->at, r->config.repeat);
	}
	*ret = MESSAGE_CLEARED;
	if (t->raised)
		return next;
	if (c->active)
		return after(c->began, r->config.retrying);
	/* It came and went unsaid; what needs patience is not worth a word then. */
	return c->begun != t->begun && !c->kind->patient ? next : INT64_MAX;
}

struct choice {
	struct condition	*condition;
	enum message_state	 state;
	wm_usec			 at;
};

static struct choice
choose(struct receiver *r, wm_usec now)
{
	struct choice best = { .at = INT64_MAX };

	for (struct condition *c = r->alerts->conditions; c != NULL; c = c->hh.next) {
		struct told *t = told_of(r, c);
		enum message_state state = MESSAGE_RAISED;
		wm_usec at = t == NULL ? INT64_MAX : due(r, c, t, now, &state);

		if (at < best.at)
			best = (struct choice){ .condition = c, .state = state, .at = at };
	}
	return best;
}

static bool
make_message(const struct choice *choice, const struct told *t, struct message *ret)
{
	const struct condition *c = choice->condition;

	*ret = (struct message){ .state = choice->state, .kind = c->kind, .object = strdup(c->object),
		.text = strdup(c->text), .since = c->since, .until = c->until, .times = c->begun - t->begun };
	if (ret->object != NULL && ret->text != NULL)
		return true;
	message_free(ret);
	return false;
}

/* ---- the thread ---- */

static void
note_failure(struct receiver *r, const struct wm_error *err)
{
	r->failed++;
	r->retry_at = wm_clock_mono() + wm_backoff_asked(&r->backoff, err->retry_after);
	free(r->last_error);
	r->last_error = strdup(err->text);
	if (r->last_error != NULL)
		wm_secret_scrub(r->last_error);
}

static void
note_success(struct receiver *r)
{
	r->sent++;
	r->retry_at = 0;
	wm_backoff_reset(&r->backoff);
	free(r->last_error);
	r->last_error = NULL;
}

/* The lock is held, but not while the receiver is spoken to. */
static void
tell(struct receiver *r, struct wm_http *client, const struct choice *choice)
{
	const struct condition *c = choice->condition;	/* stays */
	struct told now = { .raised = choice->state != MESSAGE_CLEARED, .begun = c->begun };
	struct wm_error err = { 0 };
	struct message m;
	enum wm_status st;

	if (!make_message(choice, &r->told[c->index], &m))
		return;
	pthread_mutex_unlock(&r->alerts->lock);
	st = alert_deliver(client, &r->config, &m, &err);
	if (st == WM_OK)
		wm_log(WM_LOG_INFO, "alert_sent", "%s was told of %s, %s \"%s\"", r->name, m.kind->name, m.kind->type,
		    m.object);
	else if (strcmp(err.code, WM_HTTP_CANCELLED) != 0)
		wm_log(WM_LOG_WARNING, "alert_failed", "%s could not be told of %s, %s \"%s\": %s", r->name,
		    m.kind->name, m.kind->type, m.object, err.text);
	message_free(&m);
	pthread_mutex_lock(&r->alerts->lock);
	if (st != WM_OK) {
		note_failure(r, &err);
		return;
	}
	note_success(r);
	now.at = wm_clock_mono();
	r->told[c->index] = now;
}

static void
rest(struct wm_alerts *a, wm_usec until)
{
	struct timespec ts = { .tv_sec = until / WM_SEC, .tv_nsec = until % WM_SEC * 1000 };

	if (until == INT64_MAX)
		pthread_cond_wait(&a->changed, &a->lock);
	else
		pthread_cond_timedwait(&a->changed, &a->lock, &ts);
}

/* False: the thread ends.  The lock is held. */
static bool
step(struct receiver *r, struct wm_http *client)
{
	wm_usec now = wm_clock_mono();
	struct choice choice = choose(r, now);

	if (atomic_load(&r->cancel))
		return false;
	if (r->alerts->stopping && choice.at > now)
		return false;
	if (choice.at > now)
		rest(r->alerts, choice.at);
	else if (r->retry_at > now && !r->alerts->stopping)
		rest(r->alerts, r->retry_at);
	else {
		bool last = r->alerts->stopping;

		tell(r, client, &choice);
		/* A stop is worth one more try, and does not wait for another. */
		return !last || r->retry_at == 0;
	}
	return true;
}

static void *
receiver_main(void *arg)
{
	struct receiver *r = arg;
	struct wm_http *client = NULL;
	struct wm_error err;

	if (alert_client(&r->config, &r->cancel, &client, &err) != WM_OK)
		wm_log(WM_LOG_ERROR, "alert_failed", "%s is told nothing: %s", r->name, err.text);
	pthread_mutex_lock(&r->alerts->lock);
	while (client != NULL && step(r, client))
		;
	r->ended = true;
	pthread_cond_broadcast(&r->alerts->changed);
	pthread_mutex_unlock(&r->alerts->lock);
	wm_http_destroy(client);
	return NULL;
}

enum wm_status
receiver_start(struct receiver *r, struct wm_error *err)
{
	if (pthread_create(&r->thread, NULL, receiver_main, r) != 0)
		return wm_fail(err, WM_FATAL, "could not start a thread for alerts to %s", r->name);
	r->runs = true;
	return WM_OK;
}
