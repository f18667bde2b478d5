/* SPDX-License-Identifier: PostgreSQL */
/*
 * rows.c - row calls: a few rows written, rows deleted, a table emptied.
 */
#include <stdlib.h>
#include <string.h>

#include "criteria.h"
#include "walmill/strutil.h"
#include "zoho.h"

#define KEYS_MAX 1000			/* in one criterion */
#define CRITERIA_MAX (WM_ZOHO_CONFIG_MAX / 2)

/* A row's key, a cell for each column of it. */
struct key {
	struct wm_zoho_cell	*cells;
};

static void
key_free(struct key *k)
{
	free(k->cells);
}

static enum wm_status
make_key(const struct wm_zoho_sink *s, const struct wm_row *row, struct key *k, struct wm_error *err)
{
	enum wm_status st = WM_OK;

	if (k->cells == NULL)
		k->cells = calloc(s->view->nkeys, sizeof(*k->cells));
	if (k->cells == NULL)
		return wm_oom(err, "a key");
	for (unsigned i = 0; st == WM_OK && i < s->view->nkeys; i++)
		st = wm_zoho_sink_cell(s, s->view->keys[i], &row->values[s->view->keys[i]], &k->cells[i], err);
	return st;
}

static enum wm_status
call(struct wm_zoho_sink *s, const char *method, struct wm_buf *config, double units, const char *what,
    struct wm_zoho_answer *ret, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *path = wm_asprintf("/workspaces/%s/views/%s/rows", s->z->account->workspace, s->to->id);
	const struct wm_zoho_call c = { .what = what, .method = method, .class = WM_ZOHO_DML, .path = path,
		.config = config->data, .units = units, .no_wait = atomic_load(&s->to->lost) != 0 };
	enum wm_status st;

	if (path == NULL || config->failed)
		return wm_oom(err, "a request");
	st = wm_zoho_call(s->z, &c, ret, err);
	if (st != WM_OK)
		return st;
	if (ret->trouble != WM_ZOHO_FINE)
		return wm_zoho_sink_fail(s, ret, what, err);
	s->units += units;
	return WM_OK;
}

/* ---- deletes ---- */

enum wm_status
wm_zoho_rows_empty(struct wm_zoho_sink *s, struct wm_error *err)
{
	WM_AUTO(wm_zoho_answer_free) struct wm_zoho_answer a = { 0 };
	WM_AUTO(wm_buf_free) struct wm_buf config;

	wm_buf_init(&config, WM_ZOHO_CONFIG_MAX);
	wm_buf_adds(&config, "{\"deleteAllRows\":true}");
	return call(s, "DELETE", &config, s->z->price.delete, "could not empty it", &a, err);
}

static enum wm_status
delete_listed(struct wm_zoho_sink *s, struct wm_zoho_criteria *list, struct wm_error *err)
{
	WM_AUTO(wm_zoho_answer_free) struct wm_zoho_answer a = { 0 };
	WM_AUTO(wm_buf_free) struct wm_buf config;
	const char *text = wm_zoho_criteria_end(list);
	enum wm_status st;

	wm_buf_init(&config, 2 * WM_ZOHO_CONFIG_MAX);
	if (list->text.failed)
		return wm_oom(err, "a list of keys");
	wm_buf_adds(&config, "{\"criteria\":");
	(void)wm_buf_add_json(&config, text, list->text.len);
	wm_buf_addc(&config, '}');
	st = call(s, "DELETE", &config, s->z->price.delete * (double)list->n, "could not delete rows", &a, err);
	if (st == WM_OK)
		s->rows += list->n;
	wm_zoho_criteria_reset(list);
	return st;
}

enum wm_status
wm_zoho_rows_delete(struct wm_zoho_sink *s, const struct wm_row *rows, size_t n, struct wm_error *err)
{
	WM_AUTO(wm_zoho_criteria_free) struct wm_zoho_criteria list;
	WM_AUTO(key_free) struct key key = { 0 };
	enum wm_status st = WM_OK;

	wm_zoho_criteria_init(&list, 2 * WM_ZOHO_CONFIG_MAX, s->view->nkeys, s->key_names, s->key_types);
	for (size_t i = 0; st == WM_OK && i < n; i++) {
		if (rows[i].op != WM_ROW_DELETE)
			continue;
		st = make_key(s, &rows[i], &key, err);
		/* A row whose key Zoho cannot have has never been there. */
		if (st == WM_REJECT) {
			st = WM_OK;
			continue;
		}
		if (st == WM_OK)
			(void)wm_zoho_criteria_add(&list, key.cells);
		if (st == WM_OK && (list.n >= KEYS_MAX || list.text.len > CRITERIA_MAX))
			st = delete_listed(s, &list, err);
	}
	return st == WM_OK && list.n > 0 ? delete_listed(s, &list, err) : st;
}

/* ---- updates ---- */

