/* SPDX-License-Identifier: PostgreSQL */
/*
 * discover.c - which tables the rules take now, and the publication in step with them.
 *
 * With `slots` only the tables of one lane are left in the end; views are shared out among all of them before, because
 * two lanes must not write one.
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

static void
matched_clear(struct matched *m)
{
	wm_relation_free(m->rel);
	free(m->refused);
	free(m->leaves);
}

void
tableset_unref(struct tableset *t)
{
	if (t == NULL || atomic_fetch_sub(&t->refs, 1) > 1)
		return;
	for (size_t i = 0; i < t->n; i++)
		matched_clear(&t->list[i]);
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

static void
index_free(struct wm_rule_index **index)
{
	wm_rule_index_free(*index);
}

static enum wm_status
add_match(struct source *s, struct tableset *set, const struct wm_rule *rule, const struct wm_table *table,
    bool *needed, struct wm_error *err)
{
	struct wm_plan_env env = pipeline_plan_env(s->p, s);
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
	st = table->unlogged ?
	    wm_fail(err, WM_REJECT,
		"the table is unlogged, so its changes are not in the WAL; ALTER TABLE "
		"... SET LOGGED, or leave it out of the rule") :
	    wm_rule_needs(rule, table->rel, reads, err);
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
	list[d->n] = (struct wm_published){
		.oid = rel->oid, .schema = rel->schema, .name = rel->name, .no_identity = true
	};
	for (unsigned i = 0; i < rel->ncolumns; i++)
		list[d->n].no_identity &= !rel->columns[i].identity;
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
add_leaves(struct matched *m, const struct wm_tables *tables, struct wm_error *err)
{
	m->partitioned = true;
	m->leaves = calloc(tables->n + 1, sizeof(*m->leaves));
	if (m->leaves == NULL)
		return wm_oom(err, "a table's partitions");
	for (size_t i = 0; i < tables->n; i++)
		if (tables->list[i].root == m->rel->oid)
			m->leaves[m->nleaves++] = (struct leaf_progress){
				.oid = tables->list[i].rel->oid, .node = tables->list[i].node,
				.link = tables->list[i].link
			};
	return WM_OK;
}

static enum wm_status
match_table(struct source *s, const struct wm_tables *tables, const struct wm_table *table,
    struct wm_rule_index *index, struct tableset *set, struct desired *d, struct wm_error *err)
{
	const struct wm_rule *const *rules;
	WM_AUTO(wm_freep) bool *needed = calloc(table->rel->ncolumns + 1, sizeof(*needed));
	size_t first = set->n, nrules;
	enum wm_status st = needed == NULL ? wm_oom(err, "a table") : WM_OK;

	/* A partition's changes come under its root's name. */
	if (table->partition)
		return st;
	if (!wm_rule_index_find(index, table->rel->schema, table->rel->name, &rules, &nrules))
		return wm_oom(err, "a table");
	for (size_t i = 0; st == WM_OK && i < nrules; i++)
		st = add_match(s, set, rules[i], table, needed, err);
	for (size_t i = first; st == WM_OK && table->kind == 'p' && i < set->n; i++)
		st = add_leaves(&set->list[i], tables, err);
	for (size_t i = first; i < set->n; i++)
		for (unsigned k = 0; k < table->rel->ncolumns; k++)
			set->list[i].column_list |= !needed[k];
	return st == WM_OK && source_takes(s, table->rel->schema, table->rel->name) ?
	    publish(d, table, needed, err) :
	    st;
}

struct claim {			/* a table's claim on a view */
	struct matched	*m;
	char		*view;
	size_t		 order;
};

static int
compare_claims(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int c = strcmp(x->m->rule->target, y->m->rule->target);

	if (c == 0)
		c = strcmp(x->view, y->view);
	return c != 0 ? c : (x->order > y->order) - (x->order < y->order);
}

