/* SPDX-License-Identifier: PostgreSQL */
/*
 * key.c - which columns identify a row, in the view and at the source.
 *
 * An update or delete names its row by the replica identity alone, so all that the view's key
 * is made of has to be part of that.
 */
#include <stdlib.h>
#include <string.h>

#include "field.h"
#include "plan.h"
#include "rule.h"
#include "walmill/buf.h"

#define NAME_MAX_BYTES 1024

/* As SQL takes it: plain when it can be, else quoted. */
static void
add_ident(struct wm_buf *b, const char *name)
{
	if (strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789") == strlen(name) &&
	    !(name[0] >= '0' && name[0] <= '9')) {
		wm_buf_adds(b, name);
		return;
	}
	wm_buf_addc(b, '"');
	for (; *name != '\0'; name++) {
		if (*name == '"')
			wm_buf_addc(b, '"');
		wm_buf_addc(b, *name);
	}
	wm_buf_addc(b, '"');
}

static void
add_table(struct wm_buf *b, const struct wm_relation *rel)
{
	wm_buf_init(b, NAME_MAX_BYTES);
	add_ident(b, rel->schema);
	wm_buf_addc(b, '.');
	add_ident(b, rel->name);
}

static bool
follows_rows(const struct wm_rule *rule)
{
	return (rule->events & (WM_EVENT_UPDATE | WM_EVENT_DELETE)) != 0;
}

static bool
has_identity(const struct wm_relation *rel)
{
	for (unsigned i = 0; i < rel->ncolumns; i++) {
		if (rel->columns[i].identity)
			return true;
	}
	return false;
}

static enum wm_status
no_identity(const struct wm_plan *plan, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf table;

	add_table(&table, plan->rel);
	return wm_fail(err, WM_REJECT,
	    "rule \"%s\": table %s has no replica identity, so its updates and deletes cannot be "
	    "followed: add a primary key, or ALTER TABLE %s REPLICA IDENTITY USING INDEX (of a unique index) or FULL; or take "
	    "its inserts only, with \"mode: append\" and \"events: [insert]\"",
	    plan->rule->name, table.data, table.data);
}

static enum wm_status
no_key(const struct wm_plan *plan, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf table;

	add_table(&table, plan->rel);
	return wm_fail(err, WM_REJECT,
	    "rule \"%s\": table %s has no primary key to identify its rows (a deferrable one does not: rows may share a "
	    "key within a transaction): name columns in \"key\" that are unique at every moment, or add a primary key",
	    plan->rule->name, table.data);
}

/* ---- finding ---- */

