/* SPDX-License-Identifier: PostgreSQL */
/*
 * find.c - the rules that take a table, where there are many of both.
 */
#include <stdlib.h>
#include <string.h>

#include "rule.h"
#include "walmill/strutil.h"

struct single {			/* a rule that names one table */
	const char		*pattern;	/* "schema.table" */
	const struct wm_rule	*rule;
};

struct wm_rule_index {
	size_t			  nsingles, nwide;
	struct single		 *singles;	/* by pattern, then in the set's order */
	const struct wm_rule	**wide;		/* all others, in the set's order */
	const struct wm_rule	**found;
};

static int
compare_singles(const void *a, const void *b)
{
	const struct single *x = a, *y = b;
	int c = strcmp(x->pattern, y->pattern);

	return c != 0 ? c : (x->rule > y->rule) - (x->rule < y->rule);
}

/* The one pattern that does not exclude. */
static const char *
including(const struct wm_rule *rule)
{
	size_t i = 0;

	while (rule->tables.list[i][0] == '!')
		i++;
	return rule->tables.list[i];
}

struct wm_rule_index *
wm_rule_index_create(const struct wm_ruleset *set, const char *source)
{
	struct wm_rule_index *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return NULL;
	x->singles = calloc(set->n + 1, sizeof(*x->singles));
	x->wide = calloc(set->n + 1, sizeof(*x->wide));
	x->found = calloc(set->n + 1, sizeof(*x->found));
	if (x->singles == NULL || x->wide == NULL || x->found == NULL) {
		wm_rule_index_free(x);
		return NULL;
	}
	for (size_t i = 0; i < set->n; i++) {
		const struct wm_rule *rule = &set->rules[i];

		if (strcmp(rule->source, source) != 0)
			continue;
		if (wm_rule_is_wide(rule))
			x->wide[x->nwide++] = rule;
		else
			x->singles[x->nsingles++] = (struct single){ including(rule), rule };
	}
	qsort(x->singles, x->nsingles, sizeof(*x->singles), compare_singles);
	return x;
}

void
wm_rule_index_free(struct wm_rule_index *x)
{
	if (x == NULL)
		return;
	free(x->singles);
	free(x->wide);
	free(x->found);
	free(x);
}

/* Where the rules with that pattern begin, if there are any. */
static size_t
first_single(const struct wm_rule_index *x, const char *pattern)
{
	size_t low = 0, high = x->nsingles;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(x->singles[middle].pattern, pattern) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool
wm_rule_index_find(struct wm_rule_index *x, const char *schema, const char *table, const struct wm_rule *const **ret,
    size_t *ret_n)
{
	WM_AUTO(wm_freep) char *name = wm_asprintf("%s.%s", schema, table);
	size_t s, w = 0, n = 0;

	if (name == NULL)
		return false;
	s = first_single(x, name);
	for (;;) {
		bool single = s < x->nsingles && strcmp(x->singles[s].pattern, name) == 0;
		const struct wm_rule *rule;

		if (!single && w == x->nwide)
			break;
		rule = single && (w == x->nwide || x->singles[s].rule < x->wide[w]) ?
		    x->singles[s++].rule :
		    x->wide[w++];
		if (wm_rule_matches(rule, schema, table))
			x->found[n++] = rule;
	}
	*ret = x->found;
	*ret_n = n;
	return true;
}
