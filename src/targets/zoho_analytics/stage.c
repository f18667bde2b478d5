/* SPDX-License-Identifier: PostgreSQL */
/*
 * stage.c - a view that a seed fills anew, by a batch import that Zoho shows when its last batch is in.
 *
 * Such an import keeps its table locked until it ends, so its key is kept before it is used again, and what a process
 * has left open is ended by the next.  A batch whose answer was lost may be there or not, and would be there twice:
 * the import is given up then, by a last batch that cannot be taken, which undoes all of it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "walmill/fault.h"
#include "walmill/strutil.h"
#include "zoho.h"

#define FILE_BYTES (32U << 20)		/* of a batch */
#define BATCHES_MAX 99
#define COMMENT '\x1f'			/* for all batches; a view with a line that begins with it is filled otherwise */
#define JOB "job "			/* in front of a view's name: what is kept */

struct wm_zoho_stage {
	char			*view;
	struct wm_zoho_load	 load;		/* the batch that gathers; its sink changes */
	size_t			 rows;		/* of batches that were sent */
	double			 units;
	unsigned		 batches;
	char			*key, *job;	/* NULL: none was sent */
	struct wm_zoho_callback	*callback;	/* of the job; or NULL */
	bool			 place, waits;	/* it has a place among the organisation's jobs; or waits for one */
	struct wm_zoho_stage	*next;
};

/* With an import that is still open the place goes on being taken. */
static void
give_place(struct wm_zoho *z, struct wm_zoho_stage *stage, bool open)
{
	if (stage->waits)
		wm_zoho_job_waits(z, false);
	if (stage->place && open)
		wm_zoho_job_leave(z, true, stage->job);
	else if (stage->place)
		wm_zoho_job_end(z, true);
	stage->place = stage->waits = false;
}

static void
stage_free(struct wm_zoho *z, struct wm_zoho_stage *stage)
{
	give_place(z, stage, stage->job != NULL);
	wm_zoho_load_free(&stage->load);
	wm_zoho_callback_close(stage->callback);
	free(stage->view);
	free(stage->key);
	free(stage->job);
	free(stage);
}

void
wm_zoho_stages_free(struct wm_zoho *z)
{
	while (z->stages != NULL) {
		struct wm_zoho_stage *stage = z->stages;

		z->stages = stage->next;
		stage_free(z, stage);
	}
}

struct wm_zoho_stage *
wm_zoho_stage_of(const struct wm_zoho *z, const struct wm_view *view)
{
	struct wm_zoho_stage *stage = z->stages;

	while (stage != NULL && strcmp(stage->view, view->name) != 0)
		stage = stage->next;
	return stage;
}

bool
wm_zoho_stages_open(const struct wm_zoho *z)
{
	const struct wm_zoho_stage *stage = z->stages;

	while (stage != NULL && stage->key == NULL)
		stage = stage->next;
	return stage != NULL;
}

enum wm_status
wm_zoho_stage_begin(struct wm_zoho *z, const struct wm_view *view, struct wm_error *err)
{
	struct wm_zoho_view *to = wm_zoho_view_of(z->account, view->name);
	struct wm_zoho_stage *stage;
	bool unfit;

	if (to == NULL)
		return wm_oom(err, "a view");
	pthread_mutex_lock(&to->writing);
	unfit = to->no_stage;
	pthread_mutex_unlock(&to->writing);
	if (unfit || z->base.host == NULL || z->base.host->keep == NULL)
		return wm_fail(err, WM_REJECT, "view \"%s\" is emptied and filled", view->name);
	stage = calloc(1, sizeof(*stage));
	if (stage == NULL || (stage->view = strdup(view->name)) == NULL) {
		free(stage);
		return wm_oom(err, "a view's rows");
	}
	stage->load.replace = true;
	wm_zoho_csv_init(&stage->load.csv, z->job_max);
	stage->next = z->stages;
	z->stages = stage;
	return WM_OK;
}

enum wm_status
wm_zoho_stage_ready(struct wm_zoho *z, struct wm_zoho_stage *stage, struct wm_error *err)
{
	enum wm_status st;

	if (stage->place)
		return WM_OK;
	st = wm_zoho_lost_look(z, stage->view, err);
	if (st != WM_OK)
		return st;
	stage->place = wm_zoho_job_try(z, true);
	if (stage->waits == stage->place) {
		stage->waits = !stage->place;
		wm_zoho_job_waits(z, stage->waits);
	}
	if (stage->place)
		return WM_OK;
	return wm_fail_code(err, WM_RETRY, "later",
	    "target \"%s\": view \"%s\" waits for import jobs of other views to end", z->base.name, stage->view);
}

