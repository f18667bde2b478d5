/* SPDX-License-Identifier: PostgreSQL */
/*
 * ahead.c - a thread that writes a full batch while its worker gathers the next.
 *
 * It calls the target's write and nothing else; what the worker does with the target, it does after it has waited for it.
 * The thread begins with the first batch: a target that never has much to do gets none.
 */
#include <stdlib.h>

#include "internal.h"
#include "walmill/fault.h"

struct ahead {
	struct worker		*w;
	pthread_t		 thread;
	bool			 runs;
	struct batcher		*batcher;	/* the worker's, but for what is written; then the thread's */
	atomic_bool		 done;

	pthread_mutex_t		 lock;		/* guards all below */
	pthread_cond_t		 changed;
	bool			 stop;
	const struct wm_batch	*batch;
	bool			 writes;	/* it is to be written, or is */
	enum wm_status		 st;
	struct wm_error		 err;
	size_t			 bad;
};

static void *
ahead_main(void *arg)
{
	struct ahead *a = arg;
	struct wm_target *t = a->w->target;

	wm_log_context("target", t->name);
	pthread_mutex_lock(&a->lock);
	while (!a->stop) {
		if (!a->writes) {
			pthread_cond_wait(&a->changed, &a->lock);
			continue;
		}
		pthread_mutex_unlock(&a->lock);
		a->bad = WM_BAD_UNKNOWN;
		a->st = t->ops->write(t, a->batch, &a->bad, &a->err);
		WM_FAULT(ahead_written);
		pthread_mutex_lock(&a->lock);
		a->writes = false;
		atomic_store(&a->done, true);
		pthread_cond_broadcast(&a->changed);
		wm_journal_wake(a->w->reader);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

struct ahead *
ahead_create(struct worker *w)
{
	struct ahead *a = calloc(1, sizeof(*a));

	if (a == NULL || (a->batcher = batcher_create()) == NULL) {
		free(a);
		return NULL;
	}
	a->w = w;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->changed, NULL);
	return a;
}

void
ahead_destroy(struct ahead *a)
{
	if (a == NULL)
		return;
	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
	if (a->runs)
		pthread_join(a->thread, NULL);
	batcher_destroy(a->batcher);
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

bool
ahead_start(struct ahead *a, struct batcher **batcher)
{
	struct batcher *full = *batcher;
	const struct wm_batch *batch = batcher_batch(full);

	if (!a->runs)
		a->runs = pthread_create(&a->thread, NULL, ahead_main, a) == 0;
	if (batch == NULL || !a->runs)
		return false;
	*batcher = a->batcher;
	a->batcher = full;
	atomic_store(&a->done, false);
	pthread_mutex_lock(&a->lock);
	a->batch = batch;
	a->writes = true;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
	return true;
}

bool
ahead_done(const struct ahead *a)
{
	return atomic_load_explicit(&a->done, memory_order_relaxed);
}

enum wm_status
ahead_wait(struct ahead *a, const struct wm_batch **ret, size_t *ret_bad, struct wm_error *err)
{
	enum wm_status st;

	pthread_mutex_lock(&a->lock);
	while (a->writes)
		pthread_cond_wait(&a->changed, &a->lock);
	st = a->st;
	*ret = a->batch;
	*ret_bad = a->bad;
	if (st != WM_OK)
		*err = a->err;
	pthread_mutex_unlock(&a->lock);
	return st;
}

void
ahead_clear(struct ahead *a)
{
	batcher_reset(a->batcher);
}
