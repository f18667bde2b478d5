/* SPDX-License-Identifier: PostgreSQL */
/*
 * jobs.c - import jobs: so many of an organisation are open at a time, whoever in this process has asked for them.
 *
 * A job that was asked for counts until it is known to have ended: one that nobody waits for any more is looked at when
 * its place is wanted.
 */
#include <stdlib.h>
#include <string.h>

#include "walmill/strutil.h"
#include "zoho.h"

#define JOBS_MAX 5		/* of an organisation, says Zoho */
#define BATCHES_MAX 4		/* among them, which may wait for each other: one place is for jobs that end by themselves */
#define ASK_AGAIN (200 * WM_MSEC)
#define LOOK_FIRST (500 * WM_MSEC)
#define LOOK_MAX (10 * WM_SEC)

/* A job that nobody waits for any more. */
struct left {
	char	*id, *workspace;	/* id NULL: none */
	bool	 batch;
};

struct wm_zoho_jobs {
	char			*name;		/* API host and organisation */
	pthread_mutex_t		 lock;		/* guards all below */
	unsigned		 open, batches, waiting;
	struct left		 left[JOBS_MAX];
	size_t			 turn;		/* which is looked at next */
	wm_usec			 look, pause;	/* mono: not before; how long not after that */
	struct wm_zoho_jobs	*next;
};

/* They live as long as the process, as accounts do. */
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct wm_zoho_jobs *all;

struct wm_zoho_jobs *
wm_zoho_jobs_of(const char *api_url, const char *org)
{
	WM_AUTO(wm_freep) char *name = wm_asprintf("%s %s", api_url, org);
	struct wm_zoho_jobs *j;

	if (name == NULL)
		return NULL;
	pthread_mutex_lock(&all_lock);
	for (j = all; j != NULL && strcmp(j->name, name) != 0; j = j->next)
		;
	if (j == NULL && (j = calloc(1, sizeof(*j))) != NULL) {
		pthread_mutex_init(&j->lock, NULL);
		j->name = name;
		name = NULL;
		j->next = all;
		all = j;
	}
	pthread_mutex_unlock(&all_lock);
	return j;
}

void
wm_zoho_jobs_count(struct wm_zoho_jobs *j, unsigned *ret_open, unsigned *ret_waiting)
{
	pthread_mutex_lock(&j->lock);
	*ret_open = j->open;
	*ret_waiting = j->waiting;
	pthread_mutex_unlock(&j->lock);
}

/* ---- jobs that nobody waits for ---- */

static void
left_free(struct left *left)
{
	free(left->id);
	free(left->workspace);
}

void
wm_zoho_job_leave(struct wm_zoho *z, bool batch, const char *id)
{
	struct wm_zoho_jobs *j = z->account->jobs;
	struct left left = { .id = strdup(id), .workspace = strdup(z->account->workspace), .batch = batch };

	/* Without memory Zoho's own count has to do. */
	if (left.id == NULL || left.workspace == NULL) {
		left_free(&left);
		wm_zoho_job_end(z, batch);
		return;
	}
	pthread_mutex_lock(&j->lock);
	for (size_t i = 0; i < JOBS_MAX; i++)
		if (j->left[i].id == NULL) {
			j->left[i] = left;
			break;
		}
	j->pause = LOOK_FIRST;
	j->look = 0;
	pthread_mutex_unlock(&j->lock);
}

/* A copy of one that may be looked at now, each in turn; false: none. */
static bool
next_left(struct wm_zoho_jobs *j, struct left *ret)
{
	bool due;

	pthread_mutex_lock(&j->lock);
	due = wm_clock_mono() >= j->look;
	for (size_t i = 0; due && ret->id == NULL && i < JOBS_MAX; i++) {
		const struct left *left = &j->left[j->turn++ % JOBS_MAX];

		if (left->id == NULL)
			continue;
		*ret = (struct left){ .id = strdup(left->id), .workspace = strdup(left->workspace) };
		j->look = wm_clock_mono() + j->pause;
		j->pause = j->pause * 2 < LOOK_MAX ? j->pause * 2 : LOOK_MAX;
	}
	pthread_mutex_unlock(&j->lock);
	return ret->id != NULL && ret->workspace != NULL;
}

static void
has_ended(struct wm_zoho_jobs *j, const char *id)
{
	pthread_mutex_lock(&j->lock);
	for (size_t i = 0; i < JOBS_MAX; i++) {
		if (j->left[i].id == NULL || strcmp(j->left[i].id, id) != 0)
			continue;
		j->open--;
		j->batches -= j->left[i].batch;
		left_free(&j->left[i]);
		j->left[i] = (struct left){ 0 };
		j->pause = LOOK_FIRST;
	}
	pthread_mutex_unlock(&j->lock);
}

/* One that Zoho does not know, or does not tell us of, is not ours to wait for. */
static void
look_at_left(struct wm_zoho *z)
{
	WM_AUTO(left_free) struct left left = { 0 };
	WM_AUTO(wm_zoho_answer_free) struct wm_zoho_answer a = { 0 };
	bool ended;

	if (!next_left(z->account->jobs, &left) ||
	    wm_zoho_job_look(z, left.workspace, left.id, &a, NULL) != WM_OK)
		return;
	ended = a.trouble == WM_ZOHO_FINE ? !wm_zoho_job_runs(&a) :
					    a.trouble == WM_ZOHO_ACCOUNT || a.trouble == WM_ZOHO_VIEW;
	if (ended)
		has_ended(z->account->jobs, left.id);
}

/* ---- places ---- */

bool
wm_zoho_job_try(struct wm_zoho *z, bool batch)
{
	struct wm_zoho_jobs *j = z->account->jobs;
	bool free_place;

	pthread_mutex_lock(&j->lock);
	free_place = j->open < JOBS_MAX && (!batch || j->batches < BATCHES_MAX);
	if (free_place) {
		j->open++;
		j->batches += batch;
	}
	pthread_mutex_unlock(&j->lock);
	if (!free_place)
		look_at_left(z);
	return free_place;
}

void
wm_zoho_job_waits(struct wm_zoho *z, bool waits)
{
	struct wm_zoho_jobs *j = z->account->jobs;

	pthread_mutex_lock(&j->lock);
	if (waits)
		j->waiting++;
	else
		j->waiting--;
	pthread_mutex_unlock(&j->lock);
}

enum wm_status
wm_zoho_job_begin(struct wm_zoho *z, bool batch, struct wm_error *err)
{
	enum wm_status st = WM_OK;

	if (wm_zoho_job_try(z, batch))
		return WM_OK;
	wm_zoho_job_waits(z, true);
	do
		st = wm_zoho_rest(z, ASK_AGAIN, err);
	while (st == WM_OK && !wm_zoho_job_try(z, batch));
	wm_zoho_job_waits(z, false);
	return st;
}

void
wm_zoho_job_end(struct wm_zoho *z, bool batch)
{
	struct wm_zoho_jobs *j = z->account->jobs;

	pthread_mutex_lock(&j->lock);
	j->open--;
	j->batches -= batch;
	pthread_mutex_unlock(&j->lock);
}
