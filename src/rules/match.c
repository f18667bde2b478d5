/* SPDX-License-Identifier: PostgreSQL */
/*
 * match.c - which tables a rule takes, and what their views are called.
 *
 * A pattern is kept as "schema.table" or "!schema.table", each part a glob; the first dot
 * parts them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "field.h"
#include "rule.h"
#include "walmill/buf.h"
#include "walmill/strutil.h"

#define PATTERN_MAX 255			/* bytes, "!" and "public." included */
#define VIEW_MAX 4096			/* bytes of a view's name */

static const char *const placeholders[] = { "schema", "table", "source" };

static bool
is_excluding(const char *pattern)
{
	return pattern[0] == '!';
}

/* ---- reading ---- */

static void
add_pattern(struct wm_rule *rule, const struct wm_node *node, const char *text, size_t n, struct wm_diags *diags)
{
	bool excluding = n > 0 && text[0] == '!';
	const char *name = text + excluding;
	size_t len = n - excluding;
	const char *dot = memchr(name, '.', len);
	char pattern[PATTERN_MAX + 1];
	int size;

	if (len == 0 || dot == name || (dot != NULL && dot == name + len - 1)) {
		wm_diags_at(diags, WM_ERROR, &node->mark,
		    "\"table\": \"%.*s\" is no pattern: write schema.table, with * and ? for any characters",
		    (int)n, text);
		return;
	}
	size = snprintf(pattern, sizeof(pattern), "%s%s%.*s", excluding ? "!" : "", dot == NULL ? "public." : "",
	    (int)len, name);
	if (size < 0 || (size_t)size >= sizeof(pattern))
		wm_diags_at(diags, WM_ERROR, &node->mark, "\"table\": a pattern is longer than %d bytes", PATTERN_MAX);
	else if (!wm_names_has(&rule->tables, pattern) && !wm_names_add(&rule->tables, pattern))
		wm_field_oom(node, diags);
}

/* Several patterns in one text, with blanks or commas between them. */
static void
split_patterns(struct wm_rule *rule, const struct wm_node *node, struct wm_diags *diags)
{
	static const char separators[] = " \t\r\n,";
	const char *s = node->text + strspn(node->text, separators);

	while (*s != '\0') {
		size_t n = strcspn(s, separators);

		add_pattern(rule, node, s, n, diags);
		s += n;
		s += strspn(s, separators);
	}
}

static size_t
count_including(const struct wm_rule *rule)
{
	size_t n = 0;

	for (size_t i = 0; i < rule->tables.n; i++)
		n += !is_excluding(rule->tables.list[i]);
	return n;
}

void
wm_rule_read_tables(struct wm_rule *rule, const struct wm_node *node, struct wm_diags *diags)
{
	size_t before = diags->errors;

	if (node->kind == WM_NODE_LIST) {
		for (size_t i = 0; i < node->n; i++) {
			const struct wm_node *item = node->items[i];

			if (wm_field_is_text(item, "table", diags))
				add_pattern(rule, item, item->text, strlen(item->text), diags);
		}
	} else if (wm_field_is_text(node, "table", diags)) {
		split_patterns(rule, node, diags);
	}
	if (diags->errors == before && count_including(rule) == 0)
		wm_diags_at(diags, WM_ERROR, &node->mark,
		    "\"table\" takes no table: name at least one pattern without \"!\"");
}

bool
wm_rule_is_wide(const struct wm_rule *rule)
{
	if (count_including(rule) != 1)
		return true;
	for (size_t i = 0; i < rule->tables.n; i++) {
		if (!is_excluding(rule->tables.list[i]) && strpbrk(rule->tables.list[i], "*?") != NULL)
			return true;
	}
	return false;
}

char *
wm_rule_default_name(const struct wm_rule *rule)
{
	WM_AUTO(wm_buf_free) struct wm_buf b;

	wm_buf_init(&b, VIEW_MAX);
	for (size_t i = 0; i < rule->tables.n; i++) {
		const char *pattern = rule->tables.list[i];

		if (!is_excluding(pattern) && !wm_rule_is_wide(rule))
			return strdup(strchr(pattern, '.') + 1);
		wm_buf_addf(&b, "%s%s", i > 0 ? " " : "", pattern);
	}
	return wm_buf_steal(&b);
}

/* ---- matching ---- */

static bool
pattern_matches(const char *pattern, const char *schema, const char *table)
{
	const char *dot = strchr(pattern, '.');

	return wm_glob_match_n(pattern, (size_t)(dot - pattern), schema) && wm_glob_match(dot + 1, table);
}

bool
wm_rule_matches(const struct wm_rule *rule, const char *schema, const char *table)
{
	bool taken = false;

	for (size_t i = 0; i < rule->tables.n; i++) {
		const char *pattern = rule->tables.list[i];
		bool excluding = is_excluding(pattern);

		if ((excluding || !taken) && pattern_matches(pattern + excluding, schema, table)) {
			if (excluding)
				return false;
			taken = true;
		}
	}
	return taken;
}

/* ---- the view's name ---- */

/* Index into placeholders, or -1; s stands behind the brace. */
static int
placeholder(const char *s, size_t n)
{
	for (size_t i = 0; i < WM_ARRAY_SIZE(placeholders); i++) {
		if (strlen(placeholders[i]) == n && memcmp(placeholders[i], s, n) == 0)
			return (int)i;
	}
	return -1;
}

void
wm_rule_check_view(const struct wm_node *node, struct wm_diags *diags)
{
	if (node->text[0] == '\0' && !wm_node_is_null(node))
		wm_diags_at(diags, WM_ERROR, &node->mark, "\"view\" must not be empty");
	for (const char *s = strchr(node->text, '{'); s != NULL; s = strchr(s + 1, '{')) {
		size_t n = strcspn(s + 1, "{}");
		WM_AUTO(wm_freep) char *word = strndup(s + 1, n);
		char hint[WM_HINT_SIZE];

		if (word == NULL)
			wm_field_oom(node, diags);
		else if (s[1 + n] != '}')
			wm_diags_at(diags, WM_ERROR, &node->mark, "\"view\": a \"{\" is not closed");
		else if (placeholder(word, n) < 0)
			wm_diags_at(diags, WM_ERROR, &node->mark,
			    "\"view\": unknown placeholder {%s}%s; there are {schema}, {table} and {source}", word,
			    wm_hint_word(word, placeholders, WM_ARRAY_SIZE(placeholders), hint));
	}
}

char *
wm_rule_view_name(const struct wm_rule *rule, const char *schema, const char *table)
{
	const char *const values[] = { schema, table, rule->source };
	WM_AUTO(wm_buf_free) struct wm_buf b;
	const char *s = rule->view;

	wm_buf_init(&b, VIEW_MAX);
	while (*s != '\0') {
		size_t plain = strcspn(s, "{"), n;

		wm_buf_add(&b, s, plain);
		s += plain;
		if (*s == '\0')
			break;
		n = strcspn(s + 1, "}");
		wm_buf_adds(&b, values[placeholder(s + 1, n)]);
		s += n + 2;
	}
	return wm_buf_steal(&b);
}
