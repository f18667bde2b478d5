/* SPDX-License-Identifier: PostgreSQL */
/*
 * rule.c - rules as written: YAML maps to struct wm_rule, every mistake reported.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expr.h"
#include "field.h"
#include "rule.h"
#include "walmill/strutil.h"

#define ALL_EVENTS (WM_EVENT_INSERT | WM_EVENT_UPDATE | WM_EVENT_DELETE | WM_EVENT_TRUNCATE)
#define MODE_HISTORY 2			/* index into modes */

/* What of a rule is a single word, text or number, as the option tables fill it. */
struct form {
	char		*name, *source, *target, *view, *where;
	int		 on_delete, on_truncate, mode, on_error, priority;
};

struct batch_form {
	int64_t		 rows, interval;
	uint64_t	 bytes;
};

struct seed_form {
	int		 mode;
	int64_t		 batch_rows, workers;
};

/* In the order of the enums in rules.h. */
static const char *const on_deletes[] = { "delete", "soft", "ignore", NULL };
static const char *const on_truncates[] = { "truncate", "ignore", NULL };
static const char *const modes[] = { "upsert", "append", "history", NULL };
static const char *const on_errors[] = { "retry", "dead_letter", "stop", NULL };
static const char *const priorities[] = { "low", "normal", "high", NULL };
static const char *const seed_modes[] = { "auto", "never", NULL };

static const struct wm_option form_options[] = {
	{ .name = "name", .kind = WM_OPT_STRING, .offset = offsetof(struct form, name) },
	{ .name = "source", .kind = WM_OPT_STRING, .offset = offsetof(struct form, source) },
	{ .name = "target", .kind = WM_OPT_STRING, .offset = offsetof(struct form, target) },
	{ .name = "view", .kind = WM_OPT_STRING, .offset = offsetof(struct form, view), .fallback = "{table}" },
	{ .name = "where", .kind = WM_OPT_STRING, .offset = offsetof(struct form, where) },
	{ .name = "on_delete", .kind = WM_OPT_ENUM, .offset = offsetof(struct form, on_delete), .words = on_deletes },
	{ .name = "on_truncate", .kind = WM_OPT_ENUM, .offset = offsetof(struct form, on_truncate), .words = on_truncates },
	{ .name = "mode", .kind = WM_OPT_ENUM, .offset = offsetof(struct form, mode), .words = modes },
	{ .name = "on_error", .kind = WM_OPT_ENUM, .offset = offsetof(struct form, on_error), .words = on_errors },
	{ .name = "priority", .kind = WM_OPT_ENUM, .offset = offsetof(struct form, priority), .fallback = "normal",
	    .words = priorities },
	{ .name = NULL },
};

static const struct wm_option batch_options[] = {
	{ .name = "rows", .kind = WM_OPT_INT, .offset = offsetof(struct batch_form, rows), .fallback = "10000", .min = 1,
	    .max = 10000000 },
	{ .name = "bytes", .kind = WM_OPT_SIZE, .offset = offsetof(struct batch_form, bytes), .fallback = "8MiB", .min = 1024,
	    .max = 1ll << 30 },
	{ .name = "interval", .kind = WM_OPT_DURATION, .offset = offsetof(struct batch_form, interval), .fallback = "100ms",
	    .min = 0, .max = 3600 * WM_SEC },
	{ .name = NULL },
};

static const struct wm_option seed_options[] = {
	{ .name = "mode", .kind = WM_OPT_ENUM, .offset = offsetof(struct seed_form, mode), .words = seed_modes },
	{ .name = "batch_rows", .kind = WM_OPT_INT, .offset = offsetof(struct seed_form, batch_rows), .fallback = "200000",
	    .min = 1, .max = 100000000 },
	{ .name = "workers", .kind = WM_OPT_INT, .offset = offsetof(struct seed_form, workers), .fallback = "4", .min = 1,
	    .max = 64 },
	{ .name = NULL },
};

static const struct wm_option retry_options[] = {
	{ .name = "every", .kind = WM_OPT_DURATION, .offset = offsetof(struct wm_retry_policy, every), .fallback = "5min",
	    .min = WM_SEC / 10, .max = 30 * 86400 * WM_SEC },
	{ .name = "at_most", .kind = WM_OPT_INT, .offset = offsetof(struct wm_retry_policy, at_most), .fallback = "12",
	    .min = 1, .max = 1000000 },
	{ .name = NULL },
};

