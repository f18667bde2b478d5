/* SPDX-License-Identifier: PostgreSQL */
/*
 * metadata.c - organisations, workspaces, views and columns: looked up by id or by name, made when missing.
 *
 * Each of these calls costs units, so what is known stays known until an answer says otherwise.
 */
#include <stdlib.h>
#include <string.h>

#include "walmill/strutil.h"
#include "zoho.h"

#define PAGE 100			/* views a call */
#define PAGES_MAX 1000
#define COLUMNS_A_CALL 10
#define PLAN_EVERY (3600 * WM_SEC)

static bool
is_id(const char *text)
{
	return strlen(text) >= 6 && text[strspn(text, "0123456789")] == '\0';
}

static enum wm_status
get(struct wm_zoho *z, const char *what, const char *path, const char *config, bool no_org, struct wm_zoho_answer *ret,
    struct wm_error *err)
{
	const struct wm_zoho_call call = { .what = what, .method = "GET", .class = WM_ZOHO_METADATA, .path = path,
		.config = config, .units = z->price.metadata, .no_org = no_org };

	return wm_zoho_ask(z, &call, ret, err);
}

/* ---- organisation and workspace ---- */

/* The id of the member of list whose name is `name`; NULL: none. */
static const char *
find_named(const cJSON *list, const char *name_key, const char *id_key, const char *name)
{
	const cJSON *o;

	cJSON_ArrayForEach(o, list) {
		if (strcmp(wm_zoho_text(o, name_key), name) == 0)
			return wm_zoho_text(o, id_key);
	}
	return NULL;
}

static enum wm_status
find_org(struct wm_zoho *z, struct wm_error *err)
{
	WM_AUTO(wm_zoho_answer_free) struct wm_zoho_answer a = { 0 };
	const char *id = z->org;
	enum wm_status st = WM_OK;

	if (!is_id(z->org)) {
		st = get(z, "could not list organisations", "/orgs", NULL, true, &a, err);
		if (st != WM_OK)
			return st;
		id = find_named(cJSON_GetObjectItemCaseSensitive(a.data, "orgs"), "orgName", "orgId", z->org);
	}
	if (id == NULL)
		return wm_fail(err, WM_FATAL,
		    "target \"%s\": there is no organisation \"%s\" that the account belongs to",
		    z->base.name, z->org);
	z->account->org = strdup(id);
	return z->account->org == NULL ? wm_oom(err, "an id") : WM_OK;
}

static enum wm_status
find_workspace(struct wm_zoho *z, struct wm_error *err)
{
	WM_AUTO(wm_zoho_answer_free) struct wm_zoho_answer a = { 0 };
	const char *id = z->workspace;
	enum wm_status st = WM_OK;

	if (!is_id(z->workspace)) {
		st = get(z, "could not list workspaces", "/workspaces", NULL, false, &a, err);
		if (st != WM_OK)
			return st;
		id = find_named(cJSON_GetObjectItemCaseSensitive(a.data, "ownedWorkspaces"),
		    "workspaceName", "workspaceId", z->workspace);
		if (id == NULL)
			id = find_named(cJSON_GetObjectItemCaseSensitive(a.data, "sharedWorkspaces"), "workspaceName",
			    "workspaceId", z->workspace);
	}
	if (id == NULL)
		return wm_fail(err, WM_FATAL,
		    "target \"%s\": organisation \"%s\" has no workspace \"%s\" that the account may "
		    "see",
		    z->base.name, z->account->org, z->workspace);
	z->account->workspace = strdup(id);
	return z->account->workspace == NULL ? wm_oom(err, "an id") : WM_OK;
}