/* Two tables of one view would overwrite each other's rows: the first rule and table has it. */
static enum wm_status
refuse_shared_views(struct tableset *set, struct wm_error *err)
{
	WM_AUTO(wm_freep) struct claim *claims = calloc(set->n + 1, sizeof(*claims));
	enum wm_status st = claims == NULL ? wm_oom(err, "views") : WM_OK;
	size_t n = 0;

	for (size_t i = 0; st == WM_OK && i < set->n; i++) {
		struct matched *m = &set->list[i];

		if (m->refused != NULL)
			continue;
		claims[n] = (struct claim){ .m = m,
			.order = i,
			.view = wm_rule_view_name(m->rule, m->rel->schema, m->rel->name) };
		if (claims[n++].view == NULL)
			st = wm_oom(err, "a view");
	}
	if (st == WM_OK)
		qsort(claims, n, sizeof(*claims), compare_claims);
	for (size_t i = 1; st == WM_OK && i < n; i++) {
		struct claim *a = &claims[i - 1], *b = &claims[i];

		if (strcmp(a->m->rule->target, b->m->rule->target) != 0 || strcmp(a->view, b->view) != 0)
			continue;
		b->m->refused = wm_asprintf(
		    "view \"%s\" is already written from table %s.%s under rule \"%s\"; give the rule "
		    "`view: \"{schema}_{table}\"` or another name",
		    b->view, a->m->rel->schema, a->m->rel->name, a->m->rule->name);
		if (b->m->refused == NULL)
			st = wm_oom(err, "a view");
	}
	for (size_t i = 0; claims != NULL && i < n; i++)
		free(claims[i].view);
	return st;
}

/* The tables of other lanes are none of ours. */
static void
leave_out_others(const struct source *s, struct tableset *set)
{
	size_t kept = 0;

	for (size_t i = 0; i < set->n; i++) {
		if (source_takes(s, set->list[i].rel->schema, set->list[i].rel->name))
			set->list[kept++] = set->list[i];
		else
			matched_clear(&set->list[i]);
	}
	set->n = kept;
}

static int
compare_oids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint64_t
gap_of(const struct gaps *gaps, uint32_t oid)
{
	uint64_t version = 0;

	for (size_t i = 0; i < gaps->n; i++)
		if (gaps->list[i].oid == oid && gaps->list[i].version > version)
			version = gaps->list[i].version;
	return version;
}

/*
 * A table that somebody took out of the publication (DROP COLUMN ... CASCADE does) has a gap.  Once it is published
 * again nothing shows that any more, so the gap is remembered before.
 */
static enum wm_status
find_gaps(struct source *s, struct wm_pg *sql, struct tableset *set, struct wm_error *err)
{
	WM_AUTO(wm_freep) uint32_t *members = NULL;
	WM_AUTO(wm_freep) uint32_t *absent = calloc(set->n + 1, sizeof(*absent));
	struct gap *list = realloc(s->gaps.list, (s->gaps.n + set->n + 1) * sizeof(*list));
	size_t nmembers = 0, n = 0;
	enum wm_status st;

	if (list != NULL)
		s->gaps.list = list;
	if (list == NULL || absent == NULL)
		return wm_oom(err, "tables");
	st = wm_publication_members(sql, s->config->publication, &members, &nmembers, err);
	for (size_t i = 0; st == WM_OK && i < set->n; i++) {
		uint32_t oid = set->list[i].rel->oid;

		if (set->list[i].refused == NULL && (n == 0 || absent[n - 1] != oid) &&
		    gap_of(&s->gaps, oid) <= s->tables_version &&
		    bsearch(&oid, members, nmembers, sizeof(*members), compare_oids) == NULL)
			absent[n++] = oid;
	}
	if (st == WM_OK && n > 0)
		st = wm_state_gaps_add(s->p->state, s->config->name, absent, n, err);
	for (size_t i = 0; st == WM_OK && i < n; i++)
		s->gaps.list[s->gaps.n++] = (struct gap){ .oid = absent[i], .version = s->tables_version + 1 };
	for (size_t i = 0; st == WM_OK && i < set->n; i++)
		set->list[i].gap = gap_of(&s->gaps, set->list[i].rel->oid);
	return st;
}

