/* SPDX-License-Identifier: PostgreSQL */
/*
 * import.c - many rows at once, as CSV: at once when they are few enough, by a job when they are more.
 *
 * Always UPDATEADD on the key, or TRUNCATEADD for a view that is replaced: both end in the same rows when they are
 * sent twice.  An import counts only when every number in its answer says so.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "walmill/strutil.h"
#include "zoho.h"

#define JOB_FIRST_LOOK (500 * WM_MSEC)
#define JOB_MAX (2 * 3600 * WM_SEC)

enum { JOB_QUEUED = 1001, JOB_RUNS = 1002, JOB_FAILED = 1003, JOB_DONE = 1004 };

static int64_t
job_code(const struct wm_zoho_answer *a)
{
	return wm_zoho_number(a->data, "jobCode", 0);
}

void
wm_zoho_load_free(struct wm_zoho_load *l)
{
	wm_zoho_csv_free(&l->csv);
	free(l->rows);
	l->rows = NULL;
}

/* ---- CONFIG ---- */

static void
add_formats(const struct wm_zoho_sink *s, cJSON *o, const char *name, enum wm_zoho_type type, const char *format)
{
	cJSON *list = NULL;

	for (unsigned i = 0; i < s->view->ncolumns; i++) {
		if (s->columns[i]->type != type)
			continue;
		if (list == NULL)
			list = cJSON_AddObjectToObject(o, name);
		cJSON_AddStringToObject(list, s->columns[i]->name, format);
	}
}

char *
wm_zoho_import_config(const struct wm_zoho_load *l, char comment_char, bool first_batch)
{
	const struct wm_zoho_sink *s = l->s;
	const char comment[2] = { comment_char, '\0' };
	cJSON *o = cJSON_CreateObject(), *keys;

	cJSON_AddStringToObject(o, "importType", l->replace ? "TRUNCATEADD" : "UPDATEADD");
	if (first_batch) {
		cJSON_AddStringToObject(o, "batchKey", "start");
		cJSON_AddFalseToObject(o, "isLastBatch");
	} else
		cJSON_AddStringToObject(o, "fileType", "CSV");
	cJSON_AddBoolToObject(o, "autoIdentify", false);
	cJSON_AddNumberToObject(o, "delimiter", 0);
	cJSON_AddNumberToObject(o, "quoted", 2);
	cJSON_AddStringToObject(o, "commentChar", comment);
	cJSON_AddNumberToObject(o, "thousandSeparator", 4);
	cJSON_AddNumberToObject(o, "decimalSeparator", 0);
	cJSON_AddStringToObject(o, "dateFormat", "yyyy-MM-dd HH:mm:ss");
	add_formats(s, o, "columnDateFormat", WM_ZOHO_DATE_AS_DATE, "yyyy-MM-dd");
	add_formats(s, o, "columnTimeFormat", WM_ZOHO_TIME, "HH:mm:ss");
	cJSON_AddStringToObject(o, "onError", "ABORT");
	keys = l->replace ? NULL : cJSON_AddArrayToObject(o, "matchingColumns");
	for (unsigned i = 0; keys != NULL && i < s->view->nkeys; i++)
		cJSON_AddItemToArray(keys, cJSON_CreateString(s->key_names[i]));
	return wm_zoho_print(o);
}

/* ---- what came of it ---- */

/*
 * The row that a refused import names: "[Line: 6 ...".  Only a hint, for the pipeline tries the parts around it: it
 * saves imports that a search by halves would pay for.  Lines are not rows where values hold line feeds.
 */
static size_t
named_row(const struct wm_zoho_load *l, const char *message)
{
	static const char mark[] = "Line:";
	const char *p = strstr(message, mark);
	char digits[12];
	int64_t line;
	size_t n;

	if (p == NULL || l->csv.breaks || l->rows == NULL)
		return WM_BAD_UNKNOWN;
	p += strlen(mark);
	p += strspn(p, " ");
	n = strspn(p, "0123456789");
	(void)snprintf(digits, sizeof(digits), "%.*s", n < sizeof(digits) ? (int)n : 0, p);
	if (!wm_parse_i64(digits, &line) || line < 2 || (size_t)line - 2 >= l->n)
		return WM_BAD_UNKNOWN;
	return l->rows[line - 2];
}

