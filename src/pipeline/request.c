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

/* Hands over *r, and gives back what became of it, until a moment (wm_clock_mono). */
static enum wm_status
ask_worker(struct worker *w, struct request *r, wm_usec until, struct wm_error *err)
{
	static const char *const later[] = { [REQUEST_PAUSE] = "it is paused as soon as it can",
		[REQUEST_RESUME] = "it is resumed as soon as it can",
		[REQUEST_RETRY] = "its dead letters are tried as soon as it can",
		[REQUEST_ROW] = "the row is written as soon as it can" };
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

/*
 * The workers of a rule, one for each lane of its source (lane not 0: of that one alone), which stay until ask_worker
 * has returned; returns how many.
 */
static size_t
workers_of(struct wm_pipeline *p, const char *name, unsigned lane, struct worker *ret[WM_LANES_MAX])
{
	const struct wm_rule *rule;
	size_t n = 0;

	pthread_mutex_lock(&p->lock);
	rule = wm_ruleset_find(p->setup->rules, name);
	for (size_t i = 0; rule != NULL && i < p->nworkers; i++) {
		struct worker *w = p->workers[i];
		const struct wm_source_config *config = w->source->config;

		if (strcmp(config->base, rule->source) != 0 || strcmp(w->model->name, rule->target) != 0 ||
		    (lane != 0 && (unsigned)config->lane != lane))
			continue;
		pthread_mutex_lock(&w->lock);
		w->askers++;
		pthread_mutex_unlock(&w->lock);
		ret[n++] = w;
	}
	pthread_mutex_unlock(&p->lock);
	return n;
}

static enum wm_status
no_rule(const char *name, struct wm_error *err)
{
	return wm_fail_code(err, WM_REJECT, "no_rule", "there is no rule \"%s\"", name);
}

/* Without the pipeline's lock while it waits: a busy worker must not hold up status and watchdog. */
static enum wm_status
ask(struct wm_pipeline *p, const char *name, unsigned lane, struct request *r, struct wm_error *err)
{
	struct worker *list[WM_LANES_MAX];

	return workers_of(p, name, lane, list) == 0 ? no_rule(name, err) :
	    ask_worker(list[0], r, wm_clock_mono() + ANSWER_FOR, err);
}

/* Every lane is asked, whatever another one says; the first that cannot is heard. */
static enum wm_status
ask_rule(struct wm_pipeline *p, const char *rule, enum request_kind kind, struct wm_error *err)
{
	struct request requests[WM_LANES_MAX];
	struct worker *list[WM_LANES_MAX];
	wm_usec until = wm_clock_mono() + ANSWER_FOR;
	enum wm_status st = WM_OK;
	size_t n;

	for (size_t i = 0; i < WM_LANES_MAX; i++) {
		requests[i] = (struct request){ .kind = kind, .rule = strdup(rule) };
		if (requests[i].rule == NULL)
			st = wm_oom(err, "a request");
	}
	n = st == WM_OK ? workers_of(p, rule, 0, list) : 0;
	if (st == WM_OK && n == 0)
		st = no_rule(rule, err);
	for (size_t i = 0; i < n; i++) {
		struct wm_error why;
		enum wm_status one = ask_worker(list[i], &requests[i], until, &why);

		if (st == WM_OK && one != WM_OK) {
			st = one;
			*err = why;
		}
	}
	for (size_t i = 0; i < WM_LANES_MAX; i++)
		request_clear(&requests[i]);
	return st;
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

/* Whether the rule takes one table at most in all lanes, and the lane that has it; the first, where none has one. */
static bool
only_table(struct wm_pipeline *p, const struct wm_rule *rule, unsigned *ret_lane)
{
	size_t n = 0;

	*ret_lane = 1;
	for (size_t i = 0; i < p->nsources; i++) {
		struct source *s = p->sources[i];

		pthread_mutex_lock(&s->lock);
		for (size_t k = 0; s->tables != NULL && k < s->tables->n; k++)
			if (s->tables->list[k].rule == rule) {
				*ret_lane = (unsigned)s->config->lane;
				n++;
			}
		pthread_mutex_unlock(&s->lock);
	}
	return n <= 1;
}

/* The lane that a table of a rule, "schema.table", belongs to; table NULL: the rule's only one. */
static enum wm_status
lane_of(struct wm_pipeline *p, const char *name, const char *table, unsigned *ret, struct wm_error *err)
{
	const struct wm_rule *rule;
	const struct wm_source_config *source;
	bool only = true;

	*ret = 1;
	pthread_mutex_lock(&p->lock);
	rule = wm_ruleset_find(p->setup->rules, name);
	source = rule == NULL ? NULL : wm_setup_source(p->setup, rule->source);
	if (source != NULL && table != NULL)
		*ret = lane_of_name(p->setup, source, table);
	else if (source != NULL && source->lanes > 1)
		only = only_table(p, rule, ret);
	pthread_mutex_unlock(&p->lock);
	return only ? WM_OK : row_needs_table(name, err);
}

enum wm_status
wm_pipeline_row(struct wm_pipeline *p, const char *rule, struct wm_row_call *call, struct wm_error *err)
{
	WM_AUTO(request_clear) struct request r = { .kind = REQUEST_ROW, .rule = strdup(rule), .row = *call };
	unsigned lane;
	enum wm_status st;

	*call = (struct wm_row_call){ 0 };
	if (r.rule == NULL)
		return wm_oom(err, "a request");
	st = lane_of(p, rule, r.row.table, &lane, err);
	if (st == WM_OK)
		st = ask(p, rule, lane, &r, err);
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
	char	*table;
	unsigned lane;		/* that has the table now */
};

struct page {
	struct letter_name	*list;
	size_t			 n, size;
	bool			 oom;
};

static void
letter_name_clear(struct letter_name *name)
{
	free(name->rule);
	free(name->table);
}

static void
page_free(struct page *page)
{
	for (size_t i = 0; i < page->n; i++)
		letter_name_clear(&page->list[i]);
	free(page->list);
}

static void
page_add(struct page *page, int64_t id, const char *rule, const char *table)
{
	struct letter_name name = { .id = id, .rule = rule == NULL ? NULL : strdup(rule),
		.table = table == NULL ? NULL : strdup(table) };

	if (page->n == page->size) {
		size_t size = page->size == 0 ? RETRY_CHUNK : page->size * 2;
		struct letter_name *list = realloc(page->list, size * sizeof(*list));

		if (list == NULL) {
			page->oom = true;
			letter_name_clear(&name);
			return;
		}
		page->list = list;
		page->size = size;
	}
	page->oom |= rule != NULL && (name.rule == NULL || name.table == NULL);
	page->list[page->n++] = name;
}

static void
take_letter(void *arg, const struct wm_dead_letter *letter)
{
	page_add(arg, letter->id, letter->rule, letter->table);
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
			page_add(page, retry->ids[i], NULL, NULL);
		retry->end = true;
	}
	if (st == WM_OK && page->oom)
		return wm_oom(err, "dead letters");
	/* Not while the state is read: who shows status asks it with the pipeline's lock held. */
	for (size_t i = 0; st == WM_OK && i < page->n; i++)
		if (page->list[i].rule != NULL)
			st = lane_of(p, page->list[i].rule, page->list[i].table, &page->list[i].lane, err);
	return st;
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

/* Letters of one rule and lane, at most RETRY_CHUNK of them. */
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
	st = ask(p, list->rule, list->lane, &r, &why);
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
		    strcmp(first[n].rule, first->rule) == 0 && first[n].lane == first->lane)
			n++;
		st = retry_run(p, retry, first, n, err);
	}
	return st;
}
