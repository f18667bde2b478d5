/* SPDX-License-Identifier: PostgreSQL */
/*
 * columns.c - the `columns:` section of a rule.
 *
 * What columns a table has is not known here: only what contradicts itself is refused.
 */
#include <stdlib.h>
#include <string.h>

#include "expr.h"
#include "field.h"
#include "mask.h"
#include "rule.h"
#include "walmill/strutil.h"

static void
check_expression(const char *section, const struct wm_pair *pair, struct wm_diags *diags)
{
	struct wm_error err;

	if (pair->value->kind == WM_NODE_SCALAR && !pair->value->bad && !wm_node_is_null(pair->value) &&
	    pair->value->text[0] != '\0' && wm_expr_check(pair->value->text, &err) != WM_OK)
		wm_diags_at(diags, WM_ERROR, &pair->value->mark, "\"%s\" of \"%s\": %s", section, pair->key, err.text);
}

static void
read_expressions(const struct wm_node *node, const char *section, struct wm_settings *ret, struct wm_diags *diags)
{
	wm_field_settings(node, section, ret, diags);
	for (size_t i = 0; node->kind == WM_NODE_MAP && i < node->n; i++)
		check_expression(section, &node->pairs[i], diags);
}

static void
read_rename(const struct wm_node *node, struct wm_settings *ret, struct wm_diags *diags)
{
	wm_field_settings(node, "rename", ret, diags);
	for (size_t i = 0; i < ret->n; i++) {
		for (size_t j = 0; j < i; j++) {
			if (strcmp(ret->list[i].value, ret->list[j].value) == 0)
				wm_diags_at(diags, WM_ERROR, &ret->list[i].mark,
				    "\"rename\" gives \"%s\" and \"%s\" the same name \"%s\"", ret->list[j].column,
				    ret->list[i].column, ret->list[i].value);
		}
	}
}

static void
read_type(const struct wm_node *node, struct wm_settings *ret, struct wm_diags *diags)
{
	wm_field_settings(node, "type", ret, diags);
	for (size_t i = 0; i < ret->n; i++) {
		if (strpbrk(ret->list[i].value, ";\\\r\n\t") != NULL || strlen(ret->list[i].value) >= WM_TYPE_NAMELEN)
			wm_diags_at(diags, WM_ERROR, &ret->list[i].mark, "\"type\" of \"%s\" is no name of a type",
			    ret->list[i].column);
	}
}

/* `{text: "..."}`; its setting is "=" and the text. */
static void
read_fixed_text(const struct wm_pair *pair, struct wm_settings *ret, struct wm_diags *diags)
{
	static const char *const known[] = { "text", NULL };
	const struct wm_node *text = wm_node_get(pair->value, "text");
	WM_AUTO(wm_freep) char *value = NULL;

	wm_node_known_keys(pair->value, "a mask", known, diags);
	if (text == NULL || text->kind != WM_NODE_SCALAR || wm_node_is_null(text)) {
		wm_diags_at(diags, WM_ERROR, &pair->value->mark,
		    "\"mask\" of \"%s\" lacks its text: write {text: \"...\"}", pair->key);
		return;
	}
	if (text->bad)
		return;
	value = wm_asprintf("=%s", text->text);
	if (value == NULL || !wm_settings_add(ret, pair->key, value, &pair->mark))
		wm_field_oom(pair->value, diags);
}

static void
read_mask(const struct wm_pair *pair, struct wm_settings *ret, struct wm_diags *diags)
{
	static const char *const words[] = { "sha256", "redact", "last4", "null" };
	const struct wm_node *node = pair->value;
	struct wm_mask mask;
	const char *word;
	char hint[WM_HINT_SIZE];

	if (node->kind == WM_NODE_MAP) {
		read_fixed_text(pair, ret, diags);
		return;
	}
	word = node->kind == WM_NODE_LIST ? "[...]" : wm_node_is_null(node) ? "null" : node->text;
	if (node->kind == WM_NODE_SCALAR && node->bad)
		return;
	/* "=" stands for a fixed text only in the setting. */
	if (word[0] == '=' || !wm_mask_parse(word, &mask))
		wm_diags_at(diags, WM_ERROR, &node->mark,
		    "\"mask\" of \"%s\" must be sha256, redact, last1 to last99, null "
		    "or {text: \"...\"}, not \"%s\"%s",
		    pair->key, word, wm_hint_word(word, words, WM_ARRAY_SIZE(words), hint));
	else if (!wm_settings_add(ret, pair->key, word, &pair->mark))
		wm_field_oom(node, diags);
}

static void
read_masks(const struct wm_node *node, struct wm_settings *ret, struct wm_diags *diags)
{
	if (node->kind != WM_NODE_MAP) {
		wm_diags_at(diags, WM_ERROR, &node->mark,
		    "\"mask\" must be a map of columns, not %s", wm_field_kind(node));
		return;
	}
	for (size_t i = 0; i < node->n; i++)
		read_mask(&node->pairs[i], ret, diags);
}

