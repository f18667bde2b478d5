/* SPDX-License-Identifier: PostgreSQL */
/*
 * layout.c - the columns of a rule's view, for one relation.
 *
 * Columns keep the source's order; a computed one takes the place of the source's column of
 * the same name, other computed ones follow.
 */
#include <stdlib.h>
#include <string.h>

#include "field.h"
#include "plan.h"
#include "rule.h"
#include "walmill/strutil.h"

#define OWN_COLUMNS 4			/* most that walmill itself adds to a view */

/* ---- names ---- */

struct naming {
	const struct wm_rule		*rule;
	const struct wm_relation	*rel;
	bool				 strict;
};

/* computed: the name may be that of a computed column. */
static enum wm_status
check_name(const struct naming *n, const char *section, const char *name, bool computed, struct wm_error *err)
{
	char hint[WM_HINT_SIZE];

	if (wm_relation_column(n->rel, name) >= 0 || (computed && wm_settings_find(&n->rule->compute, name) != NULL))
		return WM_OK;
	/* What is left out need not be published. */
	if (!n->strict && !wm_rule_takes_column(n->rule, name))
		return WM_OK;
	wm_hint_column(name, n->rel, hint);
	/* Of many tables some lack the column; a name nearly right is a mistake all the same. */
	if (wm_rule_is_wide(n->rule) && hint[0] == '\0')
		return WM_OK;
	return wm_fail(err, WM_REJECT,
	    "rule \"%s\": columns.%s: table %s.%s has no column \"%s\"%s", n->rule->name, section,
	    n->rel->schema, n->rel->name, name, hint);
}

static enum wm_status
check_names(const struct naming *n, const char *section, const struct wm_names *names, struct wm_error *err)
{
	enum wm_status status = WM_OK;

	for (size_t i = 0; i < names->n && status == WM_OK; i++)
		status = check_name(n, section, names->list[i], false, err);
	return status;
}

static enum wm_status
check_settings(const struct naming *n, const char *section, const struct wm_settings *settings, bool computed,
    struct wm_error *err)
{
	enum wm_status status = WM_OK;

	for (size_t i = 0; i < settings->n && status == WM_OK; i++)
		status = check_name(n, section, settings->list[i].column, computed, err);
	return status;
}

static enum wm_status
check_all_names(const struct wm_plan *plan, bool strict, struct wm_error *err)
{
	const struct wm_rule *rule = plan->rule;
	const struct naming n = { .rule = rule, .rel = plan->rel, .strict = strict };
	enum wm_status status = check_names(&n, "include", &rule->include, err);

	if (status == WM_OK)
		status = check_names(&n, "exclude", &rule->exclude, err);
	if (status == WM_OK)
		status = check_settings(&n, "rename", &rule->rename, false, err);
	if (status == WM_OK)
		status = check_settings(&n, "mask", &rule->mask, true, err);
	if (status == WM_OK)
		status = check_settings(&n, "check", &rule->check, true, err);
	if (status == WM_OK)
		status = check_settings(&n, "type", &rule->type, true, err);
	for (size_t i = 0; i < rule->ntranslate && status == WM_OK; i++)
		status = check_name(&n, "translate", rule->translate[i].column, true, err);
	return status;
}

/* ---- expressions ---- */

static bool
add_expr(struct wm_expr *list, size_t *n, const char *sql, const char *section, const char *column,
    enum wm_expr_use use)
{
	list[*n] = (struct wm_expr){
		.sql = strdup(sql),
		.what = column != NULL ? wm_asprintf("%s of \"%s\"", section, column) : strdup(section),
		.use = use,
	};
	(*n)++;
	return list[*n - 1].sql != NULL && list[*n - 1].what != NULL;
}

/* The check of a column that a table of many does not have. */
static bool
is_idle_check(const struct wm_plan *plan, const char *column)
{
	return wm_rule_is_wide(plan->rule) && wm_relation_column(plan->rel, column) < 0 &&
	    wm_rule_takes_column(plan->rule, column) && wm_settings_find(&plan->rule->compute, column) == NULL;
}

static bool
list_exprs(struct wm_plan *plan, struct wm_expr *list, size_t *n)
{
	const struct wm_rule *rule = plan->rule;
	bool fits = true;

	plan->has_where = rule->where != NULL;
	if (plan->has_where)
		fits &= add_expr(list, n, rule->where, "where", NULL, WM_EXPR_TRUE);
	for (size_t i = 0; i < rule->check.n; i++) {
		const struct wm_setting *s = &rule->check.list[i];

		if (is_idle_check(plan, s->column))
			continue;
		fits &= add_expr(list, n, s->value, "columns.check", s->column, WM_EXPR_FALSE);
		plan->nchecks++;
	}
	for (size_t i = 0; i < rule->compute.n; i++)
		fits &= add_expr(list, n, rule->compute.list[i].value, "columns.compute", rule->compute.list[i].column,
		    WM_EXPR_VALUE);
	return fits;
}

