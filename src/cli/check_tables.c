/* SPDX-License-Identifier: PostgreSQL */
/*
 * check_tables.c - the preflight of the tables that rules match.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "walmill/strutil.h"

void
wm_check_free(struct wm_check *check)
{
	for (size_t i = 0; i < check->nplans; i++)
		wm_plan_free(check->plans[i]);
	free(check->plans);
	wm_diags_free(&check->findings);
}

/* A source, and the connection to it. */
struct place {
	const struct wm_source_config	*source;
	struct wm_pg			*c;
};

static void
out_of_memory(struct wm_check *check)
{
	wm_diags_add(&check->findings, WM_ERROR, NULL, NULL, "out of memory");
}

/* ---- one table under one rule ---- */

/* Statements that let the role read the table. */
static void
add_grants(struct wm_buf *fix, const struct wm_relation *rel, const char *role)
{
	wm_buf_adds(fix, "run: GRANT USAGE ON SCHEMA ");
	wm_pg_quote_ident(fix, rel->schema);
	wm_buf_adds(fix, " TO ");
	wm_pg_quote_ident(fix, role);
	wm_buf_adds(fix, "; GRANT SELECT ON ");
	wm_pg_quote_ident(fix, rel->schema);
	wm_buf_addc(fix, '.');
	wm_pg_quote_ident(fix, rel->name);
	wm_buf_adds(fix, " TO ");
	wm_pg_quote_ident(fix, role);
}

static void
check_access(struct wm_check *check, const struct place *at, const struct wm_rule *rule,
    const struct wm_table *t, const char *subject)
{
	struct wm_diags *d = &check->findings;
	WM_AUTO(wm_buf_free) struct wm_buf fix;

	wm_buf_init(&fix, 4096);
	add_grants(&fix, t->rel, PQuser(wm_pg_conn(at->c)));
	if (!t->readable && rule->seed_mode != WM_SEED_NEVER)
		wm_diags_add(d, WM_ERROR, subject, fix.data, "its rows cannot be read for seeding");
	if (!t->owned && at->source->manage)
		wm_diags_add(d, WM_ERROR, subject,
		    "make the role a member of the table's owner, or make the publication yourself and set "
		    "\"manage: false\"",
		    "only its owner may put it into a publication");
	if (t->row_security)
		wm_diags_add(d, WM_ERROR, subject, "run: ALTER ROLE ... BYPASSRLS",
		    "row security would hide rows from the seed");
	if (t->has_generated)
		wm_diags_add(d, WM_NOTE, subject, NULL,
		    "its generated columns are left out: the stream does not carry them");
}

/* Rows of one key, if only for a moment within a transaction, would take each other's place. */
static void
check_key(struct wm_check *check, const struct place *at, const struct wm_plan *plan, const char *subject)
{
	unsigned n;
	const unsigned *key = wm_plan_source_key(plan, &n);
	bool unique = true;
	struct wm_error err;

	if (wm_plan_rule(plan)->mode != WM_MODE_UPSERT)
		return;
	if (wm_catalog_is_unique(at->c, wm_plan_relation(plan), key, n, &unique, &err) != WM_OK)
		wm_diags_add(&check->findings, WM_ERROR, subject, NULL, "%s", err.text);
	else if (!unique)
		wm_diags_add(&check->findings, WM_WARNING, subject,
		    "name a key that is unique in \"key\", or make a unique index over it that is not deferrable",
		    "nothing at the source keeps its key unique at every moment: rows with the same key would overwrite "
		    "each other");
}

static void
keep_plan(struct wm_check *check, struct wm_plan *plan)
{
	struct wm_plan **plans = reallocarray(check->plans, check->nplans + 1, sizeof(struct wm_plan *));

	if (plans == NULL) {
		wm_plan_free(plan);
		out_of_memory(check);
		return;
	}
	check->plans = plans;
	check->plans[check->nplans++] = plan;
}

static void
check_table(struct wm_check *check, const struct place *at, const struct wm_rule *rule,
    const struct wm_table *t)
{
	static const char no_key[32];		/* names of columns are all that is asked of the plan */
	const struct wm_plan_env env = {
		.source = at->source->name, .mask_key = no_key, .mask_key_len = sizeof(no_key)
	};
	WM_AUTO(wm_freep) bool *needed = calloc(t->rel->ncolumns + 1, sizeof(*needed));
	struct wm_plan *plan;
	struct wm_error err;
	char subject[300];

	snprintf(subject, sizeof(subject), "table %.63s.%.63s (rule \"%.63s\")", t->rel->schema,
	    t->rel->name, rule->name);
	if (t->unlogged) {
		wm_diags_add(&check->findings, WM_ERROR, subject,
		    "run: ALTER TABLE ... SET LOGGED, or leave it out of the rule (\"!schema.table\")",
		    "it is unlogged, so that its changes are in no stream");
		return;
	}
	check_access(check, at, rule, t, subject);
	if (needed == NULL)
		return;		/* the next allocation says so */
	if (wm_rule_needs(rule, t->rel, needed, &err) != WM_OK ||
	    wm_plan_compile(rule, t->rel, &env, &plan, &err) != WM_OK) {
		wm_diags_add(&check->findings, WM_ERROR, subject, NULL, "%s", err.text);
		return;
	}
	wm_diags_add(&check->findings, WM_NOTE, subject, NULL, "goes to \"%s\" at target \"%s\"",
	    wm_plan_view(plan)->name, rule->target);
	check_key(check, at, plan, subject);
	keep_plan(check, plan);
}