static const char *const other_keys[] = { "table", "key", "events", "columns", "seed", "batch", "retry", NULL };

static void
free_form(struct form *form)
{
	wm_options_free(form_options, form);
}

static void
free_rule(struct wm_rule *rule)
{
	free(rule->name);
	free(rule->source);
	free(rule->target);
	free(rule->view);
	free(rule->where);
	wm_names_free(&rule->tables);
	wm_names_free(&rule->key);
	wm_names_free(&rule->include);
	wm_names_free(&rule->exclude);
	wm_names_free(&rule->retry.codes);
	wm_settings_free(&rule->rename);
	wm_settings_free(&rule->compute);
	wm_settings_free(&rule->mask);
	wm_settings_free(&rule->check);
	wm_settings_free(&rule->type);
	for (size_t i = 0; i < rule->ntranslate; i++) {
		free(rule->translate[i].column);
		wm_settings_free(&rule->translate[i].values);
	}
	free(rule->translate);
}

/* The place of a key's value, or of the rule when it has none. */
static const struct wm_mark *
mark_of(const struct wm_node *node, const char *key)
{
	const struct wm_node *value = wm_node_get(node, key);

	return value != NULL ? &value->mark : &node->mark;
}

/* ---- source and target ---- */

/* *name as given, or the only one of names.  what: "source" or "target". */
static void
resolve(const char *what, const struct wm_node *node, const char *const *names, size_t n, char **name,
    struct wm_diags *diags)
{
	char hint[WM_HINT_SIZE];

	if (*name == NULL && n == 1) {
		*name = strdup(names[0]);
		if (*name == NULL)
			wm_field_oom(node, diags);
		return;
	}
	if (*name == NULL) {
		/* A key without a usable value has been reported, and so has a file without any. */
		if (wm_node_get(node, what) == NULL && n > 0)
			wm_diags_at(diags, WM_ERROR, &node->mark,
			    "rule lacks \"%s\", which may be left out only when there is one "
			    "%s; there are %zu",
			    what, what, n);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (strcmp(names[i], *name) == 0)
			return;
	}
	wm_diags_at(diags, WM_ERROR, mark_of(node, what),
	    "unknown %s \"%s\"%s: it is not in the section %ss", what, *name,
	    wm_hint_word(*name, names, n, hint), what);
}

static void
resolve_names(const struct wm_config *config, const struct wm_node *node, struct form *form, struct wm_diags *diags)
{
	WM_AUTO(wm_freep) const char **sources = reallocarray(NULL, config->nsources + 1, sizeof(const char *));
	WM_AUTO(wm_freep) const char **targets = reallocarray(NULL, config->ntargets + 1, sizeof(const char *));
	size_t nsources = 0;

	if (sources == NULL || targets == NULL) {
		wm_field_oom(node, diags);
		return;
	}
	for (size_t i = 0; i < config->nsources; i++)
		if (config->sources[i].lane == 1)
			sources[nsources++] = config->sources[i].name;
	for (size_t i = 0; i < config->ntargets; i++)
		targets[i] = config->targets[i].name;
	resolve("source", node, sources, nsources, &form->source, diags);
	resolve("target", node, targets, config->ntargets, &form->target, diags);
}

/* ---- the parts ---- */

static void
read_events(struct wm_rule *rule, const struct wm_node *node, struct wm_diags *diags)
{
	static const char *const words[] = { "insert", "update", "delete", "truncate" };
	struct wm_names names = { 0 };
	char hint[WM_HINT_SIZE];

	rule->events = 0;
	wm_field_names(node, "events", &names, diags);
	for (size_t i = 0; i < names.n; i++) {
		size_t w = 0;

		while (w < WM_ARRAY_SIZE(words) && strcmp(words[w], names.list[i]) != 0)
			w++;
		if (w < WM_ARRAY_SIZE(words))
			rule->events |= 1u << w;	/* as enum wm_event_kind */
		else
			wm_diags_at(diags, WM_ERROR, &node->mark,
			    "unknown event \"%s\"%s: there are insert, update, delete and truncate", names.list[i],
			    wm_hint_word(names.list[i], words, WM_ARRAY_SIZE(words), hint));
	}
	wm_names_free(&names);
}

