/* SPDX-License-Identifier: PostgreSQL */
/*
 * plan.c - the life of a plan, and what can be asked of it.
 */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

static void
plan_freep(struct wm_plan **plan)
{
	wm_plan_free(*plan);
}

static enum wm_status
create(const struct wm_rule *rule, const struct wm_relation *rel, struct wm_plan **ret, struct wm_error *err)
{
	struct wm_plan *plan = calloc(1, sizeof(*plan));

	if (plan == NULL)
		return wm_oom(err, "a plan");
	plan->rule = rule;
	plan->rel = wm_relation_dup(rel);
	if (plan->rel == NULL) {
		free(plan);
		return wm_oom(err, "a plan");
	}
	*ret = plan;
	return WM_OK;
}

static enum wm_status
copy_mask_key(struct wm_plan *plan, const struct wm_plan_env *env, struct wm_error *err)
{
	bool wanted = false;

	for (unsigned i = 0; i < plan->view.ncolumns; i++)
		wanted |= plan->outs[i].mask.kind == WM_MASK_SHA256;
	if (!wanted)
		return WM_OK;
	if (env->mask_key == NULL || env->mask_key_len == 0)
		return wm_fail(err, WM_REJECT,
		    "rule \"%s\" masks with sha256, for which there is no key: set \"mask_key\"",
		    plan->rule->name);
	plan->mask_key = malloc(env->mask_key_len);
	if (plan->mask_key == NULL)
		return wm_oom(err, "a mask's key");
	memcpy(plan->mask_key, env->mask_key, env->mask_key_len);
	plan->mask_key_len = env->mask_key_len;
	return WM_OK;
}

enum wm_status
wm_plan_compile(const struct wm_rule *rule, const struct wm_relation *rel, const struct wm_plan_env *env,
    struct wm_plan **ret, struct wm_error *err)
{
	WM_AUTO(plan_freep) struct wm_plan *plan = NULL;
	enum wm_status status = create(rule, rel, &plan, err);

	if (status == WM_OK)
		status = wm_plan_layout(plan, false, err);
	if (status == WM_OK)
		status = copy_mask_key(plan, env, err);
	if (status == WM_OK)
		status = wm_plan_key(plan, err);
	if (status != WM_OK)
		return status;
	plan->view.emptied = env->emptied;
	plan->view.bare = env->bare;
	*ret = plan;
	plan = NULL;
	return WM_OK;
}

enum wm_status
wm_rule_needs(const struct wm_rule *rule, const struct wm_relation *rel, bool *ret_needed, struct wm_error *err)
{
	WM_AUTO(plan_freep) struct wm_plan *plan = NULL;
	enum wm_status status = create(rule, rel, &plan, err);

	if (status == WM_OK)
		status = wm_plan_layout(plan, true, err);
	if (status == WM_OK)
		status = wm_plan_check_key_names(plan, err);
	if (status != WM_OK)
		return status;
	for (size_t i = 0; i < rule->key.n; i++) {
		int column = wm_relation_column(rel, rule->key.list[i]);

		if (column >= 0)
			plan->needed[column] = true;
	}
	memcpy(ret_needed, plan->needed, rel->ncolumns * sizeof(*ret_needed));
	return WM_OK;
}

static void
free_view(struct wm_view *view)
{
	for (unsigned i = 0; i < view->ncolumns; i++) {
		free(view->columns[i].name);
		free(view->columns[i].override);
	}
	free(view->columns);
	free(view->keys);
	free(view->name);
	free(view->rule);
	free(view->table);
}

void
wm_plan_free(struct wm_plan *plan)
{
	if (plan == NULL)
		return;
	for (unsigned i = 0; i < plan->view.ncolumns; i++)
		wm_lookup_free(plan->outs[i].lookup);
	free_view(&plan->view);
	free(plan->outs);
	free(plan->needed);
	free(plan->key_reads);
	free(plan->source_key);
	if (plan->mask_key != NULL)
		explicit_bzero(plan->mask_key, plan->mask_key_len);
	free(plan->mask_key);
	wm_exprs_free(plan->exprs);
	free(plan->results);
	free(plan->unknown);
	wm_relation_free(plan->rel);
	free(plan);
}

const struct wm_view *
wm_plan_view(const struct wm_plan *plan)
{
	return &plan->view;
}

const struct wm_rule *
wm_plan_rule(const struct wm_plan *plan)
{
	return plan->rule;
}

const struct wm_relation *
wm_plan_relation(const struct wm_plan *plan)
{
	return plan->rel;
}

const unsigned *
wm_plan_source_key(const struct wm_plan *plan, unsigned *ret_n)
{
	*ret_n = plan->nsource_key;
	return plan->source_key;
}

/* The column of the view that holds a column of the relation as it is, or -1. */
static int
plain_column(const struct wm_plan *plan, unsigned column)
{
	for (unsigned i = 0; i < plan->view.ncolumns; i++) {
		const struct wm_out *out = &plan->outs[i];

		if (out->kind == WM_OUT_COLUMN && out->index == column && !out->dressed)
			return (int)i;
	}
	return -1;
}

bool
wm_plan_source_row(const struct wm_plan *plan, const struct wm_value *values, struct wm_arena *arena,
    struct wm_tuple *ret)
{
	struct wm_value *v = wm_arena_calloc(arena, plan->rel->ncolumns + 1, sizeof(*v));

	for (unsigned i = 0; v != NULL && i < plan->nsource_key; i++) {
		int at = plain_column(plan, plan->source_key[i]);

		if (at < 0 || values[at].kind != WM_VALUE_TEXT)
			return false;
		v[plan->source_key[i]] = values[at];
	}
	*ret = (struct wm_tuple){ .n = plan->rel->ncolumns, .values = v };
	return v != NULL && plan->nsource_key > 0;
}

const bool *
wm_plan_needed(const struct wm_plan *plan)
{
	return plan->needed;
}

bool
wm_plan_passes(const struct wm_plan *plan, bool *ret_columns, bool *ret_marked)
{
	if (plan->nexprs > 0 || plan->rule->mode != WM_MODE_UPSERT)
		return false;
	memset(ret_columns, 0, plan->rel->ncolumns * sizeof(*ret_columns));
	*ret_marked = false;
	for (unsigned i = 0; i < plan->view.ncolumns; i++) {
		const struct wm_out *out = &plan->outs[i];

		if (out->dressed || *ret_marked)
			return false;
		if (out->kind == WM_OUT_COLUMN)
			ret_columns[out->index] = true;
		else if (out->kind == WM_OUT_DELETED)
			*ret_marked = true;
		else
			return false;
	}
	return true;
}
