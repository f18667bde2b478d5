/* SPDX-License-Identifier: PostgreSQL */
/*
 * discover.c - which tables the rules take now, and the publication in step with them.
 *
 * A table that a rule cannot follow (no key, say) is never published: PostgreSQL would refuse the application's
 * updates and deletes on it.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "walmill/strutil.h"

struct tableset *
tableset_ref(struct tableset *t)
{
	if (t != NULL)
		atomic_fetch_add(&t->refs, 1);
	return t;
}

void
tableset_unref(struct tableset *t)
{
	if (t == NULL || atomic_fetch_sub(&t->refs, 1) > 1)
		return;
	for (size_t i = 0; i < t->n; i++) {
		wm_relation_free(t->list[i].rel);
		free(t->list[i].refused);
	}
	free(t->list);
	free(t);
}

/* What is being published: the columns that at least one rule reads. */
struct desired {
	struct wm_published	*list;
	size_t			 n;
};

static void
desired_free(struct desired *d)
{
	for (size_t i = 0; i < d->n; i++)
		free(d->list[i].columns);
	free(d->list);
}

static enum wm_status
add_match(struct source *s, struct tableset *set, const struct wm_rule *rule, const struct wm_table *table,
    bool *needed, struct wm_error *err)
{
	struct wm_plan_env env = pipeline_plan_env(s->p, s->config->name);
	struct matched *list = realloc(set->list, (set->n + 1) * sizeof(*list));
	WM_AUTO(wm_freep) bool *reads = calloc(table->rel->ncolumns + 1, sizeof(*reads));
	struct wm_plan *plan = NULL;
	struct matched *m;
	enum wm_status st;

	if (list != NULL)
		set->list = list;
	if (list == NULL || reads == NULL)
		return wm_oom(err, "a table");
	m = &list[set->n];
	*m = (struct matched){ .rule = rule, .rel = wm_relation_dup(table->rel), .rows = table->rows };
	if (m->rel == NULL)
		return wm_oom(err, "a table");
	set->n++;
	st = table->unlogged ? wm_fail(err, WM_REJECT, "the table is unlogged, so its changes are not in the WAL; ALTER TABLE "
	    "... SET LOGGED, or leave it out of the rule") : wm_rule_needs(rule, table->rel, reads, err);
	if (st == WM_OK)
		st = wm_plan_compile(rule, table->rel, &env, &plan, err);
	if (st == WM_REJECT) {
		m->refused = strdup(err->text);
		return m->refused == NULL ? wm_oom(err, "a table") : WM_OK;
	}
	for (unsigned i = 0; st == WM_OK && i < table->rel->ncolumns; i++)
		needed[i] |= reads[i] || wm_plan_needed(plan)[i];
	wm_plan_free(plan);
	return st;
}

static enum wm_status
publish(struct desired *d, const struct wm_table *table, const bool *needed, struct wm_error *err)
{
	struct wm_published *list;
	const struct wm_relation *rel = table->rel;
	unsigned n = 0;

	for (unsigned i = 0; i < rel->ncolumns; i++)
		n += needed[i];
	if (n == 0)
		return WM_OK;		/* no rule can follow it */
	list = realloc(d->list, (d->n + 1) * sizeof(*list));
	if (list == NULL)
		return wm_oom(err, "a publication");
	d->list = list;
	list[d->n] = (struct wm_published){ .oid = rel->oid, .schema = rel->schema, .name = rel->name };
	if (n < rel->ncolumns) {
		list[d->n].columns = calloc(n, sizeof(*list[d->n].columns));
		if (list[d->n].columns == NULL)
			return wm_oom(err, "a publication");
		for (unsigned i = 0; i < rel->ncolumns; i++)
			if (needed[i])
				list[d->n].columns[list[d->n].ncolumns++] = rel->columns[i].name;
	}
	d->n++;
	return WM_OK;
}

static enum wm_status
match_table(struct source *s, const struct wm_table *table, struct tableset *set, struct desired *d,
    struct wm_error *err)
{
	const struct wm_ruleset *rules = s->p->setup->rules;
	WM_AUTO(wm_freep) bool *needed = calloc(table->rel->ncolumns + 1, sizeof(*needed));
	enum wm_status st = needed == NULL ? wm_oom(err, "a table") : WM_OK;