static void
read_where(const struct wm_node *node, struct form *form, struct wm_diags *diags)
{
	struct wm_error err;

	if (form->where != NULL && wm_expr_check(form->where, &err) != WM_OK)
		wm_diags_at(diags, WM_ERROR, mark_of(node, "where"), "\"where\": %s", err.text);
}

static void
read_mode(struct wm_rule *rule, const struct wm_node *node, const struct form *form, struct wm_diags *diags)
{
	if (form->mode == MODE_HISTORY)
		wm_diags_at(diags, WM_ERROR, mark_of(node, "mode"),
		    "\"mode: history\" is not in this version of walmill: use upsert, or append to keep every event");
	else
		rule->mode = (enum wm_mode)form->mode;
	if (rule->mode == WM_MODE_APPEND && form->on_delete == WM_DELETE_SOFT)
		wm_diags_at(diags, WM_ERROR, mark_of(node, "on_delete"),
		    "\"on_delete: soft\" needs \"mode: upsert\": with append each delete is a row of its own");
}

static void
read_amounts(struct wm_rule *rule, const struct wm_node *node, struct wm_diags *diags)
{
	const struct wm_node *section = wm_node_get(node, "batch");
	struct batch_form batch = { 0 };
	struct seed_form seed = { 0 };

	wm_options_fill(batch_options, section, "batch", NULL, &batch, diags);
	wm_options_fill(seed_options, wm_node_get(node, "seed"), "seed", NULL, &seed, diags);
	rule->batch_open = wm_node_get(section, "rows") == NULL && wm_node_get(section, "bytes") == NULL;
	rule->batch_rows = batch.rows;
	rule->batch_bytes = batch.bytes;
	rule->batch_interval = batch.interval;
	rule->seed_mode = (enum wm_seed_mode)seed.mode;
	rule->seed_batch_rows = seed.batch_rows;
	rule->seed_workers = seed.workers;
}

static void
read_retry(struct wm_rule *rule, const struct wm_node *node, const struct form *form, struct wm_diags *diags)
{
	static const char *const lists[] = { "codes", NULL };
	const struct wm_node *section = wm_node_get(node, "retry"), *codes;

	if (section == NULL)
		return;
	wm_options_fill(retry_options, section, "retry", lists, &rule->retry, diags);
	codes = section->kind == WM_NODE_MAP ? wm_node_get(section, "codes") : NULL;
	if (codes != NULL)
		wm_field_names(codes, "codes", &rule->retry.codes, diags);
	if (form->on_error != WM_ON_ERROR_DEAD_LETTER)
		wm_diags_at(diags, WM_ERROR, &section->mark,
		    "\"retry\" is about dead letters: it needs \"on_error: dead_letter\"");
}

/* Moves the texts out of form; the name is made up when none was given. */
static void
take_form(struct wm_rule *rule, const struct wm_node *node, struct form *form, struct wm_diags *diags)
{
	rule->name = form->name;
	rule->source = form->source;
	rule->target = form->target;
	rule->view = form->view;
	rule->where = form->where;
	form->name = form->source = form->target = form->view = form->where = NULL;
	rule->on_delete = (enum wm_on_delete)form->on_delete;
	rule->on_truncate = (enum wm_on_truncate)form->on_truncate;
	rule->on_error = (enum wm_on_error)form->on_error;
	rule->priority = (enum wm_priority)form->priority;
	if (rule->name == NULL)
		rule->name = wm_rule_default_name(rule);
	if (rule->name == NULL)
		wm_field_oom(node, diags);
	else if (rule->name[0] == '\0' && wm_node_get(node, "name") != NULL)
		wm_diags_at(diags, WM_ERROR, mark_of(node, "name"), "\"name\" must not be empty");
}