enum wm_status
wm_zoho_find_place(struct wm_zoho *z, struct wm_error *err)
{
	static pthread_mutex_t finding = PTHREAD_MUTEX_INITIALIZER;
	enum wm_status st = WM_OK;

	pthread_mutex_lock(&finding);
	if (z->account->org == NULL)
		st = find_org(z, err);
	if (st == WM_OK && z->account->workspace == NULL)
		st = find_workspace(z, err);
	if (st == WM_OK && z->account->jobs == NULL) {
		struct wm_zoho_jobs *jobs = wm_zoho_jobs_of(wm_zoho_api_url(z), z->account->org);

		pthread_mutex_lock(&z->account->lock);
		z->account->jobs = jobs;
		pthread_mutex_unlock(&z->account->lock);
		if (jobs == NULL)
			st = wm_oom(err, "an organisation's jobs");
	}
	pthread_mutex_unlock(&finding);
	return st;
}

/* ---- the plan ---- */

static bool
parse_units(const cJSON *usage, const char *name, double *ret)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(usage, name);
	cJSON *number = cJSON_IsString(item) ? cJSON_Parse(item->valuestring) : cJSON_Duplicate(item, false);
	bool known = cJSON_IsNumber(number);		/* "Unlimited" is none */

	if (known)
		*ret = number->valuedouble;
	cJSON_Delete(number);
	return known;
}

/* Any trouble is none: the account may not be an administrator's. */
void
wm_zoho_read_plan(struct wm_zoho *z)
{
	static const char what[] = "could not read the plan";
	const struct wm_zoho_call call = { .what = what,
		.method = "GET",
		.class = WM_ZOHO_METADATA,
		.path = "/resources",
		.units = z->price.metadata,
		.free = true };
	WM_AUTO(wm_zoho_answer_free) struct wm_zoho_answer a = { 0 };
	wm_usec now = wm_clock_mono();
	const cJSON *o;
	bool due;

	pthread_mutex_lock(&z->account->lock);
	due = z->units_per_day == 0 && (z->account->plan_read == 0 || now - z->account->plan_read > PLAN_EVERY);
	if (due)
		z->account->plan_read = now;
	pthread_mutex_unlock(&z->account->lock);
	if (!due || wm_zoho_call(z, &call, &a, NULL) != WM_OK || a.trouble != WM_ZOHO_FINE)
		return;
	cJSON_ArrayForEach(o, cJSON_GetObjectItemCaseSensitive(a.data, "resources")) {
		const cJSON *usage = cJSON_GetObjectItemCaseSensitive(o, "resourceUsage");
		double allocated, used;

		if (strcmp(wm_zoho_text(o, "resourceName"), "apiUnits") != 0 ||
		    !parse_units(usage, "allocated", &allocated) ||
		    !parse_units(usage, "used", &used))
			continue;
		pthread_mutex_lock(&z->account->lock);
		wm_zoho_quota_set(&z->account->quota, allocated, used, wm_clock_wall());
		pthread_mutex_unlock(&z->account->lock);
	}
}

/* ---- views ---- */

static char *
list_config(const char *keyword, int64_t from)
{
	cJSON *o = cJSON_CreateObject();
	const int table = 0;

	cJSON_AddItemToObject(o, "viewTypes", cJSON_CreateIntArray(&table, 1));
	cJSON_AddStringToObject(o, "keyword", keyword);
	cJSON_AddNumberToObject(o, "startIndex", (double)from);
	cJSON_AddNumberToObject(o, "noOfResult", PAGE);
	return wm_zoho_print(o);
}

/* The table of this name; *ret NULL: none.  Zoho lists what holds the keyword. */
static enum wm_status
find_view(struct wm_zoho *z, const char *name, char **ret, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *path = wm_asprintf("/workspaces/%s/views", z->account->workspace);
	int listed = PAGE;

	*ret = NULL;
	for (int64_t page = 0; listed == PAGE && page < PAGES_MAX; page++) {
		WM_AUTO(wm_zoho_answer_free) struct wm_zoho_answer a = { 0 };
		WM_AUTO(wm_freep) char *config = list_config(name, page * PAGE);
		const cJSON *list;
		const char *id;
		enum wm_status st;

		if (path == NULL || config == NULL)
			return wm_oom(err, "a request");
		st = get(z, "could not list the workspace's tables", path, config, false, &a, err);
		if (st != WM_OK)
			return st;
		list = cJSON_GetObjectItemCaseSensitive(a.data, "views");
		listed = cJSON_GetArraySize(list);
		id = find_named(list, "viewName", "viewId", name);
		if (id == NULL)
			continue;
		*ret = strdup(id);
		return *ret == NULL ? wm_oom(err, "an id") : WM_OK;
	}
	return WM_OK;
}