/* A column that an import has passed over has gone from the table. */
static bool
took_all_columns(const struct wm_zoho_sink *s, const cJSON *data)
{
	const cJSON *details = cJSON_GetObjectItemCaseSensitive(data, "columnDetails");

	for (unsigned i = 0; details != NULL && i < s->view->ncolumns; i++)
		if (cJSON_GetObjectItem(details, s->columns[i]->name) == NULL)
			return false;
	return true;
}

/* data holds importSummary, columnDetails, importErrors. */
static enum wm_status
judge(struct wm_zoho_load *l, const cJSON *data, double units, struct wm_error *err)
{
	struct wm_zoho_sink *s = l->s;
	struct wm_zoho_import i;

	s->units += units;
	wm_zoho_import_parse(data, &i);
	if (!took_all_columns(s, data))
		return wm_zoho_sink_stale(s, err);
	if (wm_zoho_import_complete(&i, l->n)) {
		s->rows += l->n;
		return WM_OK;
	}
	if (l->n == 1 && l->rows != NULL)
		s->bad = l->rows[0];
	return wm_fail_code(err, WM_REJECT, "zoho:import",
	    "target \"%s\": view \"%s\": %zu rows were sent; Zoho read %lld, "
	    "stored %lld and has %lld warnings%s%s",
	    s->z->base.name, s->view->name, l->n, (long long)i.total, (long long)i.stored,
	    (long long)i.warnings, i.errors[0] != '\0' ? ": " : "", i.errors);
}

static enum wm_status
refused(struct wm_zoho_load *l, const struct wm_zoho_answer *a, struct wm_error *err)
{
	if (a->trouble == WM_ZOHO_ROWS)
		l->s->bad = l->n == 1 && l->rows != NULL ? l->rows[0] : named_row(l, a->message);
	return wm_zoho_sink_fail(l->s, a, "could not import rows", err);
}

/* ---- jobs ---- */

enum wm_status
wm_zoho_job_look(struct wm_zoho *z, const char *workspace, const char *job, struct wm_zoho_answer *ret,
    struct wm_error *err)
{
	WM_AUTO(wm_freep) char *path = wm_asprintf("/bulk/workspaces/%s/importjobs/%s", workspace, job);
	const struct wm_zoho_call call = { .what = "could not ask for an import job", .method = "GET",
		.class = WM_ZOHO_BULK, .path = path, .free = true };

	return path == NULL ? wm_oom(err, "a request") : wm_zoho_call(z, &call, ret, err);
}

bool
wm_zoho_job_runs(const struct wm_zoho_answer *a)
{
	return job_code(a) == JOB_QUEUED || job_code(a) == JOB_RUNS;
}

/* A job that has failed, or that Zoho does not know any more. */
static enum wm_status
job_ended(struct wm_zoho_load *l, const cJSON *data, int64_t code, struct wm_error *err)
{
	const cJSON *info = cJSON_GetObjectItemCaseSensitive(data, "jobInfo");
	struct wm_zoho_answer why = { .http = 400, .code = (int)wm_zoho_number(info, "errorCode", 0) };

	if (code != JOB_FAILED || why.code == 0)
		return wm_fail(err, WM_RETRY,
		    "target \"%s\": view \"%s\": what became of an import job is not known (job code "
		    "%lld %s); its rows are sent again",
		    l->s->z->base.name, l->s->view->name, (long long)code,
		    wm_zoho_text(data, "jobStatus"));
	why.trouble = wm_zoho_trouble_of(why.code, why.http);
	(void)snprintf(why.message, sizeof(why.message), "%s", wm_zoho_text(info, "errorMessage"));
	return refused(l, &why, err);
}

