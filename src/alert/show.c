/* SPDX-License-Identifier: PostgreSQL */
/*
 * show.c - conditions and receivers, copied for those who show them.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* Where nobody is told. */
#define RETRYING (300 * WM_SEC)

/* As the least patient receiver sees it. */
static wm_usec
retrying(const struct wm_alerts *a)
{
	wm_usec least = a->nreceivers == 0 ? RETRYING : INT64_MAX;

	for (size_t i = 0; i < a->nreceivers; i++)
		if (a->receivers[i]->config.retrying < least)
			least = a->receivers[i]->config.retrying;
	return least;
}

static bool
show_condition(const struct condition *c, wm_usec patience, struct wm_alert_status *ret)
{
	*ret = (struct wm_alert_status){ .kind = c->kind->name, .type = c->kind->type, .object = strdup(c->object),
		.text = strdup(c->text), .active = condition_stands(c, patience, wm_clock_mono()), .since = c->since };
	return ret->object != NULL && ret->text != NULL;
}

static bool
show_receiver(const struct receiver *r, struct wm_receiver_status *ret)
{
	*ret = (struct wm_receiver_status){ .to = strdup(r->name), .sent = r->sent, .failed = r->failed,
		.last_error = r->last_error == NULL ? NULL : strdup(r->last_error) };
	return ret->to != NULL && (r->last_error == NULL || ret->last_error != NULL);
}

static bool
show(const struct wm_alerts *a, struct wm_alerts_status *s)
{
	wm_usec patience = retrying(a);
	bool good;

	s->alerts = calloc(a->nconditions + 1, sizeof(*s->alerts));
	s->receivers = calloc(a->nreceivers + 1, sizeof(*s->receivers));
	good = s->alerts != NULL && s->receivers != NULL;
	for (const struct condition *c = a->conditions; good && c != NULL; c = c->hh.next)
		good = show_condition(c, patience, &s->alerts[s->nalerts++]);
	for (size_t i = 0; good && i < a->nreceivers; i++)
		good = show_receiver(a->receivers[i], &s->receivers[s->nreceivers++]);
	return good;
}

enum wm_status
wm_alerts_look(struct wm_alerts *a, struct wm_alerts_status *ret, struct wm_error *err)
{
	struct wm_alerts_status s = { 0 };
	bool good;

	pthread_mutex_lock(&a->lock);
	good = show(a, &s);
	pthread_mutex_unlock(&a->lock);
	if (!good) {
		wm_alerts_status_free(&s);
		return wm_oom(err, "the status of alerts");
	}
	*ret = s;
	return WM_OK;
}

void
wm_alerts_status_free(struct wm_alerts_status *s)
{
	for (size_t i = 0; i < s->nalerts; i++) {
		free(s->alerts[i].object);
		free(s->alerts[i].text);
	}
	for (size_t i = 0; i < s->nreceivers; i++) {
		free(s->receivers[i].to);
		free(s->receivers[i].last_error);
	}
	free(s->alerts);
	free(s->receivers);
	*s = (struct wm_alerts_status){ 0 };
}
