/* SPDX-License-Identifier: PostgreSQL */
/*
 * ensure.c - a view is there with all its columns, or what keeps it from being written.
 */
#include <string.h>
#include <strings.h>

#include "criteria.h"
#include "walmill/strutil.h"
#include "zoho.h"

/* What no table of Zoho's could change about the rule's view. */
static enum wm_status
judge_view(const struct wm_zoho *z, const struct wm_view *view, struct wm_error *err)
{
	if (view->nkeys == 0)
		return wm_fail(err, WM_REJECT,
		    "target \"%s\": view \"%s\" has no key: rows that are sent twice, as after a "
		    "lost answer, would be there twice; give the rule a \"key\"",
		    z->base.name, view->name);
	for (unsigned i = 0; i < view->ncolumns; i++) {
		const char *name = view->columns[i].name;

		if (view->columns[i].key && !wm_zoho_criteria_name(name))
			return wm_fail(err, WM_REJECT,
			    "target \"%s\": view \"%s\": key column \"%s\" has a double quote in its "
			    "name, which no criterion can say; rename it",
			    z->base.name, view->name, name);
		if (!wm_zoho_type_known(&view->columns[i]))
			return wm_fail(err, WM_REJECT,
			    "target \"%s\": view \"%s\": the \"type\" of column \"%s\" is none of "
			    "Zoho's (PLAIN, NUMBER, ...) and none of PostgreSQL's",
			    z->base.name, view->name, name);
		for (unsigned k = 0; k < i; k++)
			if (strcasecmp(view->columns[k].name, name) == 0)
				return wm_fail(err, WM_REJECT,
				    "target \"%s\": view \"%s\": columns \"%s\" and \"%s\" are one to "
				    "Zoho, which does not tell upper from lower case; rename one",
				    z->base.name, view->name, view->columns[k].name, name);
	}
	return WM_OK;
}

static bool
is_whole(const struct wm_zoho_view *v, const struct wm_view *view)
{
	for (unsigned i = 0; i < view->ncolumns; i++)
		if (wm_zoho_view_column(v, view->columns[i].name) == NULL)
			return false;
	return v->id != NULL;
}

/* The first column that cannot take the source's values, or NULL. */
static const struct wm_view_column *
find_misfit(const struct wm_zoho_view *v, const struct wm_view *view, const struct wm_zoho_column **ret_have)
{
	for (unsigned i = 0; i < view->ncolumns; i++) {
		const struct wm_zoho_column *have = wm_zoho_view_column(v, view->columns[i].name);

		if (have == NULL || have->type == WM_ZOHO_UNKNOWN ||
		    wm_zoho_type_takes(have->type, wm_zoho_type_for(&view->columns[i])))
			continue;
		*ret_have = have;
		return &view->columns[i];
	}
	return NULL;
}

static enum wm_status
judge_columns(const struct wm_zoho *z, const struct wm_zoho_view *v, const struct wm_view *view, struct wm_error *err)
{
	const struct wm_zoho_column *have;
	const struct wm_view_column *column = find_misfit(v, view, &have);

	if (column == NULL)
		return WM_OK;
	return wm_fail(err, WM_REJECT,
	    "target \"%s\": view \"%s\": column \"%s\" is %s at Zoho and would have to be %s; "
	    "change its type there, or give it the \"type\" that it has in the rule",
	    z->base.name, view->name, column->name, wm_zoho_type_name(have->type),
	    wm_zoho_type_name(wm_zoho_type_for(column)));
}

/* A table made meanwhile, or by a call whose answer was lost, goes by the name that is taken. */
static enum wm_status
create(struct wm_zoho *z, struct wm_zoho_view *v, const struct wm_view *view, enum wm_found *found,
    struct wm_error *err)
{
	struct wm_error why;
	enum wm_status st = wm_zoho_view_create(z, v, view, &why);

	*found = WM_FOUND_NONE;
	if (st != WM_OK && strcmp(why.code, "zoho:7111") == 0) {
		st = wm_zoho_view_read(z, v, err);
		if (st != WM_OK || v->id != NULL)
			return st;
	}
	if (st != WM_OK && err != NULL)
		*err = why;
	return st;
}

static enum wm_status
ensure_locked(struct wm_zoho *z, struct wm_zoho_view *v, const struct wm_view *view, enum wm_found *found,
    struct wm_error *err)
{
	enum wm_status st = WM_OK;