/* ---- all of a source ---- */

static void
check_rule(struct wm_check *check, const struct place *at, const struct wm_rule *rule,
    const struct wm_tables *tables)
{
	size_t matched = 0, partitions = 0;
	char subject[100];

	for (size_t i = 0; i < tables->n; i++) {
		const struct wm_table *t = &tables->list[i];

		if (!wm_rule_matches(rule, t->rel->schema, t->rel->name))
			continue;
		/* Their changes come under the name of the table that they are part of. */
		partitions += t->partition;
		matched += !t->partition;
		if (!t->partition)
			check_table(check, at, rule, t);
	}
	if (matched > 0)
		return;
	snprintf(subject, sizeof(subject), "rule \"%.80s\"", rule->name);
	if (partitions > 0)
		wm_diags_add(&check->findings, WM_WARNING, subject,
		    "name the partitioned table instead",
		    "it matches only "
		    "partitions, whose changes come under the name of the table they are part of");
	else
		wm_diags_add(&check->findings, WM_WARNING, subject,
		    "see \"table:\"; names are schema.table and case-sensitive",
		    "no table of source \"%s\" matches %s%s", at->source->name, rule->tables.list[0],
		    rule->tables.n > 1 ? " and what stands with it" : "");
}

/* What of these tables the lane's publication must carry, by the plans from first on. */
static struct wm_published *
published(const struct wm_check *check, const struct wm_source_config *lane, size_t first, const char ***ret_names,
    size_t *ret_n)
{
	size_t columns = 0, n = 0;
	struct wm_published *list = calloc(check->nplans - first + 1, sizeof(*list));
	const char **names;

	for (size_t i = first; i < check->nplans; i++)
		columns += wm_plan_relation(check->plans[i])->ncolumns;
	names = calloc(columns + 1, sizeof(*names));
	*ret_names = names;
	for (size_t i = first; list != NULL && names != NULL && i < check->nplans; i++) {
		const struct wm_relation *rel = wm_plan_relation(check->plans[i]);
		const bool *needed = wm_plan_needed(check->plans[i]);

		if (wm_setup_lane_of(check->setup, lane, rel->schema, rel->name) != (unsigned)lane->lane)
			continue;
		list[n] = (struct wm_published){
			.oid = rel->oid, .schema = rel->schema, .name = rel->name, .columns = names
		};
		for (unsigned k = 0; k < rel->ncolumns; k++)
			if (needed[k])
				names[list[n].ncolumns++] = rel->columns[k].name;
		names += list[n++].ncolumns;
	}
	*ret_n = n;
	return list;
}

static void
check_unmanaged(struct wm_check *check, const struct wm_source_config *source, struct wm_pg *c, size_t first)
{
	const char **names = NULL;
	size_t n = 0;
	struct wm_published *list = published(check, source, first, &names, &n);
	struct wm_error err;

	if (list == NULL || names == NULL)
		out_of_memory(check);
	else if (wm_publication_check(c, source->publication, list, n,
		     &check->findings, &err) != WM_OK)
		wm_diags_add(&check->findings, WM_ERROR, source->name, NULL, "%s", err.text);
	free(names);
	free(list);
}

void
wm_check_tables(struct wm_check *check, const struct wm_source_config *source, struct wm_pg *c)
{
	WM_AUTO(wm_tables_free) struct wm_tables tables = { 0 };
	const struct wm_ruleset *rules = check->setup->rules;
	const struct place at = { source, c };
	size_t first = check->nplans;
	struct wm_error err;

	if (wm_catalog_tables(c, &tables, &err) != WM_OK) {
		wm_diags_add(&check->findings, WM_ERROR, source->name, NULL, "%s", err.text);
		return;
	}
	for (size_t i = 0; i < rules->n; i++)
		if (strcmp(rules->rules[i].source, source->name) == 0)
			check_rule(check, &at, &rules->rules[i], &tables);
	for (int64_t i = 0; !source->manage && i < source->lanes; i++)
		check_unmanaged(check, &source[i], c, first);
}

/* ---- views ---- */

static bool
same_view(const struct wm_plan *a, const struct wm_plan *b)
{
	return strcmp(wm_plan_rule(a)->target, wm_plan_rule(b)->target) == 0 &&
	    strcmp(wm_plan_view(a)->name, wm_plan_view(b)->name) == 0;
}

void
wm_check_views(struct wm_check *check)
{
	for (size_t i = 0; i < check->nplans; i++)
		for (size_t k = 0; k < i; k++) {
			const struct wm_relation *a = wm_plan_relation(check->plans[k]),
						 *b = wm_plan_relation(check->plans[i]);
			char subject[160];

			if (!same_view(check->plans[i], check->plans[k]))
				continue;
			snprintf(subject, sizeof(subject), "view \"%.63s\" at target \"%.63s\"",
			    wm_plan_view(check->plans[i])->name, wm_plan_rule(check->plans[i])->target);
			wm_diags_add(&check->findings, WM_ERROR, subject,
			    "give each its own view, for example with {schema} in "
			    "\"view:\"",
			    "both table %s.%s (rule \"%s\") and table %s.%s (rule \"%s\") would be written to it",
			    a->schema, a->name, wm_plan_rule(check->plans[k])->name, b->schema,
			    b->name, wm_plan_rule(check->plans[i])->name);
			break;
		}
}