	/* A partition's changes come under its root's name. */
	if (table->partition)
		return st;
	for (size_t i = 0; st == WM_OK && i < rules->n; i++)
		if (strcmp(rules->rules[i].source, s->config->name) == 0 &&
		    wm_rule_matches(&rules->rules[i], table->rel->schema, table->rel->name))
			st = add_match(s, set, &rules->rules[i], table, needed, err);
	return st == WM_OK ? publish(d, table, needed, err) : st;
}

/* Two tables of one view would overwrite each other's rows. */
static enum wm_status
refuse_shared_views(struct tableset *set, struct wm_error *err)
{
	for (size_t i = 0; i < set->n; i++) {
		struct matched *a = &set->list[i];
		WM_AUTO(wm_freep) char *view = wm_rule_view_name(a->rule, a->rel->schema, a->rel->name);

		if (view == NULL)
			return wm_oom(err, "a view");
		for (size_t k = 0; k < i && a->refused == NULL; k++) {
			struct matched *b = &set->list[k];
			WM_AUTO(wm_freep) char *other = NULL;

			if (strcmp(a->rule->target, b->rule->target) != 0 || b->refused != NULL)
				continue;
			other = wm_rule_view_name(b->rule, b->rel->schema, b->rel->name);
			if (other != NULL && strcmp(view, other) == 0)
				a->refused = wm_asprintf("view \"%s\" is already written from table %s.%s under rule \"%s\"; give the "
				    "rule `view: \"{schema}_{table}\"` or another name", view, b->rel->schema, b->rel->name, b->rule->name);
		}
	}
	return WM_OK;
}

static enum wm_status
settle_publication(struct source *s, struct wm_pg *sql, const struct desired *d, struct wm_error *err)
{
	struct wm_diags findings = { 0 };
	bool changed = false;
	enum wm_status st;

	if (s->config->manage) {
		st = wm_publication_sync(sql, s->config->publication, d->list, d->n, &changed, err);
		if (st == WM_OK && changed)
			wm_log(WM_LOG_INFO, "publication", "publication \"%s\" now has %zu tables", s->config->publication, d->n);
		return st;
	}
	st = wm_publication_check(sql, s->config->publication, d->list, d->n, &findings, err);
	if (st == WM_OK && findings.errors > 0)
		for (size_t i = 0; i < findings.n; i++)
			if (findings.list[i].severity == WM_ERROR) {
				st = wm_fail(err, WM_OPERATOR, "%s%s%s", findings.list[i].text, findings.list[i].fix == NULL ? "" : "; ",
				    findings.list[i].fix == NULL ? "" : findings.list[i].fix);
				break;
			}
	wm_diags_free(&findings);
	return st;
}

enum wm_status
discover(struct source *s, struct wm_pg *sql, struct tableset **ret, struct wm_error *err)
{
	WM_AUTO(desired_free) struct desired d = { 0 };
	struct wm_tables tables = { 0 };
	struct tableset *set = calloc(1, sizeof(*set));
	enum wm_status st;

	if (set == NULL)
		return wm_oom(err, "tables");
	atomic_init(&set->refs, 1);
	st = wm_pg_current_lsn(sql, &set->lsn, err);
	if (st == WM_OK)
		st = wm_catalog_tables(sql, &tables, err);
	for (size_t i = 0; st == WM_OK && i < tables.n; i++)
		st = match_table(s, &tables.list[i], set, &d, err);
	if (st == WM_OK)
		st = refuse_shared_views(set, err);
	if (st == WM_OK)
		st = settle_publication(s, sql, &d, err);
	/* After the publication stands: an older transaction's changes to a new table are not sent. */
	if (st == WM_OK)
		st = wm_pg_next_xid(sql, &set->xid, err);
	if (st == WM_OK)
		st = wm_pg_current_lsn(sql, &set->lsn_after, err);
	wm_tables_free(&tables);
	if (st != WM_OK) {
		tableset_unref(set);
		return st;
	}
	*ret = set;
	return WM_OK;
}