	*found = WM_FOUND_ALL;
	if (!is_whole(v, view))
		st = wm_zoho_view_read(z, v, err);
	if (st == WM_OK && v->id == NULL)
		st = create(z, v, view, found, err);
	if (st == WM_OK)
		st = judge_columns(z, v, view, err);
	if (st != WM_OK || is_whole(v, view))
		return st;
	if (*found == WM_FOUND_ALL)
		*found = WM_FOUND_SOME;
	st = wm_zoho_view_extend(z, v, view, err);
	if (st != WM_OK)
		wm_zoho_view_forget(v);
	return st;
}

/* A view that does not exist, or may not be looked at, is its rule's trouble alone. */
static enum wm_status
narrow(enum wm_status st, struct wm_error *err)
{
	static const char *const codes[] = { "zoho:7104", "zoho:7105", "zoho:7106", "zoho:7301",
		"zoho:7319", "zoho:7397", "zoho:7111", "zoho:7126", "zoho:7127", "zoho:7128",
		"zoho:7146", "zoho:7478" };

	for (size_t i = 0; st == WM_FATAL && err != NULL && i < WM_ARRAY_SIZE(codes); i++)
		if (strcmp(err->code, codes[i]) == 0)
			return err->status = WM_REJECT;
	return st;
}

enum wm_status
wm_zoho_ensure(struct wm_zoho *z, const struct wm_view *view, enum wm_found *ret_found, struct wm_error *err)
{
	enum wm_status st = judge_view(z, view, err);
	struct wm_zoho_view *v;

	if (st != WM_OK)
		return st;
	v = wm_zoho_view_of(z->account, view->name);
	if (v == NULL)
		return wm_oom(err, "a view");
	pthread_mutex_lock(&v->writing);
	st = narrow(ensure_locked(z, v, view, ret_found, err), err);
	pthread_mutex_unlock(&v->writing);
	return st;
}

/* ---- preflight ---- */

static void
compare_columns(const struct wm_zoho_view *v, const struct wm_view *view, const char *subject,
    struct wm_diags *findings)
{
	for (unsigned i = 0; i < view->ncolumns; i++) {
		const struct wm_view_column *column = &view->columns[i];
		enum wm_zoho_type wanted = wm_zoho_type_for(column);
		const struct wm_zoho_column *have = wm_zoho_view_column(v, column->name);

		if (have == NULL)
			wm_diags_add(findings, WM_NOTE, subject, NULL,
			    "column \"%s\" will be added as %s", column->name,
			    wm_zoho_type_name(wanted));
		else if (have->type == WM_ZOHO_UNKNOWN)
			wm_diags_add(findings, WM_WARNING, subject, NULL,
			    "column \"%s\" has a type that walmill does not know; its "
			    "values are sent as text",
			    column->name);
		else if (!wm_zoho_type_takes(have->type, wanted))
			wm_diags_add(findings, WM_ERROR, subject,
			    "change its type there, or give it the \"type\" that it has in "
			    "the rule",
			    "column \"%s\" is %s and would have to be %s", column->name,
			    wm_zoho_type_name(have->type), wm_zoho_type_name(wanted));
		else if (have->type != wanted)
			wm_diags_add(findings, WM_NOTE, subject, NULL, "column \"%s\" is %s, walmill would make it %s",
			    column->name, wm_zoho_type_name(have->type), wm_zoho_type_name(wanted));
	}
}

enum wm_status
wm_zoho_preflight(struct wm_zoho *z, const struct wm_view *view, struct wm_diags *findings, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *subject = wm_asprintf("view \"%s\" at target \"%s\"", view->name, z->base.name);
	struct wm_zoho_view *v = wm_zoho_view_of(z->account, view->name);
	struct wm_error why;
	enum wm_status st;

	if (subject == NULL || v == NULL)
		return wm_oom(err, "a view");
	if (judge_view(z, view, &why) != WM_OK) {
		wm_diags_add(findings, WM_ERROR, subject, NULL, "%s", why.text);
		return WM_OK;
	}
	pthread_mutex_lock(&v->writing);
	st = wm_zoho_view_read(z, v, err);
	if (st == WM_OK && v->id == NULL)
		wm_diags_add(findings, WM_NOTE, subject, NULL,
		    "table \"%s\" will be created in workspace %s", view->name,
		    z->account->workspace);
	else if (st == WM_OK)
		compare_columns(v, view, subject, findings);
	if (st == WM_OK)
		st = wm_zoho_probe(z, v, subject, findings, err);
	pthread_mutex_unlock(&v->writing);
	return st;
}