/* The values of a row that are to be written, and how dates among them are to be read. */
static enum wm_status
add_columns(struct wm_zoho_sink *s, const struct wm_row *row, struct wm_buf *config, struct wm_error *err)
{
	bool any = false;

	wm_buf_adds(config, "{\"columns\":{");
	for (unsigned i = 0; i < s->view->ncolumns; i++) {
		struct wm_zoho_cell cell;
		enum wm_status st;

		if (row->values[i].kind == WM_VALUE_UNCHANGED || (row->op == WM_ROW_UPDATE && s->view->columns[i].key))
			continue;
		st = wm_zoho_sink_cell(s, i, &row->values[i], &cell, err);
		if (st != WM_OK)
			return st;
		wm_buf_adds(config, any ? "," : "");
		any = true;
		(void)wm_buf_add_json(config, s->columns[i]->name, strlen(s->columns[i]->name));
		wm_buf_addc(config, ':');
		(void)wm_buf_add_json(config, cell.data != NULL ? cell.data : "", cell.len);
	}
	wm_buf_adds(config, "},\"dateFormat\":\"yyyy-MM-dd HH:mm:ss\",\"columnDateFormat\":{");
	any = false;
	for (unsigned i = 0; i < s->view->ncolumns; i++) {
		if (s->columns[i]->type != WM_ZOHO_DATE_AS_DATE)
			continue;
		wm_buf_adds(config, any ? "," : "");
		any = true;
		(void)wm_buf_add_json(config, s->columns[i]->name, strlen(s->columns[i]->name));
		wm_buf_adds(config, ":\"yyyy-MM-dd\"");
	}
	wm_buf_adds(config, "}");
	return WM_OK;
}

static enum wm_status
put(struct wm_zoho_sink *s, const struct wm_row *row, struct wm_zoho_criteria *list, struct wm_error *err)
{
	WM_AUTO(wm_zoho_answer_free) struct wm_zoho_answer a = { 0 };
	WM_AUTO(wm_buf_free) struct wm_buf config;
	const char *criteria = wm_zoho_criteria_end(list);
	bool upsert = row->op == WM_ROW_UPSERT;
	enum wm_status st;

	wm_buf_init(&config, 2 * WM_ZOHO_CONFIG_MAX);
	st = add_columns(s, row, &config, err);
	if (st != WM_OK)
		return st;
	wm_buf_adds(&config, ",\"criteria\":");
	(void)wm_buf_add_json(&config, criteria, list->text.len);
	wm_buf_adds(&config, upsert ? ",\"addIfNotExist\":true}" : "}");
	st = call(s, "PUT", &config, s->z->price.row * (double)list->n, "could not write a row", &a, err);
	if (st != WM_OK)
		return st;
	s->rows += list->n;
	if (cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(a.data, "invalidColumns")) > 0)
		return wm_zoho_sink_stale(s, err);
	/* Of an update nothing has to be there. */
	if (upsert && wm_zoho_number(a.data, "updatedRows", 0) < 1 &&
	    !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(a.data, "newRowAdded")))
		return wm_fail(err, WM_RETRY,
		    "target \"%s\": view \"%s\": Zoho says that it neither changed nor added the row",
		    s->z->base.name, s->view->name);
	return WM_OK;
}

static bool
knows_something(const struct wm_view *view, const struct wm_row *row)
{
	for (unsigned i = 0; i < view->ncolumns; i++)
		if (!view->columns[i].key && row->values[i].kind != WM_VALUE_UNCHANGED)
			return true;
	return false;
}

/* Whether two updates set the same columns to the same values. */
static bool
sets_the_same(const struct wm_view *view, const struct wm_row *a, const struct wm_row *b)
{
	for (unsigned i = 0; i < view->ncolumns; i++)
		if (!view->columns[i].key && !wm_value_equal(&a->values[i], &b->values[i]))
			return false;
	return true;
}

enum wm_status
wm_zoho_rows_update(struct wm_zoho_sink *s, const struct wm_row *rows, size_t n, struct wm_error *err)
{
	WM_AUTO(wm_zoho_criteria_free) struct wm_zoho_criteria list;
	WM_AUTO(key_free) struct key key = { 0 };
	const struct wm_row *of = NULL;		/* what the list's rows are set to */
	enum wm_status st = WM_OK;

	wm_zoho_criteria_init(&list, 2 * WM_ZOHO_CONFIG_MAX, s->view->nkeys, s->key_names, s->key_types);
	for (size_t i = 0; st == WM_OK && i < n; i++) {
		if (rows[i].op != WM_ROW_UPDATE || !knows_something(s->view, &rows[i]))
			continue;
		if (rows[i].old_key != NULL)
			return wm_fail(err, WM_FATAL, "target \"%s\" takes no change of key without all values",
			    s->z->base.name);
		if (list.n > 0 && (!sets_the_same(s->view, of, &rows[i]) || list.n >= KEYS_MAX ||
		    list.text.len > CRITERIA_MAX / 2)) {
			st = put(s, of, &list, err);
			wm_zoho_criteria_reset(&list);
		}
		if (st == WM_OK)
			st = make_key(s, &rows[i], &key, err);
		if (st == WM_REJECT)
			s->bad = i;
		if (st == WM_OK)
			(void)wm_zoho_criteria_add(&list, key.cells);
		of = &rows[i];
	}
	return st == WM_OK && list.n > 0 ? put(s, of, &list, err) : st;
}

enum wm_status
wm_zoho_rows_upsert(struct wm_zoho_sink *s, const struct wm_row *rows, size_t n, struct wm_error *err)
{
	WM_AUTO(wm_zoho_criteria_free) struct wm_zoho_criteria list;
	WM_AUTO(key_free) struct key key = { 0 };
	enum wm_status st = WM_OK;

	wm_zoho_criteria_init(&list, 2 * WM_ZOHO_CONFIG_MAX, s->view->nkeys, s->key_names, s->key_types);
	for (size_t i = 0; st == WM_OK && i < n; i++) {
		if (rows[i].op != WM_ROW_UPSERT)
			continue;
		st = make_key(s, &rows[i], &key, err);
		if (st == WM_OK)
			(void)wm_zoho_criteria_add(&list, key.cells);
		if (st == WM_OK)
			st = put(s, &rows[i], &list, err);
		if (st == WM_REJECT)
			s->bad = i;
		wm_zoho_criteria_reset(&list);
	}
	return st;
}
