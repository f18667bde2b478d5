/* SPDX-License-Identifier: PostgreSQL */
/*
 * request.c - what other threads ask of a worker: pause, resume, dead letters again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"
#include "walmill/strutil.h"

#define ANSWER_FOR (30 * WM_SEC)
#define RETRY_CHUNK 100		/* letters that a worker tries between two transactions */

/* Hands over *r, and gives back what became of it. */
static enum wm_status
ask_worker(struct worker *w, struct request *r, struct wm_error *err)
{
	static const char *const later[] = { [REQUEST_PAUSE] = "it is paused as soon as it can",
		[REQUEST_RESUME] = "it is resumed as soon as it can",
		[REQUEST_RETRY] = "its dead letters are tried as soon as it can",
		[REQUEST_ROW] = "the row is written as soon as it can" };
	wm_usec until = wm_clock_mono() + ANSWER_FOR;
	struct timespec ts = { .tv_sec = until / WM_SEC, .tv_nsec = until % WM_SEC * 1000 };
	enum wm_status st = WM_OK;

	pthread_mutex_lock(&w->lock);
	if (atomic_load(&w->commands) || atomic_load(&w->stop))
		st = wm_fail(err, WM_RETRY, "target \"%s\" %s; try again", w->model->name,
		    atomic_load(&w->stop) ? "is stopping" : "is serving another request");
	if (st == WM_OK) {
		request_clear(&w->wanted);
		w->wanted = *r;
		*r = (struct request){ 0 };
		atomic_store(&w->commands, true);
		wm_journal_wake(w->reader);
	}
	while (st == WM_OK && !w->wanted.done)
		if (pthread_cond_timedwait(&w->changed, &w->lock, &ts) == ETIMEDOUT)
			st = wm_fail(err, WM_RETRY,
			    "target \"%s\" is busy (seeding, or out of reach: %s) with rule \"%s\" waiting; %s",
			    w->model->name, w->last_error == NULL ? "no error" : w->last_error, w->wanted.rule,
			    later[w->wanted.kind]);
	if (st == WM_OK) {
		*r = w->wanted;
		w->wanted = (struct request){ 0 };
		st = r->st;
		if (st != WM_OK)
			*err = r->err;
	}
	w->askers--;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	return st;
}