static enum wm_status
make_exprs(struct wm_plan *plan, struct wm_error *err)
{
	size_t max = 1 + plan->rule->check.n + plan->rule->compute.n, n = 0;
	WM_AUTO(wm_freep) struct wm_expr *list = calloc(max, sizeof(*list));
	enum wm_status status = WM_OK;

	plan->results = calloc(max, sizeof(*plan->results));
	plan->unknown = calloc(max, sizeof(*plan->unknown));
	if (list == NULL || plan->results == NULL || plan->unknown == NULL)
		return wm_oom(err, "a rule's expressions");
	if (!list_exprs(plan, list, &n))
		status = wm_oom(err, "a rule's expressions");
	else if (n > 0)
		status = wm_exprs_compile(plan->rel, list, n, &plan->exprs, err);
	plan->nexprs = n;
	for (size_t i = 0; i < n; i++) {
		free(list[i].sql);
		free(list[i].what);
	}
	if (status != WM_OK) {
		wm_error_prefix(err, "rule \"%s\"", plan->rule->name);
		return status;
	}
	return WM_OK;
}

/* ---- columns ---- */

/* Fills the next column of the view; type is the class of its values before masks and value tables. */
static enum wm_status
add_column(struct wm_plan *plan, const char *name, const struct wm_type *type, enum wm_out_kind kind, unsigned index,
    struct wm_error *err)
{
	struct wm_view_column *c = &plan->view.columns[plan->view.ncolumns];

	for (unsigned i = 0; i < plan->view.ncolumns; i++) {
		if (strcmp(plan->view.columns[i].name, name) == 0)
			return wm_fail(err, WM_REJECT,
			    "rule \"%s\": two columns of view \"%s\" are called \"%s\": use columns.rename",
			    plan->rule->name, plan->view.name, name);
	}
	c->name = strdup(name);
	if (c->name == NULL)
		return wm_oom(err, "a view's columns");
	c->type = *type;
	plan->outs[plan->view.ncolumns++] = (struct wm_out){ .kind = kind, .index = index };
	return WM_OK;
}

static enum wm_status
add_own_column(struct wm_plan *plan, const char *name, const char *type_name, enum wm_out_kind kind,
    struct wm_error *err)
{
	struct wm_type type;

	wm_type_named(type_name, &type);
	return add_column(plan, name, &type, kind, 0, err);
}

static const struct wm_translate *
find_translate(const struct wm_rule *rule, const char *column)
{
	for (size_t i = 0; i < rule->ntranslate; i++) {
		if (strcmp(rule->translate[i].column, column) == 0)
			return &rule->translate[i];
	}
	return NULL;
}

static bool
is_number(const struct wm_type *type)
{
	return type->class == WM_TYPE_INT || type->class == WM_TYPE_NUMERIC || type->class == WM_TYPE_FLOAT;
}

/* Mask, value table and type of the column added last, which the rule's settings call name. */
static enum wm_status
dress_column(struct wm_plan *plan, const char *name, struct wm_error *err)
{
	struct wm_view_column *c = &plan->view.columns[plan->view.ncolumns - 1];
	struct wm_out *out = &plan->outs[plan->view.ncolumns - 1];
	const struct wm_setting *mask = wm_settings_find(&plan->rule->mask, name);
	const struct wm_setting *type = wm_settings_find(&plan->rule->type, name);
	const struct wm_translate *table = find_translate(plan->rule, name);

	const bool boolean = c->type.class == WM_TYPE_BOOL;

	out->padded = (table != NULL || mask != NULL) && wm_type_is_padded(&c->type);
	if (table != NULL) {
		out->lookup = wm_lookup_create(table, boolean);
		if (out->lookup == NULL)
			return wm_oom(err, "a value table");
	}
	if (mask != NULL && !wm_mask_parse(mask->value, &out->mask))
		return wm_fail(err, WM_REJECT, "rule \"%s\": unknown mask of \"%s\"", plan->rule->name, name);
	if (table != NULL || (mask != NULL && out->mask.kind != WM_MASK_NULL))
		wm_type_named("text", &c->type);
	if (type != NULL) {
		wm_type_named(type->value, &c->type);
		c->override = strdup(type->value);
		if (c->override == NULL)
			return wm_oom(err, "a view's columns");
		out->boolean = out->kind == WM_OUT_EXPR && c->type.class == WM_TYPE_BOOL;
		out->number = boolean && table == NULL && mask == NULL && is_number(&c->type);
	}
	out->dressed = out->boolean || out->number || table != NULL || mask != NULL;
	return WM_OK;
}