static void
read_rule(const struct wm_config *config, const struct wm_node *node, struct wm_rule *rule, struct wm_diags *diags)
{
	WM_AUTO(free_form) struct form form = { 0 };
	const struct wm_node *part;

	rule->mark = node->mark;
	rule->events = ALL_EVENTS;
	wm_options_fill(form_options, node, "rule", other_keys, &form, diags);
	resolve_names(config, node, &form, diags);
	if ((part = wm_node_get(node, "table")) != NULL)
		wm_rule_read_tables(rule, part, diags);
	else
		wm_diags_at(diags, WM_ERROR, &node->mark,
		    "rule lacks \"table\" (schema.table, or a pattern such as public.*)");
	if ((part = wm_node_get(node, "view")) != NULL && part->kind == WM_NODE_SCALAR && !part->bad)
		wm_rule_check_view(part, diags);
	if ((part = wm_node_get(node, "key")) != NULL)
		wm_field_names(part, "key", &rule->key, diags);
	if ((part = wm_node_get(node, "events")) != NULL)
		read_events(rule, part, diags);
	read_where(node, &form, diags);
	read_mode(rule, node, &form, diags);
	if ((part = wm_node_get(node, "columns")) != NULL)
		wm_rule_read_columns(rule, part, diags);
	read_amounts(rule, node, diags);
	read_retry(rule, node, &form, diags);
	wm_rule_check_columns(rule, diags);
	take_form(rule, node, &form, diags);
	rule->fingerprint = wm_rule_fingerprint(rule);
}

/* ---- the set ---- */

static int
compare_names(const void *a, const void *b)
{
	const struct wm_rule *const *x = a, *const *y = b;
	int c = strcmp((*x)->name, (*y)->name);

	return c != 0 ? c : (*x > *y) - (*x < *y);
}

static void
sort_names(struct wm_ruleset *set, struct wm_diags *diags)
{
	set->by_name = calloc(set->n + 1, sizeof(struct wm_rule *));
	if (set->by_name == NULL) {
		wm_diags_add(diags, WM_ERROR, "rules", NULL, "out of memory for %zu rules", set->n);
		return;
	}
	for (size_t i = 0; i < set->n; i++)
		if (set->rules[i].name != NULL)
			set->by_name[set->nnames++] = &set->rules[i];
	qsort(set->by_name, set->nnames, sizeof(struct wm_rule *), compare_names);
}

static void
check_names(const struct wm_ruleset *set, struct wm_diags *diags)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct wm_rule *rule = &set->rules[i],
				     *first =
					 wm_ruleset_find(set, rule->name != NULL ? rule->name : "");

		if (first == NULL || first == rule || rule->name[0] == '\0')
			continue;
		wm_diags_at(diags, WM_ERROR, &rule->mark,
		    "two rules are called \"%s\" (the other is at %s:%u): give this one "
		    "another \"name\"",
		    rule->name, first->mark.file != NULL ? first->mark.file : "", first->mark.line);
	}
}

struct wm_ruleset *
wm_ruleset_load(const struct wm_config *config, struct wm_diags *diags)
{
	struct wm_ruleset *set = calloc(1, sizeof(*set));

	if (set != NULL)
		set->rules = calloc(config->nrules + 1, sizeof(*set->rules));
	if (set == NULL || set->rules == NULL) {
		wm_diags_add(diags, WM_ERROR, "rules", NULL, "out of memory for %zu rules", config->nrules);
		wm_ruleset_free(set);
		return NULL;
	}
	for (; set->n < config->nrules; set->n++)
		read_rule(config, config->rules[set->n], &set->rules[set->n], diags);
	sort_names(set, diags);
	check_names(set, diags);
	if (diags->errors == 0)
		return set;
	wm_ruleset_free(set);
	return NULL;
}

void
wm_ruleset_free(struct wm_ruleset *set)
{
	if (set == NULL)
		return;
	for (size_t i = 0; i < set->n; i++)
		free_rule(&set->rules[i]);
	free(set->rules);
	free(set->by_name);
	free(set);
}

const struct wm_rule *
wm_ruleset_find(const struct wm_ruleset *set, const char *name)
{
	size_t low = 0, high = set->nnames;

	/* The first of that name. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(set->by_name[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < set->nnames && strcmp(set->by_name[low]->name, name) == 0 ? set->by_name[low] : NULL;
}
