/* SPDX-License-Identifier: PostgreSQL */
/*
 * parallel.c - the sessions that share a batch, each with a thread for as long as that takes.
 *
 * Each commits its rows by itself, at once: one that waited for the others with its rows locked could be waited for by
 * one of them (a unique column beside the key), which nobody would notice.  The main session has nothing open meanwhile,
 * for the same reason; it commits the bookmarks behind all of them, and with them, on the server's disk, what they wrote.
 * A row that came twice is the same row: a replaced or deleted one anyway, and of one in part the rest comes again, too.
 * Only a row that takes another one's place is not, so a batch with such rows is not shared.
 */
#include "parallel.h"

#include <pthread.h>
#include <stdlib.h>

#include "walmill/fault.h"
#include "walmill/log.h"

enum { ROWS_MIN = 250 }; /* fewer are written before the others have begun */

struct job { /* what one session writes */
	struct wm_postgres *t;
	struct wm_postgres_part *parts;
	size_t n;
	bool started;
	pthread_t thread;
	enum wm_status st;
	struct wm_error err;
};

bool
wm_postgres_shares(struct wm_postgres *t, const struct wm_batch *batch)
{
	if (t->apply != WM_POSTGRES_APPLY_PARALLEL || !t->base.lone || t->in_transaction || batch->nrows < ROWS_MIN)
		return false;
	for (size_t i = 0; i < batch->nviews; i++) {
		if (batch->views[i].truncate)
			return false;
		for (size_t j = 0; j < batch->views[i].nrows; j++)
			if (wm_postgres_moves(&batch->views[i].rows[j]))
				return false;
	}
	return !wm_doubt_passes(&t->alone);
}

static enum wm_status
open_sides(struct wm_postgres *t, struct wm_error *err)
{
	enum wm_status st = WM_OK;

	if (t->sides == NULL)
		t->sides = calloc((size_t)t->workers, sizeof(*t->sides));
	if (t->sides == NULL)
		return wm_oom(err, "sessions");
	for (int64_t i = 0; i < t->workers && st == WM_OK; i++) {
		struct wm_target **side = &t->sides[i];

		if (*side == NULL)
			st = wm_target_clone(&t->base, side, err);
		if (st == WM_OK && ((struct wm_postgres *)*side)->pg == NULL)
			st = (*side)->ops->open(*side, err);
	}
	return st;
}

/* The k-th of n shares of all parts. */
static enum wm_status
cut(const struct wm_postgres_part *parts, struct job *job, size_t k, size_t n, struct wm_error *err)
{
	job->parts = calloc(job->n + 1, sizeof(*job->parts));
	if (job->parts == NULL)
		return wm_oom(err, "a batch's views");
	for (size_t i = 0; i < job->n; i++) {
		size_t rows = parts[i].batch->nrows;

		job->parts[i] = parts[i];
		job->parts[i].from = rows * k / n;
		job->parts[i].to = rows * (k + 1) / n;
		job->parts[i].copy = parts[i].copy && wm_postgres_part_copies(&job->parts[i]);
	}
	return WM_OK;
}

/* All of the share in one transaction. */
static enum wm_status
store(struct job *job, struct wm_error *err)
{
	static const char *const begin[] = { WM_POSTGRES_BEGIN, NULL };
	const char *before = WM_POSTGRES_BEGIN "; ";
	struct wm_flight_tag bad;
	size_t copies = 0;
	bool flies = false;
	enum wm_status st = WM_OK;

	for (size_t i = 0; i < job->n && st == WM_OK; i++) {
		st = wm_postgres_view_find(job->t, job->parts[i].batch->view, &job->parts[i].view, err);
		copies += job->parts[i].copy;
		flies |= wm_postgres_part_flies(&job->parts[i]);
	}
	if (st == WM_OK && flies) {
		st = wm_postgres_fly(job->t, job->parts, job->n, begin, copies == 0 ? "COMMIT" : NULL, &bad, err);
		before = "";
	}
	for (size_t i = 0; i < job->n && st == WM_OK; i++) {
		if (!job->parts[i].copy)
			continue;
		st = wm_postgres_copy(job->t, &job->parts[i], before, --copies == 0 ? "; COMMIT" : "", err);
		before = "";
	}
	return st;
}

static void *
job_main(void *arg)
{
	struct job *job = arg;

	job->st = store(job, &job->err);
	/* Whatever it was, the session begins anew. */
	if (job->st != WM_OK)
		job->t->base.ops->close(&job->t->base);
	return NULL;
}

static void
run(struct job *jobs, size_t n)
{
	for (size_t k = 1; k < n; k++)
		jobs[k].started = pthread_create(&jobs[k].thread, NULL, job_main, &jobs[k]) == 0;
	for (size_t k = 0; k < n; k++)
		if (!jobs[k].started)
			(void)job_main(&jobs[k]);
	for (size_t k = 1; k < n; k++)
		if (jobs[k].started)
			pthread_join(jobs[k].thread, NULL);
}

static enum wm_status
share(struct wm_postgres *t, const struct wm_postgres_part *parts, struct job *jobs, size_t nparts,
    struct wm_error *err)
{
	size_t n = (size_t)t->workers;
	enum wm_status st = open_sides(t, err);

	for (size_t k = 0; k < n && st == WM_OK; k++) {
		jobs[k].t = (struct wm_postgres *)t->sides[k];
		jobs[k].n = nparts;
		st = cut(parts, &jobs[k], k, n, err);
	}
	if (st != WM_OK)
		return st;
	run(jobs, n);
	for (size_t k = 0; k < n; k++)
		if (jobs[k].st != WM_OK) {
			*err = jobs[k].err;
			return jobs[k].st;
		}
	return WM_OK;
}

bool
wm_postgres_share(struct wm_postgres *t, const struct wm_postgres_part *parts, size_t n)
{
	struct job *jobs = calloc((size_t)t->workers, sizeof(*jobs));
	struct wm_error err = { 0 };
	enum wm_status st = jobs == NULL ? wm_oom(&err, "a batch's shares") : share(t, parts, jobs, n, &err);

	for (int64_t k = 0; jobs != NULL && k < t->workers; k++)
		free(jobs[k].parts);
	free(jobs);
	wm_doubt_note(&t->alone, st == WM_OK);
	WM_FAULT(postgres_shared);
	if (st != WM_OK)
		wm_log(WM_LOG_INFO, "batch_unshared",
		    "target \"%s\": a batch that %lld sessions shared goes through one: %s", t->base.name,
		    (long long)t->workers, err.text);
	return st == WM_OK;
}

void
wm_postgres_sides_forget(struct wm_postgres *t)
{
	for (int64_t i = 0; t->sides != NULL && i < t->workers; i++)
		if (t->sides[i] != NULL)
			wm_postgres_views_forget((struct wm_postgres *)t->sides[i]);
}

void
wm_postgres_sides_close(struct wm_postgres *t)
{
	for (int64_t i = 0; t->sides != NULL && i < t->workers; i++)
		wm_target_destroy(t->sides[i]);
	free(t->sides);
	t->sides = NULL;
}