/* The worker of a rule, which stays until ask_worker has returned; NULL: there is no such rule. */
static struct worker *
worker_of(struct wm_pipeline *p, const char *name)
{
	const struct wm_rule *rule;
	struct worker *ret = NULL;

	pthread_mutex_lock(&p->lock);
	rule = wm_ruleset_find(p->setup->rules, name);
	for (size_t i = 0; rule != NULL && ret == NULL && i < p->nworkers; i++) {
		struct worker *w = p->workers[i];

		if (strcmp(w->source->config->name, rule->source) == 0 && strcmp(w->model->name, rule->target) == 0)
			ret = w;
	}
	if (ret != NULL) {
		pthread_mutex_lock(&ret->lock);
		ret->askers++;
		pthread_mutex_unlock(&ret->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return ret;
}

/* Without the pipeline's lock while it waits: a busy worker must not hold up status and watchdog. */
static enum wm_status
ask(struct wm_pipeline *p, const char *name, struct request *r, struct wm_error *err)
{
	struct worker *w = worker_of(p, name);

	return w == NULL ? wm_fail_code(err, WM_REJECT, "no_rule", "there is no rule \"%s\"", name) :
	    ask_worker(w, r, err);
}

static enum wm_status
ask_rule(struct wm_pipeline *p, const char *rule, enum request_kind kind, struct wm_error *err)
{
	WM_AUTO(request_clear) struct request r = { .kind = kind, .rule = strdup(rule) };

	return r.rule == NULL ? wm_oom(err, "a request") : ask(p, rule, &r, err);
}

enum wm_status
wm_pipeline_pause(struct wm_pipeline *p, const char *rule, struct wm_error *err)
{
	return ask_rule(p, rule, REQUEST_PAUSE, err);
}

enum wm_status
wm_pipeline_resume(struct wm_pipeline *p, const char *rule, struct wm_error *err)
{
	return ask_rule(p, rule, REQUEST_RESUME, err);
}

/* ---- callbacks ---- */

bool
wm_pipeline_callback(struct wm_pipeline *p, const char *token)
{
	bool taken = false;

	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; !taken && i < p->setup->ntargets; i++) {
		const struct wm_target_ops *ops = p->setup->targets[i]->ops;

		taken = ops->callback != NULL && ops->callback(token);
	}
	pthread_mutex_unlock(&p->lock);
	return taken;
}

/* ---- one row ---- */

enum wm_status
wm_pipeline_row(struct wm_pipeline *p, const char *rule, struct wm_row_call *call, struct wm_error *err)
{
	WM_AUTO(request_clear) struct request r = { .kind = REQUEST_ROW, .rule = strdup(rule), .row = *call };
	enum wm_status st;

	*call = (struct wm_row_call){ 0 };
	if (r.rule == NULL)
		return wm_oom(err, "a request");
	st = ask(p, rule, &r, err);
	if (st == WM_OK) {
		*call = r.row;
		r.row = (struct wm_row_call){ 0 };
	}
	return st;
}

/* ---- dead letters ---- */

struct letter_name {
	int64_t	 id;
	char	*rule;		/* NULL: there is no such letter */
};

struct page {
	struct letter_name	*list;
	size_t			 n, size;
	bool			 oom;
};

static void
page_free(struct page *page)
{
	for (size_t i = 0; i < page->n; i++)
		free(page->list[i].rule);
	free(page->list);
}

static void
page_add(struct page *page, int64_t id, const char *rule)
{
	struct letter_name name = { .id = id, .rule = rule == NULL ? NULL : strdup(rule) };

	if (page->n == page->size) {
		size_t size = page->size == 0 ? RETRY_CHUNK : page->size * 2;
		struct letter_name *list = realloc(page->list, size * sizeof(*list));

		if (list == NULL) {
			page->oom = true;
			free(name.rule);
			return;
		}
		page->list = list;
		page->size = size;
	}
	page->oom |= rule != NULL && name.rule == NULL;
	page->list[page->n++] = name;
}

static void
take_letter(void *arg, const struct wm_dead_letter *letter)
{
	page_add(arg, letter->id, letter->rule);
}

static enum wm_status
read_page(struct wm_pipeline *p, struct wm_retry *retry, struct page *page, struct wm_error *err)
{
	enum wm_status st = WM_OK;

	if (retry->ids == NULL)
		st = wm_state_dead_letters(p->state, &retry->filter, take_letter, page, &retry->end, err);
	for (size_t i = 0; retry->ids != NULL && i < retry->nids && st == WM_OK; i++) {
		bool found;

		st = wm_state_dead_letter_get(p->state, retry->ids[i], take_letter, page, &found, err);
		if (st == WM_OK && !found)
			page_add(page, retry->ids[i], NULL);
		retry->end = true;
	}
	return st == WM_OK && page->oom ? wm_oom(err, "dead letters") : st;
}

static enum wm_status
note_failure(struct wm_retry *retry, int64_t id, const char *why, struct wm_error *err)
{
	struct wm_retry_result *list = realloc(retry->failures, (retry->nfailures + 1) * sizeof(*list));
	char *copy = strdup(why);

	if (list != NULL)
		retry->failures = list;
	if (list == NULL || copy == NULL) {
		free(copy);
		return wm_oom(err, "dead letters");
	}
	list[retry->nfailures++] = (struct wm_retry_result){ .id = id, .why = copy };
	retry->failed++;
	return WM_OK;
}

/* Letters of one rule, at most RETRY_CHUNK of them. */
static enum wm_status
retry_run(struct wm_pipeline *p, struct wm_retry *retry, const struct letter_name *list, size_t n, struct wm_error *err)
{
	WM_AUTO(request_clear) struct request r = { .kind = REQUEST_RETRY, .rule = strdup(list->rule),
		.letters = calloc(n, sizeof(*r.letters)) };
	struct wm_error why;
	enum wm_status st;

	if (r.rule == NULL || r.letters == NULL)
		return wm_oom(err, "a request");
	for (r.n = 0; r.n < n; r.n++)
		r.letters[r.n].id = list[r.n].id;
	st = ask(p, list->rule, &r, &why);
	for (size_t i = 0; i < n; i++) {
		const char *text = st != WM_OK ? why.text : r.letters[i].why;

		if (text == NULL)
			retry->processed++;
		else if (note_failure(retry, list[i].id, text, err) != WM_OK)
			return WM_FATAL;
		retry->last = list[i].id;
	}
	return WM_OK;
}

enum wm_status
wm_pipeline_retry(struct wm_pipeline *p, struct wm_retry *retry, struct wm_error *err)
{
	WM_AUTO(page_free) struct page page = { 0 };
	enum wm_status st;
	size_t n;

	retry->last = retry->filter.after;
	st = read_page(p, retry, &page, err);
	for (size_t i = 0; st == WM_OK && i < page.n; i += n) {
		const struct letter_name *first = &page.list[i];

		n = 1;
		if (first->rule == NULL) {
			st = note_failure(retry, first->id, "there is no such dead letter", err);
			retry->last = first->id;
			continue;
		}
		while (n < RETRY_CHUNK && i + n < page.n && first[n].rule != NULL &&
		    strcmp(first[n].rule, first->rule) == 0)
			n++;
		st = retry_run(p, retry, first, n, err);
	}
	return st;
}

void
wm_retry_free(struct wm_retry *retry)
{
	for (size_t i = 0; i < retry->nfailures; i++)
		free(retry->failures[i].why);
	free(retry->failures);
	retry->failures = NULL;
	retry->nfailures = 0;
}
