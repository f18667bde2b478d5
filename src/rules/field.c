/* SPDX-License-Identifier: PostgreSQL */
/*
 * field.c - lists of names and settings as rules hold them.
 */
#include "field.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "walmill/strutil.h"

const char *
wm_hint_word(const char *word, const char *const *candidates, size_t n, char *hint)
{
	const char *near = wm_nearest(word, candidates, n);

	hint[0] = '\0';
	if (near != NULL)
		snprintf(hint, WM_HINT_SIZE, " (did you mean \"%s\"?)", near);
	return hint;
}

const char *
wm_hint_column(const char *word, const struct wm_relation *rel, char *hint)
{
	WM_AUTO(wm_freep) const char **names = reallocarray(NULL, rel->ncolumns + 1, sizeof(const char *));

	hint[0] = '\0';
	if (names == NULL)
		return hint;
	for (unsigned i = 0; i < rel->ncolumns; i++)
		names[i] = rel->columns[i].name;
	return wm_hint_word(word, names, rel->ncolumns, hint);
}

void
wm_field_oom(const struct wm_node *node, struct wm_diags *diags)
{
	wm_diags_at(diags, WM_ERROR, &node->mark, "out of memory for this rule");
}

const char *
wm_field_kind(const struct wm_node *node)
{
	switch (node->kind) {
	case WM_NODE_MAP:
		return "a map";
	case WM_NODE_LIST:
		return "a list";
	default:
		return wm_node_is_null(node) ? "nothing" : "a text";
	}
}

bool
wm_field_is_text(const struct wm_node *node, const char *what, struct wm_diags *diags)
{
	if (node->kind != WM_NODE_SCALAR || wm_node_is_null(node)) {
		wm_diags_at(diags, WM_ERROR, &node->mark, "\"%s\" must be a text, not %s", what, wm_field_kind(node));
		return false;
	}
	if (node->bad)
		return false;
	if (node->text[0] == '\0') {
		wm_diags_at(diags, WM_ERROR, &node->mark, "\"%s\" must not be empty", what);
		return false;
	}
	return true;
}

static void
add_name(const struct wm_node *node, const char *what, struct wm_names *ret, struct wm_diags *diags)
{
	if (!wm_field_is_text(node, what, diags))
		return;
	if (wm_names_has(ret, node->text))
		wm_diags_at(diags, WM_ERROR, &node->mark, "\"%s\" names \"%s\" twice", what, node->text);
	else if (!wm_names_add(ret, node->text))
		wm_field_oom(node, diags);
}

void
wm_field_names(const struct wm_node *node, const char *what, struct wm_names *ret, struct wm_diags *diags)
{
	if (node->kind == WM_NODE_MAP) {
		wm_diags_at(diags, WM_ERROR, &node->mark, "\"%s\" must be a list of names, not a map", what);
		return;
	}
	if (node->kind == WM_NODE_SCALAR) {
		add_name(node, what, ret, diags);
		return;
	}
	if (node->n == 0)
		wm_diags_at(diags, WM_ERROR, &node->mark, "\"%s\" is an empty list", what);
	for (size_t i = 0; i < node->n; i++)
		add_name(node->items[i], what, ret, diags);
}

void
wm_field_settings(const struct wm_node *node, const char *what, struct wm_settings *ret, struct wm_diags *diags)
{
	if (node->kind != WM_NODE_MAP) {
		wm_diags_at(diags, WM_ERROR, &node->mark, "\"%s\" must be a map of columns, not %s", what,
		    wm_field_kind(node));
		return;
	}
	for (size_t i = 0; i < node->n; i++) {
		const struct wm_pair *pair = &node->pairs[i];

		if (wm_field_is_text(pair->value, pair->key, diags) &&
		    !wm_settings_add(ret, pair->key, pair->value->text, &pair->mark))
			wm_field_oom(node, diags);
	}
}

/* ---- names ---- */

bool
wm_names_add(struct wm_names *names, const char *name)
{
	char **list = reallocarray(names->list, names->n + 1, sizeof(*list));

	if (list == NULL)
		return false;
	names->list = list;
	list[names->n] = strdup(name);
	if (list[names->n] == NULL)
		return false;
	names->n++;
	return true;
}

bool
wm_names_has(const struct wm_names *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++) {
		if (strcmp(names->list[i], name) == 0)
			return true;
	}
	return false;
}

void
wm_names_free(struct wm_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->list[i]);
	free(names->list);
}

/* ---- settings ---- */

bool
wm_settings_add(struct wm_settings *settings, const char *column, const char *value, const struct wm_mark *mark)
{
	struct wm_setting *list = reallocarray(settings->list, settings->n + 1, sizeof(*list));
	struct wm_setting s = { .column = strdup(column),
		.value = value != NULL ? strdup(value) : NULL,
		.mark = *mark };

	if (list != NULL)
		settings->list = list;
	if (list == NULL || s.column == NULL || (value != NULL && s.value == NULL)) {
		free(s.column);
		free(s.value);
		return false;
	}
	list[settings->n++] = s;
	return true;
}

const struct wm_setting *
wm_settings_find(const struct wm_settings *settings, const char *column)
{
	for (size_t i = 0; i < settings->n; i++) {
		if (strcmp(settings->list[i].column, column) == 0)
			return &settings->list[i];
	}
	return NULL;
}

void
wm_settings_free(struct wm_settings *settings)
{
	for (size_t i = 0; i < settings->n; i++) {
		free(settings->list[i].column);
		free(settings->list[i].value);
	}
	free(settings->list);
}