static void
take_out(struct wm_zoho *z, struct wm_zoho_stage *stage)
{
	struct wm_zoho_stage **link = &z->stages;

	while (*link != stage)
		link = &(*link)->next;
	*link = stage->next;
	stage_free(z, stage);
}

/* ---- keys that are kept ---- */

static enum wm_status
keep(struct wm_zoho_stage *stage, struct wm_zoho_sink *s, struct wm_error *err)
{
	const struct wm_target_host *host = s->z->base.host;
	WM_AUTO(wm_freep) char *name = wm_asprintf(JOB "%s", stage->view);
	cJSON *o = cJSON_CreateObject();
	WM_AUTO(wm_freep) char *text = NULL;

	cJSON_AddStringToObject(o, "batchKey", stage->key);
	cJSON_AddStringToObject(o, "jobId", stage->job);
	cJSON_AddStringToObject(o, "viewId", s->to->id);
	cJSON_AddStringToObject(o, "column", s->key_names[0]);
	text = wm_zoho_print(o);
	return name == NULL || text == NULL ? wm_oom(err, "a key") : host->keep(host->arg, name, text, err);
}

static enum wm_status
forget(const struct wm_zoho *z, const char *view, struct wm_error *err)
{
	const struct wm_target_host *host = z->base.host;
	WM_AUTO(wm_freep) char *name = wm_asprintf(JOB "%s", view);

	return name == NULL ? wm_oom(err, "a key") : host->keep(host->arg, name, NULL, err);
}

/* ---- batches ---- */

static char *
next_config(const char *key, bool last)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "batchKey", key);
	cJSON_AddBoolToObject(o, "isLastBatch", last);
	return wm_zoho_print(o);
}

static enum wm_status
lost(struct wm_zoho_sink *s, const char *why, struct wm_error *err)
{
	s->to->no_stage = true;
	return wm_fail(err, WM_RETRY,
	    "target \"%s\": view \"%s\": %s; it is emptied and filled instead", s->z->base.name,
	    s->view->name, why);
}

static enum wm_status
begin_job(struct wm_zoho_stage *stage, struct wm_zoho_sink *s, const struct wm_zoho_answer *a, struct wm_error *err)
{
	enum wm_status st;

	WM_FAULT(zoho_job_begun);
	stage->key = strdup(wm_zoho_text(a->data, "batchKey"));
	stage->job = strdup(wm_zoho_text(a->data, "jobId"));
	if (stage->key == NULL || stage->job == NULL)
		return wm_oom(err, "a key");
	st = keep(stage, s, err);
	return st == WM_OK ? wm_zoho_lost_over(s->z, s->to, err) : st;
}

/* The first one: whatever ends it, it is known that there may be an import. */
static enum wm_status
send_first(struct wm_zoho_stage *stage, struct wm_zoho_sink *s, struct wm_zoho_call *call,
    struct wm_zoho_answer *ret, struct wm_error *err)
{
	struct wm_zoho *z = s->z;
	bool known = atomic_load(&s->to->lost) != 0;
	enum wm_status st = stage->place ? WM_OK : wm_zoho_job_begin(z, true, err);

	stage->place |= st == WM_OK;
	if (st == WM_OK)
		st = wm_zoho_lost_note(z, s->to, err);
	if (st != WM_OK)
		return st;
	WM_FAULT(zoho_job_noted);
	if (stage->callback == NULL)
		stage->callback = wm_zoho_callback_open(z);
	call->callback = stage->callback;
	call->once = true;
	st = wm_zoho_call(z, call, ret, err);
	if (st != WM_OK || ret->trouble == WM_ZOHO_PASSING)
		wm_zoho_lost_answer(s->to);
	else if (ret->trouble == WM_ZOHO_FINE)
		st = begin_job(stage, s, ret, err);
	else if (!known)
		st = wm_zoho_lost_over(z, s->to, err);
	return st;
}

