/* SPDX-License-Identifier: PostgreSQL */
/*
 * alerts.c - conditions as they come and go, and the life of the receivers.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"
#include "walmill/log.h"
#include "walmill/strutil.h"

const struct kind alert_kinds[WM_ALERT_KINDS] = {
	[WM_ALERT_JOURNAL_FULL] = { "journal_full", "source", false },
	[WM_ALERT_JOURNAL_FAILED] = { "journal_failed", "source", false },
	[WM_ALERT_WAL_BUDGET] = { "wal_budget", "source", false },
	[WM_ALERT_WAL_BUDGET_CRITICAL] = { "wal_budget_critical", "source", false },
	[WM_ALERT_SLOT_LOST] = { "slot_lost", "source", false },
	[WM_ALERT_SOURCE_STALLED] = { "source_stalled", "source", false },
	[WM_ALERT_SOURCE_RETRYING] = { "source_retrying", "source", true },
	[WM_ALERT_SOURCE_FAILED] = { "source_failed", "source", false },
	[WM_ALERT_TARGET_RETRYING] = { "target_retrying", "target", true },
	[WM_ALERT_TARGET_FAILED] = { "target_failed", "target", false },
	[WM_ALERT_RULE_STOPPED] = { "rule_stopped", "rule", false },
	[WM_ALERT_DEAD_LETTERS] = { "dead_letters", "rule", false },
	[WM_ALERT_DAEMON_FAILED] = { "daemon_failed", "daemon", false },
};

/* ---- life ---- */

static void
free_receivers(struct receiver **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		receiver_destroy(list[i]);
	free(list);
}

/* Of the configuration, not started yet. */
static enum wm_status
make_receivers(struct wm_alerts *a, const struct wm_config *config, struct receiver ***ret, struct wm_error *err)
{
	struct receiver **list = calloc(config->nalerts + 1, sizeof(struct receiver *));

	if (list == NULL)
		return wm_oom(err, "alerts");
	for (size_t i = 0; i < config->nalerts; i++)
		if (receiver_create(a, &config->alerts[i], &list[i], err) != WM_OK) {
			free_receivers(list, i);
			return err == NULL ? WM_FATAL : err->status;
		}
	*ret = list;
	return WM_OK;
}

static enum wm_status
start_receivers(struct wm_alerts *a, struct wm_error *err)
{
	for (size_t i = 0; i < a->nreceivers; i++) {
		enum wm_status st = receiver_start(a->receivers[i], err);

		if (st != WM_OK)
			return st;
	}
	return WM_OK;
}

enum wm_status
wm_alerts_create(const struct wm_config *config, struct wm_alerts **ret, struct wm_error *err)
{
	struct wm_alerts *a = calloc(1, sizeof(*a));
	pthread_condattr_t attr;
	enum wm_status st;

	if (a == NULL)
		return wm_oom(err, "alerts");
	pthread_mutex_init(&a->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&a->changed, &attr);
	pthread_condattr_destroy(&attr);
	st = make_receivers(a, config, &a->receivers, err);
	a->nreceivers = st == WM_OK ? config->nalerts : 0;
	if (st == WM_OK)
		st = start_receivers(a, err);
	if (st != WM_OK) {
		wm_alerts_stop(a, 0);
		wm_alerts_destroy(a);
		return st;
	}
	*ret = a;
	return WM_OK;
}

/* What a receiver with the same address was told goes over to its successor. */
static void
inherit(struct wm_alerts *a, struct receiver **old, size_t nold)
{
	for (size_t i = 0; i < a->nreceivers; i++)
		for (size_t k = 0; k < nold; k++)
			if (!old[k]->followed && strcmp(a->receivers[i]->config.to, old[k]->config.to) == 0) {
				receiver_inherit(a->receivers[i], old[k]);
				break;
			}
}

enum wm_status
wm_alerts_configure(struct wm_alerts *a, const struct wm_config *config, struct wm_error *err)
{
	struct receiver **list = NULL, **old = a->receivers;
	size_t nold = a->nreceivers;
	enum wm_status st = make_receivers(a, config, &list, err);

	if (st != WM_OK)
		return st;
	for (size_t i = 0; i < nold; i++)
		receiver_stop(old[i]);
	pthread_mutex_lock(&a->lock);
	a->receivers = list;
	a->nreceivers = config->nalerts;
	inherit(a, old, nold);
	pthread_mutex_unlock(&a->lock);
	free_receivers(old, nold);
	return start_receivers(a, err);
}

