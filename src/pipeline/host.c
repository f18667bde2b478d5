/* SPDX-License-Identifier: PostgreSQL */
/*
 * host.c - what a worker is to its target: rest, stop, and a place for small texts.
 */
#include <string.h>

#include "internal.h"
#include "walmill/strutil.h"

#define STEP (500 * WM_MSEC)
#define KEPT "kept:"			/* in front of the names, among the bookmarks of the state */

/* Until the time is over, not just until somebody wants something of the worker. */
static bool
host_rest(void *arg, wm_usec usec)
{
	struct worker *w = arg;
	wm_usec until = wm_clock_mono() + usec;

	while (!worker_stopping(w) && wm_clock_mono() < until) {
		wm_usec step = wm_clock_mono() + STEP;

		worker_rest(w, step < until ? step : until);
	}
	return !worker_stopping(w);
}

static void
host_waits(void *arg, const char *text)
{
	struct worker *w = arg;
	uint64_t hash = text == NULL ? 0 : wm_hash(text, strlen(text), 0);
	uint64_t before = atomic_exchange(&w->waits, hash);
	struct wm_error why;

	if (text == NULL) {
		if (before != 0)
			worker_set_error(w, WORKER_OK, NULL);
		return;
	}
	wm_fail(&why, WM_RETRY, "%s", text);
	/* It may be told again and again. */
	if (before != hash)
		wm_log(WM_LOG_WARNING, "target_waits", "%s", text);
	worker_set_error(w, WORKER_RETRYING, &why);
}

static enum wm_status
host_keep(void *arg, const char *name, const char *text, struct wm_error *err)
{
	struct worker *w = arg;
	WM_AUTO(wm_freep) char *full = wm_asprintf(KEPT "%s", name);
	struct wm_bookmark mark = { .source = w->source->config->name, .name = full, .value = text };

	return full == NULL ? wm_oom(err, "a name") :
	    wm_state_bookmarks_store(w->p->state, w->model->name, &mark, 1, err);
}

struct reading {
	wm_bookmark_fn	*fn;
	void		*arg;
};

static void
take(void *arg, const char *name, const char *value)
{
	const struct reading *r = arg;

	if (strncmp(name, KEPT, strlen(KEPT)) == 0)
		r->fn(r->arg, name + strlen(KEPT), value);
}

static enum wm_status
host_kept(void *arg, wm_bookmark_fn *fn, void *fn_arg, struct wm_error *err)
{
	struct worker *w = arg;
	struct reading r = { .fn = fn, .arg = fn_arg };

	return wm_state_bookmarks_load(w->p->state, w->model->name, w->source->config->name, take, &r, err);
}

struct wm_target_host
worker_host(struct worker *w)
{
	return (struct wm_target_host){ .rest = host_rest, .arg = w, .waits = host_waits, .stop = &w->stop,
		.folder = w->p->setup->config->state, .keep = host_keep, .kept = host_kept };
}