static enum wm_status
send_batch(struct wm_zoho_stage *stage, struct wm_zoho_sink *s, bool last, struct wm_error *err)
{
	struct wm_zoho *z = s->z;
	WM_AUTO(wm_freep) char *config = stage->key == NULL ? wm_zoho_import_config(&stage->load, COMMENT, true) :
	    next_config(stage->key, last);
	WM_AUTO(wm_freep) char *path = wm_asprintf("/bulk/workspaces/%s/views/%s/data/batch", z->account->workspace,
	    s->to->id);
	WM_AUTO(wm_zoho_answer_free) struct wm_zoho_answer a = { 0 };
	struct wm_zoho_call call = { .what = "could not import a batch of rows", .method = "POST",
		.class = WM_ZOHO_BULK, .path = path, .config = config, .csv = stage->load.csv.text.data,
		.csv_len = stage->load.csv.text.len, .units = z->price.replace * ceil((double)stage->load.n / 1000),
		.timeout = z->import_timeout, .no_wait = atomic_load(&s->to->lost) != 0 };
	enum wm_status st;

	if (config == NULL || path == NULL || stage->load.csv.text.failed)
		return wm_oom(err, "a batch");
	if (stage->load.csv.starts[(unsigned char)COMMENT])
		return lost(s, "a value cannot be sent in a batch", err);
	if (stage->batches >= BATCHES_MAX)
		return lost(s, "it has more rows than a batch import takes", err);
	st = stage->key == NULL ? send_first(stage, s, &call, &a, err) : wm_zoho_call(z, &call, &a, err);
	if (st == WM_OK && a.trouble != WM_ZOHO_FINE) {
		st = wm_zoho_sink_fail(s, &a, call.what, err);
		return st == WM_RETRY ? st : lost(s, a.message, err);
	}
	if (st != WM_OK)
		return st;
	if (stage->batches == 0)
		WM_FAULT(zoho_job_kept);
	else
		WM_FAULT(zoho_batch_sent);
	stage->batches++;
	stage->rows += stage->load.n;
	stage->units += call.units;
	stage->load.n = 0;
	wm_zoho_csv_reset(&stage->load.csv);
	return WM_OK;
}

/* All of the rows or none, should one of them be no row for Zoho. */
enum wm_status
wm_zoho_stage_add(struct wm_zoho_stage *stage, struct wm_zoho_sink *s, const struct wm_row *rows, size_t n,
    struct wm_error *err)
{
	struct wm_zoho_load *l = &stage->load;
	size_t before, had, file = s->z->job_max < FILE_BYTES ? s->z->job_max : FILE_BYTES;
	enum wm_status st = WM_OK;

	l->s = s;
	/* Not what comes now: at the end there has to be something for the last batch, which says that it is. */
	if (l->n > 0 && l->csv.text.len >= file / 2)
		st = send_batch(stage, s, false, err);
	if (st != WM_OK)
		return st;
	before = l->csv.text.len;
	had = l->n;
	if (l->n == 0)
		wm_zoho_import_header(l);
	for (size_t i = 0; st == WM_OK && i < n; i++) {
		if (rows[i].op != WM_ROW_UPSERT)
			continue;
		st = wm_zoho_import_row(l, &rows[i], err);
		l->n++;
		if (st == WM_REJECT)
			s->bad = i;
	}
	if (st == WM_OK && l->csv.text.failed)
		return lost(s, "its rows are larger than a batch", err);
	if (st != WM_OK || l->n == 0) {
		wm_buf_truncate(&l->csv.text, before);
		l->n = had;
	}
	return st;
}

/* ---- the end ---- */

static enum wm_status
end_job(struct wm_zoho_stage *stage, struct wm_zoho_sink *s, struct wm_error *err)
{
	struct wm_zoho_load all = { .s = s, .replace = true, .callback = stage->callback };
	enum wm_status st = send_batch(stage, s, true, err);

	all.n = stage->rows;
	if (st == WM_OK)
		st = wm_zoho_import_wait(&all, stage->job, stage->units, err);
	if (st == WM_REJECT)
		s->to->no_stage = true;
	if (all.ended)
		give_place(s->z, stage, false);
	WM_FAULT(zoho_job_ended);
	/* With any other failure nobody knows whether it has ended. */
	return st == WM_OK || st == WM_REJECT ? (forget(s->z, stage->view, NULL) == WM_OK ? st : WM_RETRY) : st;
}