static bool
all_ended(const struct wm_alerts *a)
{
	for (size_t i = 0; i < a->nreceivers; i++)
		if (a->receivers[i]->runs && !a->receivers[i]->ended)
			return false;
	return true;
}

void
wm_alerts_stop(struct wm_alerts *a, wm_usec patience)
{
	wm_usec until = wm_clock_mono() + patience;
	struct timespec ts = { .tv_sec = until / WM_SEC, .tv_nsec = until % WM_SEC * 1000 };

	pthread_mutex_lock(&a->lock);
	a->stopping = true;
	pthread_cond_broadcast(&a->changed);
	while (!all_ended(a) && wm_clock_mono() < until)
		pthread_cond_timedwait(&a->changed, &a->lock, &ts);
	pthread_mutex_unlock(&a->lock);
	for (size_t i = 0; i < a->nreceivers; i++)
		receiver_stop(a->receivers[i]);
}

static void
free_condition(struct condition *c)
{
	free(c->key);
	free(c->object);
	free(c->text);
	free(c);
}

void
wm_alerts_destroy(struct wm_alerts *a)
{
	struct condition *c, *next;

	if (a == NULL)
		return;
	free_receivers(a->receivers, a->nreceivers);
	HASH_ITER(hh, a->conditions, c, next) {
		HASH_DEL(a->conditions, c);
		free_condition(c);
	}
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

/* ---- conditions ---- */

/* NULL: memory is out, and the alert with it; the log has said what it is about. */
static struct condition *
find(struct wm_alerts *a, enum wm_alert_kind kind, const char *object)
{
	WM_AUTO(wm_freep) char *key = wm_asprintf("%s/%s", alert_kinds[kind].name, object);
	struct condition *c = NULL;

	if (key == NULL)
		return NULL;
	HASH_FIND_STR(a->conditions, key, c);
	if (c != NULL)
		return c;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	*c = (struct condition){ .key = key, .kind = &alert_kinds[kind], .object = strdup(object),
		.text = strdup(""), .index = a->nconditions };
	key = NULL;
	if (c->object == NULL || c->text == NULL) {
		free_condition(c);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, a->conditions, c->key, strlen(c->key), c);
	a->nconditions++;
	return c;
}

static void
set_text(struct condition *c, const char *text)
{
	char *own = strdup(text);

	if (own == NULL)
		return;
	wm_secret_scrub(own);
	free(c->text);
	c->text = own;
}

static void
begins(struct wm_alerts *a, struct condition *c)
{
	c->active = true;
	c->begun++;
	c->began = wm_clock_mono();
	c->since = wm_clock_wall();
	pthread_cond_broadcast(&a->changed);
}

static void
ends(struct wm_alerts *a, struct condition *c)
{
	c->active = false;
	c->until = wm_clock_wall();
	pthread_cond_broadcast(&a->changed);
}

void
wm_alerts_begin(struct wm_alerts *a)
{
	pthread_mutex_lock(&a->lock);
	for (struct condition *c = a->conditions; c != NULL; c = c->hh.next)
		c->seen = false;
	pthread_mutex_unlock(&a->lock);
}

void
wm_alerts_set(struct wm_alerts *a, enum wm_alert_kind kind, const char *object, const char *text)
{
	struct condition *c;

	pthread_mutex_lock(&a->lock);
	c = find(a, kind, object);
	if (c != NULL) {
		c->seen = true;
		if (text != NULL && strcmp(c->text, text) != 0)
			set_text(c, text);
		if (text != NULL && !c->active)
			begins(a, c);
		else if (text == NULL && c->active)
			ends(a, c);
	}
	pthread_mutex_unlock(&a->lock);
}

void
wm_alerts_keep(struct wm_alerts *a, enum wm_alert_kind kind, const char *object)
{
	struct condition *c;

	pthread_mutex_lock(&a->lock);
	c = find(a, kind, object);
	if (c != NULL)
		c->seen = true;
	pthread_mutex_unlock(&a->lock);
}

void
wm_alerts_end(struct wm_alerts *a)
{
	pthread_mutex_lock(&a->lock);
	for (struct condition *c = a->conditions; c != NULL; c = c->hh.next)
		if (!c->seen && c->active && c->kind != &alert_kinds[WM_ALERT_DAEMON_FAILED])
			ends(a, c);
	pthread_mutex_unlock(&a->lock);
}

bool
condition_stands(const struct condition *c, wm_usec retrying, wm_usec now)
{
	return c->active && (!c->kind->patient || now - c->began >= retrying);
}