/* Puts the tables with a replica identity first; returns how many they are. */
static size_t
with_identity(const struct desired *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++)
		if (!d->list[i].no_identity) {
			struct wm_published t = d->list[i];

			d->list[i] = d->list[n];
			d->list[n++] = t;
		}
	return n;
}

static enum wm_status
settle_publication(struct source *s, struct wm_pg *sql, const struct desired *d, struct wm_error *err)
{
	struct wm_diags findings = { 0 };
	bool changed = false;
	enum wm_status st;

	if (s->config->manage) {
		size_t n = with_identity(d);
		char inserts[WM_PUBLICATION_NAMELEN];
		bool changed_inserts = false;

		wm_publication_inserts_name(s->config->publication, inserts);
		st = wm_publication_sync(sql, s->config->publication, WM_PUBLISH_ALL, d->list, n, &changed, err);
		/* Both are there from the start, even if empty: a slot knows only publications that are older than itself. */
		if (st == WM_OK)
			st = wm_publication_sync(sql, inserts, WM_PUBLISH_INSERTS,
			    n == 0 ? d->list : d->list + n, d->n - n, &changed_inserts, err);
		if (st == WM_OK && (changed || changed_inserts))
			wm_log(WM_LOG_INFO, "publication",
			    "publication \"%s\" now has %zu tables%s", s->config->publication, d->n,
			    n < d->n ? ", some for inserts only" : "");
		return st;
	}
	st = wm_publication_check(sql, s->config->publication, d->list, d->n, &findings, err);
	if (st == WM_OK && findings.errors > 0)
		for (size_t i = 0; i < findings.n; i++)
			if (findings.list[i].severity == WM_ERROR) {
				st = wm_fail(err, WM_OPERATOR, "%s: %s%s%s",
				    findings.list[i].place == NULL ? "publication" : findings.list[i].place,
				    findings.list[i].text, findings.list[i].fix == NULL ? "" : "; ",
				    findings.list[i].fix == NULL ? "" : findings.list[i].fix);
				break;
			}
	wm_diags_free(&findings);
	return st;
}

enum wm_status
discover(struct source *s, struct wm_pg *sql, bool followed, struct tableset **ret, struct wm_error *err)
{
	WM_AUTO(desired_free) struct desired d = { 0 };
	WM_AUTO(index_free) struct wm_rule_index *index = wm_rule_index_create(s->p->setup->rules, s->config->base);
	struct wm_tables tables = { 0 };
	struct tableset *set = calloc(1, sizeof(*set));
	enum wm_status st;

	if (set == NULL || index == NULL) {
		free(set);
		return wm_oom(err, "tables");
	}
	atomic_init(&set->refs, 1);
	st = wm_pg_current_lsn(sql, &set->lsn, err);
	if (st == WM_OK)
		st = wm_catalog_tables(sql, &tables, err);
	for (size_t i = 0; st == WM_OK && i < tables.n; i++)
		st = match_table(s, &tables, &tables.list[i], index, set, &d, err);
	if (st == WM_OK)
		st = refuse_shared_views(set, err);
	leave_out_others(s, set);
	if (st == WM_OK && s->config->manage && followed)
		st = find_gaps(s, sql, set, err);
	if (st == WM_OK)
		st = settle_publication(s, sql, &d, err);
	if (st == WM_OK)
		st = wm_pg_current_lsn(sql, &set->published, err);
	/* After the publication stands: an older transaction's changes to a new table are not sent. */
	if (st == WM_OK)
		st = wm_pg_next_xid(sql, &set->xid, err);
	if (st == WM_OK)
		st = wm_pg_current_lsn(sql, &set->lsn_after, err);
	set->server_version = wm_pg_version(sql);
	wm_tables_free(&tables);
	if (st != WM_OK) {
		tableset_unref(set);
		return st;
	}
	*ret = set;
	return WM_OK;
}