/* Something is kept back until the end, unless the view has no rows, or so few that no batch was sent. */
enum wm_status
wm_zoho_stage_end(struct wm_zoho_stage *stage, struct wm_zoho_sink *s, struct wm_error *err)
{
	struct wm_zoho *z = s->z;
	enum wm_status st;

	stage->load.s = s;
	if (stage->key == NULL)
		give_place(z, stage, false);
	if (stage->key != NULL)
		st = end_job(stage, s, err);
	else if (stage->load.n > 0)
		st = wm_zoho_import_send(&stage->load, err);
	else
		st = wm_zoho_rows_empty(s, err);
	if (st == WM_OK)
		st = wm_zoho_lost_over(z, s->to, err);
	if (st == WM_REJECT)
		s->to->no_stage = true;
	take_out(z, stage);
	return st;
}

/* ---- what was left open ---- */

struct left {
	char	*view, *text;
};

struct leftover {
	struct left	*list;
	size_t		 n;
	bool		 oom;
};

static void
leftover_free(struct leftover *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->list[i].view);
		free(l->list[i].text);
	}
	free(l->list);
}

static void
take(void *arg, const char *name, const char *text)
{
	struct leftover *l = arg;
	struct left *list;

	if (strncmp(name, JOB, strlen(JOB)) != 0)
		return;
	list = reallocarray(l->list, l->n + 1, sizeof(*list));
	if (list == NULL) {
		l->oom = true;
		return;
	}
	l->list = list;
	list[l->n] = (struct left){ .view = strdup(name + strlen(JOB)), .text = strdup(text) };
	l->oom |= list[l->n].view == NULL || list[l->n].text == NULL;
	l->n++;
}

/* More fields than columns: the last batch fails, and all of the import with it.  Whatever Zoho says, it is over. */
static enum wm_status
abandon(struct wm_zoho *z, const struct left *left, struct wm_error *err)
{
	WM_AUTO(wm_zoho_answer_free) struct wm_zoho_answer a = { 0 };
	cJSON *o = cJSON_Parse(left->text);
	WM_AUTO(wm_freep) char *config = next_config(wm_zoho_text(o, "batchKey"), true);
	WM_AUTO(wm_freep) char *path = wm_asprintf("/bulk/workspaces/%s/views/%s/data/batch", z->account->workspace,
	    wm_zoho_text(o, "viewId"));
	WM_AUTO(wm_freep) char *csv = wm_asprintf("\"%s\"\n\"given\",\"up\"\n", wm_zoho_text(o, "column"));
	const struct wm_zoho_call call = { .what =
					       "could not end a batch import that was left open",
		.method = "POST",
		.class = WM_ZOHO_BULK,
		.path = path,
		.config = config,
		.csv = csv,
		.csv_len = csv == NULL ? 0 : strlen(csv),
		.free = true };
	enum wm_status st;

	cJSON_Delete(o);
	if (config == NULL || path == NULL || csv == NULL)
		return wm_oom(err, "a request");
	st = wm_zoho_call(z, &call, &a, err);
	if (st == WM_OK && (a.trouble == WM_ZOHO_PASSING || a.trouble == WM_ZOHO_UNITS || a.trouble == WM_ZOHO_RATE))
		st = wm_zoho_answer_fail(&a, NULL, err, "target \"%s\": %s", z->base.name, call.what);
	return st == WM_OK ? forget(z, left->view, err) : st;
}

/* Those of a view; NULL: of all. */
static enum wm_status
abandon_kept(struct wm_zoho *z, const char *view, struct wm_error *err)
{
	const struct wm_target_host *host = z->base.host;
	WM_AUTO(leftover_free) struct leftover l = { 0 };
	enum wm_status st;

	if (host == NULL || host->kept == NULL)
		return WM_OK;
	st = host->kept(host->arg, take, &l, err);
	if (st == WM_OK && l.oom)
		st = wm_oom(err, "keys of batch imports");
	for (size_t i = 0; st == WM_OK && i < l.n; i++)
		if (view == NULL || strcmp(l.list[i].view, view) == 0)
			st = abandon(z, &l.list[i], err);
	return st;
}

enum wm_status
wm_zoho_stages_abandon(struct wm_zoho *z, struct wm_error *err)
{
	return abandon_kept(z, NULL, err);
}

enum wm_status
wm_zoho_stage_drop(struct wm_zoho_stage *stage, struct wm_zoho *z, struct wm_error *err)
{
	enum wm_status st = stage->key == NULL ? WM_OK : abandon_kept(z, stage->view, err);

	take_out(z, stage);
	return st;
}