static enum wm_status
add_column(struct wm_zoho_view *v, const char *name, enum wm_zoho_type type, struct wm_error *err)
{
	struct wm_zoho_column *list = reallocarray(v->columns, v->ncolumns + 1, sizeof(*list));

	if (list == NULL)
		return wm_oom(err, "a view's columns");
	v->columns = list;
	list[v->ncolumns] = (struct wm_zoho_column){ .name = strdup(name), .type = type };
	if (list[v->ncolumns].name == NULL)
		return wm_oom(err, "a view's columns");
	v->ncolumns++;
	return WM_OK;
}

/* Of a column that metadata shows, by whichever of its names is known. */
static enum wm_zoho_type
shown_type(const cJSON *column)
{
	enum wm_zoho_type type = wm_zoho_type_named(wm_zoho_text(column, "dataType"));

	return type != WM_ZOHO_UNKNOWN ? type : wm_zoho_type_named(wm_zoho_text(column, "dataTypeName"));
}

static enum wm_status
read_columns(struct wm_zoho *z, struct wm_zoho_view *v, struct wm_error *err)
{
	WM_AUTO(wm_zoho_answer_free) struct wm_zoho_answer a = { 0 };
	WM_AUTO(wm_freep) char *path = wm_asprintf("/workspaces/%s/views/%s/metadata", z->account->workspace, v->id);
	WM_AUTO(wm_freep) char *what = wm_asprintf("could not read the columns of view \"%s\"", v->name);
	const cJSON *column;
	enum wm_status st;

	if (path == NULL || what == NULL)
		return wm_oom(err, "a request");
	st = get(z, what, path, NULL, false, &a, err);
	cJSON_ArrayForEach(column, cJSON_GetObjectItemCaseSensitive(a.data, "columns")) {
		if (st == WM_OK)
			st = add_column(v, wm_zoho_text(column, "columnName"), shown_type(column), err);
	}
	return st;
}

enum wm_status
wm_zoho_view_read(struct wm_zoho *z, struct wm_zoho_view *v, struct wm_error *err)
{
	enum wm_status st = wm_zoho_find_place(z, err);
	char *id = NULL;

	wm_zoho_view_forget(v);
	if (st != WM_OK)
		return st;
	if (is_id(v->name)) {
		id = strdup(v->name);
		st = id == NULL ? wm_oom(err, "an id") : WM_OK;
	} else
		st = find_view(z, v->name, &id, err);
	if (st != WM_OK || id == NULL)
		return st;
	v->id = id;
	st = read_columns(z, v, err);
	if (st != WM_OK)
		wm_zoho_view_forget(v);
	return st;
}

/* ---- making ---- */

static enum wm_status
post(struct wm_zoho *z, const char *what, const char *path, const char *config, struct wm_zoho_answer *ret,
    struct wm_error *err)
{
	const struct wm_zoho_call call = { .what = what, .method = "POST", .class = WM_ZOHO_METADATA, .path = path,
		.config = config, .units = z->price.modeling };

	return wm_zoho_ask(z, &call, ret, err);
}

static char *
design_json(const struct wm_zoho_view *v, const struct wm_view *view)
{
	cJSON *o = cJSON_CreateObject(), *design = cJSON_AddObjectToObject(o, "tableDesign"), *columns;

	cJSON_AddStringToObject(design, "TABLENAME", v->name);
	columns = cJSON_AddArrayToObject(design, "COLUMNS");
	for (unsigned i = 0; i < view->ncolumns; i++) {
		cJSON *c = cJSON_CreateObject();

		cJSON_AddStringToObject(c, "COLUMNNAME", view->columns[i].name);
		cJSON_AddStringToObject(c, "DATATYPE", wm_zoho_type_name(wm_zoho_type_for(&view->columns[i])));
		cJSON_AddItemToArray(columns, c);
	}
	return wm_zoho_print(o);
}