/* One look; *ret_runs: it goes on. */
static enum wm_status
look_at_job(struct wm_zoho_load *l, const char *job, double units, bool *ret_runs, struct wm_error *err)
{
	WM_AUTO(wm_zoho_answer_free) struct wm_zoho_answer a = { 0 };
	struct wm_zoho *z = l->s->z;
	enum wm_status st = wm_zoho_job_look(z, z->account->workspace, job, &a, err);

	*ret_runs = false;
	if (st != WM_OK)
		return st;
	if (a.trouble != WM_ZOHO_FINE)
		return wm_zoho_sink_fail(l->s, &a, "could not ask for an import job", err);
	*ret_runs = wm_zoho_job_runs(&a);
	l->ended = !*ret_runs;
	if (*ret_runs)
		return WM_OK;
	if (job_code(&a) == JOB_DONE)
		return judge(l, cJSON_GetObjectItemCaseSensitive(a.data, "jobInfo"), units, err);
	return job_ended(l, a.data, job_code(&a), err);
}

enum wm_status
wm_zoho_import_wait(struct wm_zoho_load *l, const char *job, double units, struct wm_error *err)
{
	struct wm_zoho *z = l->s->z;
	bool called = l->callback != NULL && wm_zoho_callback_works(z);
	wm_usec until = wm_clock_mono() + JOB_MAX, pause = called ? z->poll_interval : JOB_FIRST_LOOK;

	while (wm_clock_mono() < until) {
		bool runs = false, said = false;
		enum wm_status st = wm_zoho_callback_rest(z, l->callback, pause, &said, err);

		if (st == WM_OK)
			st = look_at_job(l, job, units, &runs, err);
		if (st != WM_OK || !runs)
			return st;
		pause = said ? JOB_FIRST_LOOK : pause * 2 < z->poll_interval ? pause * 2 : z->poll_interval;
	}
	return wm_fail(err, WM_RETRY,
	    "target \"%s\": view \"%s\": import job %s has not ended in two hours; its rows are sent "
	    "again",
	    z->base.name, l->s->view->name, job);
}

/* ---- sending ---- */

/* By a job, which has its place among the organisation's. */
static enum wm_status
send_job(struct wm_zoho_load *l, const struct wm_zoho_call *call, struct wm_error *err)
{
	struct wm_zoho *z = l->s->z;
	WM_AUTO(wm_zoho_answer_free) struct wm_zoho_answer a = { 0 };
	const char *job = "";
	enum wm_status st = wm_zoho_job_begin(z, false, err);

	if (st != WM_OK)
		return st;
	l->ended = true;		/* of one whose answer was lost nothing more can be known */
	st = wm_zoho_call(z, call, &a, err);
	if (st == WM_OK && a.trouble != WM_ZOHO_FINE)
		st = refused(l, &a, err);
	else if (st == WM_OK) {
		l->ended = false;
		job = wm_zoho_text(a.data, "jobId");
		st = wm_zoho_import_wait(l, job, call->units, err);
	}
	if (l->ended)
		wm_zoho_job_end(z, false);
	else
		wm_zoho_job_leave(z, false, job);
	return st;
}

static enum wm_status
send_at_once(struct wm_zoho_load *l, const struct wm_zoho_call *call, struct wm_error *err)
{
	WM_AUTO(wm_zoho_answer_free) struct wm_zoho_answer a = { 0 };
	enum wm_status st = wm_zoho_call(l->s->z, call, &a, err);

	if (st != WM_OK)
		return st;
	return a.trouble == WM_ZOHO_FINE ? judge(l, a.data, call->units, err) : refused(l, &a, err);
}