static void
read_values(const struct wm_pair *pair, struct wm_translate *ret, struct wm_diags *diags)
{
	const struct wm_node *node = pair->value;

	if (node->kind != WM_NODE_MAP || node->n == 0) {
		wm_diags_at(diags, WM_ERROR, &node->mark,
		    "\"translate\" of \"%s\" must be a map from value to value, not %s", pair->key,
		    node->kind == WM_NODE_MAP ? "an empty one" : wm_field_kind(node));
		return;
	}
	for (size_t i = 0; i < node->n; i++) {
		const struct wm_pair *value = &node->pairs[i];

		if (value->value->kind != WM_NODE_SCALAR)
			wm_diags_at(diags, WM_ERROR, &value->value->mark,
			    "\"translate\" of \"%s\": \"%s\" must become a text, not %s", pair->key,
			    value->key, wm_field_kind(value->value));
		else if (!value->value->bad && !wm_settings_add(&ret->values, value->key,
		    wm_node_is_null(value->value) ? NULL : value->value->text, &value->mark))
			wm_field_oom(node, diags);
	}
}

static void
read_translate(struct wm_rule *rule, const struct wm_node *node, struct wm_diags *diags)
{
	if (node->kind != WM_NODE_MAP) {
		wm_diags_at(diags, WM_ERROR, &node->mark, "\"translate\" must be a map of columns, not %s",
		    wm_field_kind(node));
		return;
	}
	rule->translate = calloc(node->n + 1, sizeof(*rule->translate));
	if (rule->translate == NULL) {
		wm_field_oom(node, diags);
		return;
	}
	for (size_t i = 0; i < node->n; i++) {
		struct wm_translate *t = &rule->translate[i];

		t->mark = node->pairs[i].mark;
		t->column = strdup(node->pairs[i].key);
		if (t->column == NULL) {
			wm_field_oom(node, diags);
			return;
		}
		rule->ntranslate++;
		read_values(&node->pairs[i], t, diags);
	}
}

void
wm_rule_read_columns(struct wm_rule *rule, const struct wm_node *node, struct wm_diags *diags)
{
	static const char *const known[] = { "include", "exclude", "rename", "compute", "mask",
		"translate", "check", "type", NULL };

	if (node->kind != WM_NODE_MAP) {
		wm_diags_at(diags, WM_ERROR, &node->mark, "\"columns\" must be a map, not %s", wm_field_kind(node));
		return;
	}
	wm_node_known_keys(node, "columns", known, diags);
	for (size_t i = 0; i < node->n; i++) {
		const struct wm_node *value = node->pairs[i].value;
		const char *key = node->pairs[i].key;

		if (strcmp(key, "include") == 0) {
			rule->has_include = true;
			wm_field_names(value, key, &rule->include, diags);
		} else if (strcmp(key, "exclude") == 0) {
			wm_field_names(value, key, &rule->exclude, diags);
		} else if (strcmp(key, "rename") == 0) {
			read_rename(value, &rule->rename, diags);
		} else if (strcmp(key, "compute") == 0) {
			read_expressions(value, key, &rule->compute, diags);
		} else if (strcmp(key, "check") == 0) {
			read_expressions(value, key, &rule->check, diags);
		} else if (strcmp(key, "mask") == 0) {
			read_masks(value, &rule->mask, diags);
		} else if (strcmp(key, "translate") == 0) {
			read_translate(rule, value, diags);
		} else if (strcmp(key, "type") == 0) {
			read_type(value, &rule->type, diags);
		}
	}
	if (rule->has_include && rule->exclude.n > 0)
		wm_diags_at(diags, WM_ERROR, &node->mark,
		    "\"columns\" holds both \"include\" and \"exclude\": use one of them");
}

bool
wm_rule_takes_column(const struct wm_rule *rule, const char *column)
{
	if (rule->has_include)
		return wm_names_has(&rule->include, column);
	return !wm_names_has(&rule->exclude, column);
}

/* A setting for a column that the view does not get is a mistake, and for masks a worrying one. */
static void
check_taken(const struct wm_rule *rule, const char *section, const char *column, const struct wm_mark *mark,
    bool computed, struct wm_diags *diags)
{
	if (wm_rule_takes_column(rule, column) || (computed && wm_settings_find(&rule->compute, column) != NULL))
		return;
	wm_diags_at(diags, WM_ERROR, mark, rule->has_include ?
	    "\"%s\" names column \"%s\", which \"include\" does not list" :
	    "\"%s\" names column \"%s\", which \"exclude\" leaves out", section, column);
}

static void
check_all_taken(const struct wm_rule *rule, const char *section, const struct wm_settings *settings, bool computed,
    struct wm_diags *diags)
{
	for (size_t i = 0; i < settings->n; i++)
		check_taken(rule, section, settings->list[i].column, &settings->list[i].mark, computed, diags);
}

void
wm_rule_check_columns(const struct wm_rule *rule, struct wm_diags *diags)
{
	check_all_taken(rule, "rename", &rule->rename, false, diags);
	check_all_taken(rule, "mask", &rule->mask, true, diags);
	check_all_taken(rule, "type", &rule->type, true, diags);
	for (size_t i = 0; i < rule->ntranslate; i++)
		check_taken(rule, "translate", rule->translate[i].column, &rule->translate[i].mark, true, diags);
	for (size_t i = 0; rule->mode == WM_MODE_UPSERT && i < rule->key.n; i++)
		check_taken(rule, "key", rule->key.list[i], &rule->mark, true, diags);
	for (size_t i = 0; i < rule->rename.n; i++) {
		if (wm_settings_find(&rule->compute, rule->rename.list[i].value) != NULL)
			wm_diags_at(diags, WM_ERROR, &rule->rename.list[i].mark,
			    "\"rename\" and \"compute\" both make a column \"%s\"", rule->rename.list[i].value);
	}
}
