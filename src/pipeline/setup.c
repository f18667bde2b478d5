/* SPDX-License-Identifier: PostgreSQL */
/*
 * setup.c - a configuration with its rules and its targets' options, all validated.
 *
 * Immutable once made; threads share it by reference count.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "walmill/pipeline.h"
#include "walmill/strutil.h"

static void
report_unknown_type(const struct wm_node *type, const char *name, struct wm_diags *diags)
{
	const char *words[32];
	char list[512] = "";
	const char *nearest;
	size_t n = 0;

	for (size_t len = 0; wm_targets[n] != NULL && n < WM_ARRAY_SIZE(words); n++) {
		words[n] = wm_targets[n]->type;
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", n == 0 ? "" : ", ", words[n]);
		assert(len < sizeof(list));
	}
	nearest = wm_nearest(type->text, words, n);
	if (nearest != NULL)
		wm_diags_at(diags, WM_ERROR, &type->mark, "target \"%s\": unknown type \"%s\" (did you mean \"%s\"?)",
		    name, type->text, nearest);
	else
		wm_diags_at(diags, WM_ERROR, &type->mark, "target \"%s\": unknown type \"%s\"; this walmill has: %s",
		    name, type->text, list);
}

static void
make_target(const struct wm_target_config *section, struct wm_target **ret, struct wm_diags *diags)
{
	static const char *const also[] = { "type", NULL };
	const struct wm_node *type = wm_node_get(section->node, "type");
	const struct wm_target_ops *ops;
	WM_AUTO(wm_freep) char *what = wm_asprintf("target \"%s\"", section->name);
	struct wm_error err;

	if (type == NULL || type->kind != WM_NODE_SCALAR || type->bad || wm_node_is_null(type))
		return;			/* the configuration's reader has said so */
	ops = wm_target_find(wm_targets, type->text);
	if (ops == NULL) {
		report_unknown_type(type, section->name, diags);
		return;
	}
	if (wm_target_create(ops, section->name, ret, &err) != WM_OK) {
		wm_diags_at(diags, WM_ERROR, &section->mark, "%s", err.text);
		return;
	}
	wm_options_fill(ops->options, section->node, what == NULL ? "target" : what, also, *ret, diags);
}

/* Where nothing waits for a budget a priority would change nothing. */
static void
check_priority(const struct wm_setup *setup, const struct wm_node *node, const struct wm_rule *rule,
    struct wm_diags *diags)
{
	const struct wm_node *priority = wm_node_get(node, "priority");

	for (size_t i = 0; priority != NULL && i < setup->ntargets; i++) {
		const struct wm_target *t = setup->targets[i];

		if (t != NULL && strcmp(t->name, rule->target) == 0 && t->ops->pace == NULL)
			wm_diags_at(diags, WM_ERROR, &priority->mark,
			    "\"priority\" is for targets whose calls have a price: target \"%s\" is of type %s, which "
			    "writes at once; leave it out", t->name, t->ops->type);
	}
}

static void
setup_free(struct wm_setup *setup)
{
	for (size_t i = 0; i < setup->ntargets; i++)
		wm_target_destroy(setup->targets[i]);
	free(setup->targets);
	wm_ruleset_free(setup->rules);
	wm_config_free(setup->config);
	free(setup);
}

struct wm_setup *
wm_setup_create(struct wm_config *config, struct wm_diags *diags)
{
	struct wm_setup *setup = calloc(1, sizeof(*setup));
	size_t n = config->ntargets;

	if (setup == NULL || (setup->targets = calloc(n == 0 ? 1 : n, sizeof(struct wm_target *))) == NULL) {
		free(setup);
		wm_config_free(config);
		wm_diags_add(diags, WM_ERROR, "configuration", NULL, "out of memory");
		return NULL;
	}
	setup->config = config;
	setup->ntargets = n;
	setup->refs = 1;
	for (size_t i = 0; i < n; i++)
		make_target(&config->targets[i], &setup->targets[i], diags);
	setup->rules = wm_ruleset_load(config, diags);
	for (size_t i = 0; setup->rules != NULL && i < setup->rules->n; i++)
		check_priority(setup, config->rules[i], &setup->rules->rules[i], diags);
	if (diags->errors != 0) {
		setup_free(setup);
		return NULL;
	}
	return setup;
}

struct wm_setup *
wm_setup_ref(struct wm_setup *setup)
{
	__atomic_add_fetch(&setup->refs, 1, __ATOMIC_RELAXED);
	return setup;
}

void
wm_setup_unref(struct wm_setup *setup)
{
	if (setup != NULL && __atomic_sub_fetch(&setup->refs, 1, __ATOMIC_ACQ_REL) == 0)
		setup_free(setup);
}

const struct wm_source_config *
wm_setup_source(const struct wm_setup *setup, const char *name)
{
	for (size_t i = 0; i < setup->config->nsources; i++)
		if (strcmp(setup->config->sources[i].name, name) == 0)
			return &setup->config->sources[i];
	return NULL;
}

unsigned
wm_setup_lane_of(const struct wm_setup *setup, const struct wm_source_config *source, const char *schema,
    const char *table)
{
	if (source->lanes == 1)
		return 1;
	for (size_t i = 0; i < setup->rules->n; i++) {
		const struct wm_rule *rule = &setup->rules->rules[i];

		if ((rule->mode != WM_MODE_UPSERT || rule->seed_mode != WM_SEED_AUTO) &&
		    strcmp(rule->source, source->base) == 0 && wm_rule_matches(rule, schema, table))
			return 1;
	}
	return wm_lane_of(schema, table, (unsigned)source->lanes);
}