enum wm_status
wm_zoho_import_send(struct wm_zoho_load *l, struct wm_error *err)
{
	struct wm_zoho_sink *s = l->s;
	struct wm_zoho *z = s->z;
	bool job = l->csv.text.len > z->sync_max;
	double price = l->replace ? z->price.replace : z->price.upsert;
	WM_AUTO(wm_freep) char *config = wm_zoho_import_config(l, wm_zoho_csv_comment(&l->csv), false);
	WM_AUTO(wm_freep) char *path = wm_asprintf("%s/workspaces/%s/views/%s/data", job ? "/bulk" : "",
	    z->account->workspace, s->to->id);
	struct wm_zoho_call call = { .what = "could not import rows", .method = "POST", .class = WM_ZOHO_BULK,
		.path = path, .config = config, .csv = l->csv.text.data, .csv_len = l->csv.text.len,
		.units = price * ceil((double)l->n / 1000), .timeout = z->import_timeout,
		.no_wait = atomic_load(&s->to->lost) != 0 };
	enum wm_status st;

	if (config == NULL || path == NULL || l->csv.text.failed)
		return wm_oom(err, "an import");
	if (job)
		call.callback = l->callback = wm_zoho_callback_open(z);
	st = job ? send_job(l, &call, err) : send_at_once(l, &call, err);
	wm_zoho_callback_close(l->callback);
	l->callback = NULL;
	if (st != WM_OK)
		return st;
	wm_zoho_csv_reset(&l->csv);
	l->n = 0;
	l->replace = false;		/* what follows comes on top */
	return WM_OK;
}

void
wm_zoho_import_header(struct wm_zoho_load *l)
{
	for (unsigned i = 0; i < l->s->view->ncolumns; i++)
		wm_zoho_csv_field(&l->csv, l->s->columns[i]->name, strlen(l->s->columns[i]->name));
	wm_zoho_csv_end(&l->csv);
}

enum wm_status
wm_zoho_import_row(struct wm_zoho_load *l, const struct wm_row *row, struct wm_error *err)
{
	for (unsigned i = 0; i < l->s->view->ncolumns; i++) {
		struct wm_zoho_cell cell;
		enum wm_status st = wm_zoho_sink_cell(l->s, i, &row->values[i], &cell, err);

		if (st != WM_OK)
			return st;
		wm_zoho_csv_field(&l->csv, cell.data, cell.len);
	}
	wm_zoho_csv_end(&l->csv);
	return WM_OK;
}

/* What a row adds to a file at most. */
static size_t
row_bytes(const struct wm_zoho_sink *s, const struct wm_row *row)
{
	size_t n = 16;

	for (unsigned i = 0; i < s->view->ncolumns; i++)
		n += 2 * (size_t)row->values[i].len + 160;
	return n;
}

enum wm_status
wm_zoho_import(struct wm_zoho_sink *s, const struct wm_row *rows, size_t n, bool replace, struct wm_error *err)
{
	WM_AUTO(wm_zoho_load_free) struct wm_zoho_load l = { .s = s, .replace = replace };
	enum wm_status st = WM_OK;

	wm_zoho_csv_init(&l.csv, s->z->job_max);
	l.rows = calloc(n + 1, sizeof(*l.rows));
	if (l.rows == NULL)
		return wm_oom(err, "an import");
	for (size_t i = 0; st == WM_OK && i < n; i++) {
		size_t bytes = row_bytes(s, &rows[i]);

		if (rows[i].op != WM_ROW_UPSERT)
			continue;
		if (l.n > 0 && l.csv.text.len + bytes > s->z->job_max)
			st = wm_zoho_import_send(&l, err);
		if (st != WM_OK)
			break;
		if (l.n == 0)
			wm_zoho_import_header(&l);
		st = wm_zoho_import_row(&l, &rows[i], err);
		if (st == WM_OK && l.csv.text.failed)
			st = wm_fail(err, WM_REJECT,
			    "view \"%s\": a row is larger than a file that Zoho takes",
			    s->view->name);
		if (st == WM_REJECT)
			s->bad = i;
		l.rows[l.n++] = i;
	}
	return st == WM_OK && l.n > 0 ? wm_zoho_import_send(&l, err) : st;
}