/* A table that another walmill, or a call whose answer was lost, has made meanwhile is there: it is read. */
enum wm_status
wm_zoho_view_create(struct wm_zoho *z, struct wm_zoho_view *v, const struct wm_view *view, struct wm_error *err)
{
	WM_AUTO(wm_zoho_answer_free) struct wm_zoho_answer a = { 0 };
	WM_AUTO(wm_freep) char *path = wm_asprintf("/workspaces/%s/tables", z->account->workspace);
	WM_AUTO(wm_freep) char *config = design_json(v, view);
	WM_AUTO(wm_freep) char *what = wm_asprintf("could not create table \"%s\"", v->name);
	enum wm_status st;

	if (path == NULL || config == NULL || what == NULL)
		return wm_oom(err, "a request");
	st = post(z, what, path, config, &a, err);
	if (st == WM_OK) {
		v->id = strdup(wm_zoho_text(a.data, "viewId"));
		st = v->id == NULL ? wm_oom(err, "an id") : WM_OK;
	}
	for (unsigned i = 0; st == WM_OK && i < view->ncolumns; i++)
		st = add_column(v, view->columns[i].name, wm_zoho_type_for(&view->columns[i]), err);
	return st;
}

/* One column in the plain form, several as a list. */
static char *
columns_json(const struct wm_view *view, const unsigned *which, unsigned n)
{
	cJSON *o = cJSON_CreateObject(), *list = n > 1 ? cJSON_AddArrayToObject(o, "columns") : NULL;

	for (unsigned i = 0; i < n; i++) {
		const struct wm_view_column *column = &view->columns[which[i]];
		cJSON *c = n > 1 ? cJSON_CreateObject() : o;

		cJSON_AddStringToObject(c, "columnName", column->name);
		cJSON_AddStringToObject(c, "dataType", wm_zoho_type_name(wm_zoho_type_for(column)));
		if (n > 1)
			cJSON_AddItemToArray(list, c);
	}
	return wm_zoho_print(o);
}

static enum wm_status
add_columns(struct wm_zoho *z, struct wm_zoho_view *v, const struct wm_view *view, const unsigned *which, unsigned n,
    struct wm_error *err)
{
	WM_AUTO(wm_zoho_answer_free) struct wm_zoho_answer a = { 0 };
	WM_AUTO(wm_freep) char *path = wm_asprintf("/workspaces/%s/views/%s/columns", z->account->workspace, v->id);
	WM_AUTO(wm_freep) char *config = columns_json(view, which, n);
	WM_AUTO(wm_freep) char *what = wm_asprintf("could not add column \"%s\"%s to view \"%s\"",
	    view->columns[which[0]].name, n > 1 ? " and others" : "", v->name);
	enum wm_status st;

	if (path == NULL || config == NULL || what == NULL)
		return wm_oom(err, "a request");
	st = post(z, what, path, config, &a, err);
	for (unsigned i = 0; st == WM_OK && i < n; i++)
		st = add_column(v, view->columns[which[i]].name, wm_zoho_type_for(&view->columns[which[i]]), err);
	return st;
}

enum wm_status
wm_zoho_view_extend(struct wm_zoho *z, struct wm_zoho_view *v, const struct wm_view *view, struct wm_error *err)
{
	unsigned which[COLUMNS_A_CALL], n = 0;
	enum wm_status st = WM_OK;

	for (unsigned i = 0; st == WM_OK && i < view->ncolumns; i++) {
		if (wm_zoho_view_column(v, view->columns[i].name) != NULL)
			continue;
		which[n++] = i;
		if (n < COLUMNS_A_CALL)
			continue;
		st = add_columns(z, v, view, which, n, err);
		n = 0;
	}
	return st == WM_OK && n > 0 ? add_columns(z, v, view, which, n, err) : st;
}