static enum wm_status
add_computed(struct wm_plan *plan, size_t i, struct wm_error *err)
{
	static const struct wm_type dynamic = {
		.typmod = -1, .class = WM_TYPE_DYNAMIC, .builtin = true, .name = "text"
	};
	const char *name = plan->rule->compute.list[i].column;
	size_t expr = plan->has_where + plan->nchecks + i;
	enum wm_status status = add_column(plan, name, &dynamic, WM_OUT_EXPR, (unsigned)expr, err);

	return status == WM_OK ? dress_column(plan, name, err) : status;
}

static enum wm_status
add_source_column(struct wm_plan *plan, unsigned i, struct wm_error *err)
{
	const struct wm_column *column = &plan->rel->columns[i];
	const struct wm_setting *rename = wm_settings_find(&plan->rule->rename, column->name);
	const struct wm_setting *compute = wm_settings_find(&plan->rule->compute, column->name);
	enum wm_status status;

	if (compute != NULL && rename == NULL)
		return add_computed(plan, (size_t)(compute - plan->rule->compute.list), err);
	status = add_column(plan, rename != NULL ? rename->value : column->name, &column->type, WM_OUT_COLUMN, i, err);
	return status == WM_OK ? dress_column(plan, column->name, err) : status;
}

static bool
has_column(const struct wm_plan *plan, const char *name)
{
	for (unsigned i = 0; i < plan->view.ncolumns; i++) {
		if (plan->outs[i].kind == WM_OUT_EXPR && strcmp(plan->view.columns[i].name, name) == 0)
			return true;
	}
	return false;
}

static enum wm_status
add_columns(struct wm_plan *plan, struct wm_error *err)
{
	const struct wm_rule *rule = plan->rule;
	enum wm_status status = WM_OK;

	if (rule->mode == WM_MODE_APPEND) {
		status = add_own_column(plan, "_walmill_lsn", "bigint", WM_OUT_LSN, err);
		if (status == WM_OK)
			status = add_own_column(plan, "_walmill_seq", "bigint", WM_OUT_SEQ, err);
		if (status == WM_OK)
			status = add_own_column(plan, "_walmill_op", "text", WM_OUT_OP, err);
		if (status == WM_OK)
			status = add_own_column(plan, "_walmill_time", "timestamp with time zone", WM_OUT_TIME, err);
	}
	for (unsigned i = 0; i < plan->rel->ncolumns && status == WM_OK; i++) {
		if (wm_rule_takes_column(rule, plan->rel->columns[i].name))
			status = add_source_column(plan, i, err);
	}
	for (size_t i = 0; i < rule->compute.n && status == WM_OK; i++) {
		if (!has_column(plan, rule->compute.list[i].column))
			status = add_computed(plan, i, err);
	}
	if (status == WM_OK && rule->mode == WM_MODE_UPSERT && rule->on_delete == WM_DELETE_SOFT)
		status = add_own_column(plan, "_walmill_deleted", "boolean", WM_OUT_DELETED, err);
	return status;
}

static void
mark_needed(struct wm_plan *plan)
{
	for (unsigned i = 0; i < plan->rel->ncolumns; i++)
		plan->needed[i] = plan->rel->columns[i].identity;
	for (unsigned i = 0; i < plan->view.ncolumns; i++) {
		if (plan->outs[i].kind == WM_OUT_COLUMN)
			plan->needed[plan->outs[i].index] = true;
	}
	for (size_t i = 0; i < plan->nexprs; i++) {
		unsigned n;
		const unsigned *reads = wm_exprs_reads(plan->exprs, i, &n);

		while (n > 0)
			plan->needed[reads[--n]] = true;
	}
}

enum wm_status
wm_plan_layout(struct wm_plan *plan, bool strict, struct wm_error *err)
{
	size_t max = plan->rel->ncolumns + plan->rule->compute.n + OWN_COLUMNS;
	enum wm_status status;

	plan->view.name = wm_rule_view_name(plan->rule, plan->rel->schema, plan->rel->name);
	plan->view.rule = strdup(plan->rule->name);
	plan->view.priority = plan->rule->priority;
	plan->view.table = wm_asprintf("%s.%s", plan->rel->schema, plan->rel->name);
	plan->view.columns = calloc(max, sizeof(*plan->view.columns));
	plan->outs = calloc(max, sizeof(*plan->outs));
	plan->needed = calloc(plan->rel->ncolumns + 1, sizeof(*plan->needed));
	if (plan->view.name == NULL || plan->view.rule == NULL || plan->view.table == NULL ||
	    plan->view.columns == NULL || plan->outs == NULL || plan->needed == NULL)
		return wm_oom(err, "a view");
	status = check_all_names(plan, strict, err);
	if (status == WM_OK)
		status = make_exprs(plan, err);
	if (status == WM_OK)
		status = add_columns(plan, err);
	if (status == WM_OK)
		mark_needed(plan);
	return status;
}