/* The view's column that a key calls name: by the source's name, else by its own.  -1: none. */
static int
find_column(const struct wm_plan *plan, const char *name)
{
	const struct wm_view *view = &plan->view;

	for (unsigned i = 0; i < view->ncolumns; i++) {
		const struct wm_out *out = &plan->outs[i];

		if ((out->kind == WM_OUT_COLUMN && strcmp(plan->rel->columns[out->index].name, name) == 0) ||
		    (out->kind == WM_OUT_EXPR && strcmp(view->columns[i].name, name) == 0))
			return (int)i;
	}
	for (unsigned i = 0; i < view->ncolumns; i++) {
		if (plan->outs[i].kind == WM_OUT_COLUMN && strcmp(view->columns[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

static enum wm_status
missing_key(const struct wm_plan *plan, const char *name, struct wm_error *err)
{
	const struct wm_relation *rel = plan->rel;
	char hint[WM_HINT_SIZE];

	if (wm_relation_column(rel, name) >= 0)
		return wm_fail(err, WM_REJECT,
		    "rule \"%s\": key column \"%s\" of table %s.%s is left out by \"columns\": take it in, "
		    "or name another \"key\"",
		    plan->rule->name, name, rel->schema, rel->name);
	return wm_fail(err, WM_REJECT, "rule \"%s\": key: table %s.%s has no column \"%s\"%s",
	    plan->rule->name, rel->schema, rel->name, name, wm_hint_column(name, rel, hint));
}

enum wm_status
wm_plan_check_key_names(const struct wm_plan *plan, struct wm_error *err)
{
	const struct wm_names *key = &plan->rule->key;

	for (size_t i = 0; i < key->n; i++) {
		if (find_column(plan, key->list[i]) < 0 && wm_relation_column(plan->rel, key->list[i]) < 0)
			return missing_key(plan, key->list[i], err);
	}
	return WM_OK;
}

/* A mask or value table may make two keys one, and rows would overwrite each other. */
static enum wm_status
check_dress(const struct wm_plan *plan, unsigned column, struct wm_error *err)
{
	const struct wm_out *out = &plan->outs[column];
	const char *what = out->lookup != NULL ? "translated" : "masked";

	if (out->lookup == NULL && (out->mask.kind == WM_MASK_NONE || out->mask.kind == WM_MASK_SHA256))
		return WM_OK;
	return wm_fail(err, WM_REJECT,
	    "rule \"%s\": key column \"%s\" is %s, so that different rows may get the same key: "
	    "use the mask sha256, or name another \"key\"",
	    plan->rule->name, plan->view.columns[column].name, what);
}

static enum wm_status
add_key(struct wm_plan *plan, const char *name, struct wm_error *err)
{
	struct wm_view *view = &plan->view;
	int column = find_column(plan, name);
	const struct wm_out *out;
	enum wm_status status;

	if (column < 0)
		return missing_key(plan, name, err);
	if (view->columns[column].key)
		return wm_fail(err, WM_REJECT, "rule \"%s\": key names column \"%s\" twice", plan->rule->name,
		    view->columns[column].name);
	status = check_dress(plan, (unsigned)column, err);
	if (status != WM_OK)
		return status;
	view->columns[column].key = true;
	view->keys[view->nkeys++] = (unsigned)column;
	out = &plan->outs[column];
	if (out->kind == WM_OUT_EXPR) {
		unsigned n;
		const unsigned *reads = wm_exprs_reads(plan->exprs, out->index, &n);

		plan->key_computed = true;
		while (n > 0)
			plan->key_reads[reads[--n]] = true;
	} else {
		plan->key_reads[out->index] = true;
	}
	return WM_OK;
}

/* Whether a column belongs to the key that a rule without `key:` has. */
static bool
is_default_key(const struct wm_relation *rel, unsigned column)
{
	return rel->identity == WM_IDENTITY_FULL ? rel->columns[column].primary : rel->columns[column].identity;
}

static enum wm_status
add_default_keys(struct wm_plan *plan, struct wm_error *err)
{
	for (unsigned i = 0; i < plan->rel->ncolumns; i++) {
		enum wm_status status = WM_OK;

		if (is_default_key(plan->rel, i))
			status = add_key(plan, plan->rel->columns[i].name, err);
		if (status != WM_OK)
			return status;
	}
	return plan->view.nkeys > 0 ? WM_OK : no_key(plan, err);
}

/* ---- judging ---- */

static enum wm_status
not_in_identity(const struct wm_plan *plan, unsigned column, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf table;

	add_table(&table, plan->rel);
	return wm_fail(err, WM_REJECT,
	    "rule \"%s\": key column \"%s\" is not part of the replica identity of table %s, so "
	    "that deletes and changed keys do not tell which row they mean: ALTER TABLE %s REPLICA IDENTITY FULL (or USING "
	    "INDEX, of a unique index over the key), or name the identity's columns in \"key\"",
	    plan->rule->name, plan->rel->columns[column].name, table.data, table.data);
}

static enum wm_status
check_identity(const struct wm_plan *plan, struct wm_error *err)
{
	for (unsigned i = 0; i < plan->rel->ncolumns; i++) {
		if (plan->key_reads[i] && !plan->rel->columns[i].identity)
			return not_in_identity(plan, i, err);
	}
	return WM_OK;
}

/* What a read-back looks a row up by: what the view's key is made of. */
static void
find_source_key(struct wm_plan *plan)
{
	const struct wm_rule *rule = plan->rule;

	for (unsigned i = 0; i < plan->rel->ncolumns; i++) {
		bool in = plan->key_reads[i];

		if (rule->mode == WM_MODE_APPEND)
			in = rule->key.n > 0 ?
			    wm_names_has(&rule->key, plan->rel->columns[i].name) :
			    is_default_key(plan->rel, i);
		if (!in)
			continue;
		plan->source_key[plan->nsource_key++] = i;
		plan->needed[i] = true;
	}
}

static enum wm_status
upsert_key(struct wm_plan *plan, struct wm_error *err)
{
	const struct wm_names *key = &plan->rule->key;
	enum wm_status status = WM_OK;

	for (size_t i = 0; i < key->n && status == WM_OK; i++)
		status = add_key(plan, key->list[i], err);
	if (key->n == 0)
		status = add_default_keys(plan, err);
	if (status == WM_OK && follows_rows(plan->rule))
		status = check_identity(plan, err);
	return status;
}

static void
append_key(struct wm_plan *plan)
{
	for (unsigned i = 0; i < plan->view.ncolumns; i++) {
		if (plan->outs[i].kind != WM_OUT_LSN && plan->outs[i].kind != WM_OUT_SEQ)
			continue;
		plan->view.columns[i].key = true;
		plan->view.keys[plan->view.nkeys++] = i;
	}
}

enum wm_status
wm_plan_key(struct wm_plan *plan, struct wm_error *err)
{
	enum wm_status status;

	plan->view.keys = calloc(plan->view.ncolumns + 1, sizeof(*plan->view.keys));
	plan->key_reads = calloc(plan->rel->ncolumns + 1, sizeof(*plan->key_reads));
	plan->source_key = calloc(plan->rel->ncolumns + 1, sizeof(*plan->source_key));
	if (plan->view.keys == NULL || plan->key_reads == NULL || plan->source_key == NULL)
		return wm_oom(err, "a view's key");
	status = wm_plan_check_key_names(plan, err);
	if (status != WM_OK)
		return status;
	if (follows_rows(plan->rule) && !has_identity(plan->rel))
		return no_identity(plan, err);
	if (plan->rule->mode == WM_MODE_APPEND)
		append_key(plan);
	else
		status = upsert_key(plan, err);
	if (status == WM_OK)
		find_source_key(plan);
	return status;
}
