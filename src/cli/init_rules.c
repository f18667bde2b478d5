/* SPDX-License-Identifier: PostgreSQL */
/*
 * init_rules.c - the rules files that `walmill init` writes.
 *
 * Whether a table can be synced is asked of the rules module, with the very rule that is
 * written: the reason in the file is the one the daemon would give.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grid.h"
#include "init.h"
#include "walmill/rules.h"
#include "walmill/strutil.h"

#define FILES_MAX 50		/* tables, up to which each gets a file of its own */
#define TEXT_MAX ((size_t)16 << 20)

struct candidate {
	const struct wm_table	*table;
	char			*name;		/* of its rule, unique */
	char			*reason;	/* why it cannot be synced, or NULL */
};

static bool
is_public(const struct wm_table *t)
{
	return strcmp(t->rel->schema, "public") == 0;
}

static const char *
view_of_others(const struct wm_link *link)
{
	return strcmp(link->ops->type, "postgres") == 0 ? "{schema}.{table}" : "{schema}_{table}";
}

/* In letters that are safe in a file's name and need no quotes in YAML. */
static char *
rule_name(const struct wm_table *t)
{
	char *name = is_public(t) ? strdup(t->rel->name) : wm_asprintf("%s_%s", t->rel->schema, t->rel->name);

	for (char *p = name; p != NULL && *p != '\0'; p++)
		if ((*p & 0x80) != 0 || (!isalnum((unsigned char)*p) && *p != '_' && *p != '-'))
			*p = '_';
	return name;
}

static bool
name_taken(const struct candidate *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].name, name) == 0)
			return true;
	return false;
}

static char *
unique_name(const struct candidate *list, size_t n, const struct wm_table *t)
{
	WM_AUTO(wm_freep) char *base = rule_name(t);
	char *name = base == NULL ? NULL : strdup(base);

	for (unsigned i = 2; name != NULL && name_taken(list, n, name); i++) {
		free(name);
		name = wm_asprintf("%s_%u", base, i);
	}
	return name;
}

/* ---- which tables can be synced ---- */

/* An item of a list: outside a list a blank would begin another pattern. */
static void
quote_table(struct wm_buf *out, const char *mark, const char *schema, const char *table)
{
	WM_AUTO(wm_freep) char *text = wm_asprintf("%s%s.%s", mark, schema, table);

	if (text == NULL)
		out->failed = true;
	else
		wm_link_quote(out, text);
}

static struct wm_ruleset *
load_rules(const struct wm_link *link, const struct candidate *list, size_t n, struct wm_config **ret_config,
    struct wm_diags *diags)
{
	WM_AUTO(wm_buf_free) struct wm_buf text;

	wm_buf_init(&text, TEXT_MAX);
	wm_buf_adds(&text, "sources: {source: {uri: \"postgresql:///\"}}\ntargets: {target: {type: ");
	wm_buf_addf(&text, "%s}}\nrules:\n", link->ops->type);
	for (size_t i = 0; i < n; i++) {
		wm_buf_addf(&text, "  - name: \"%s\"\n    table: [", list[i].name);
		quote_table(&text, "", list[i].table->rel->schema, list[i].table->rel->name);
		wm_buf_adds(&text, "]\n");
	}
	*ret_config = text.failed ? NULL : wm_config_parse("init", text.data, "/", diags);
	return *ret_config == NULL ? NULL : wm_ruleset_load(*ret_config, diags);
}

static char *
reason_of(const struct wm_rule *rule, const struct wm_table *t)
{
	static const char no_key[32];
	const struct wm_plan_env env = { .source = "source", .mask_key = no_key, .mask_key_len = sizeof(no_key) };
	struct wm_plan *plan;
	struct wm_error err;

	if (t->unlogged)
		return strdup("it is unlogged, so that its changes are in no stream");
	if (wm_plan_compile(rule, t->rel, &env, &plan, &err) != WM_OK)
		return strdup(err.text);
	wm_plan_free(plan);
	return NULL;
}

static bool
judge(const struct wm_link *link, struct candidate *list, size_t n, struct wm_diags *diags)
{
	struct wm_config *config = NULL;
	struct wm_ruleset *rules = n == 0 ? NULL : load_rules(link, list, n, &config, diags);
	bool good = n == 0 || rules != NULL;

	for (size_t i = 0; rules != NULL && i < n; i++)
		list[i].reason = reason_of(&rules->rules[i], list[i].table);
	wm_ruleset_free(rules);
	wm_config_free(config);
	return good;
}

/* ---- text ---- */

/* A name in a comment must not end the line. */
static void
add_comment(struct wm_buf *out, const char *text)
{
	for (; *text != '\0'; text++)
		wm_buf_addc(out, (unsigned char)*text < 0x20 ? '?' : *text);
}

static void
add_heading(struct wm_buf *out, const struct candidate *c)
{
	char rows[32], size[32];

	wm_buf_adds(out, "# ");
	add_comment(out, c->table->rel->schema);
	wm_buf_addc(out, '.');
	add_comment(out, c->table->rel->name);
	if (c->table->rows >= 0)
		wm_buf_addf(out, ": about %s rows", wm_grid_count((uint64_t)c->table->rows, rows));
	wm_buf_addf(out, "%s%s\n", c->table->rows >= 0 ? ", " : ": ", wm_grid_size((uint64_t)c->table->bytes, size));
	wm_buf_adds(out, "# columns: ");
	for (unsigned i = 0; i < c->table->rel->ncolumns; i++) {
		const struct wm_column *column = &c->table->rel->columns[i];

		wm_buf_adds(out, i == 0 ? "" : ", ");
		add_comment(out, column->name);
		wm_buf_addf(out, " %s", column->type.name);
	}
	wm_buf_addc(out, '\n');
}

/* Commented out, with the reason, when the table cannot be synced. */
static void
add_rule(const struct wm_link *link, const struct candidate *c, struct wm_buf *out)
{
	const char *lead = c->reason == NULL ? "" : "# ";

	if (c->reason != NULL) {
		wm_buf_adds(out, "# Left out: ");
		add_comment(out, c->reason);
		wm_buf_adds(out, "\n# Take the marks away once that is mended.\n");
	}
	wm_buf_addf(out, "%srules:\n%s  - name: \"%s\"\n%s    table: [", lead, lead, c->name, lead);
	quote_table(out, "", c->table->rel->schema, c->table->rel->name);
	wm_buf_addc(out, ']');
	if (!is_public(c->table))
		wm_buf_addf(out, "\n%s    view: \"%s\"", lead, view_of_others(link));
	wm_buf_addc(out, '\n');
}

static void
add_hints(bool has_view, struct wm_buf *out)
{
	if (!has_view)
		wm_buf_adds(out, "    # view: \"{table}\"                    the target's table\n");
	wm_buf_adds(out,
	    "    # where: status <> 'draft'           rows that do not match are not there at the target\n"
	    "    # columns:\n"
	    "    #   exclude: [password_hash]         never leaves the source\n"
	    "    #   rename: {cust: customer_id}\n"
	    "    #   mask: {email: sha256, phone: redact, iban: last4}\n"
	    "    # on_error: retry                    or dead_letter, stop\n");
}

static void
one_file_a_table(const struct wm_link *link, const struct candidate *list, size_t n, struct wm_init_files *files)
{
	for (size_t i = 0; i < n; i++) {
		WM_AUTO(wm_freep) char *name = wm_asprintf("rules.d/%s.yaml", list[i].name);
		struct wm_buf *out = name == NULL ? NULL : wm_init_file(files, name, 0644);

		if (out == NULL) {
			files->failed = true;
			return;
		}
		add_heading(out, &list[i]);
		add_rule(link, &list[i], out);
		if (list[i].reason == NULL)
			add_hints(!is_public(list[i].table), out);
	}
}

/* The tables of one schema under one rule with a pattern. */
static void
schema_file(const struct wm_link *link, const struct candidate *list, size_t n, const char *schema, const char *name,
    struct wm_buf *out)
{
	wm_buf_adds(out, "# All tables of the schema, those to come included.\nrules:\n");
	wm_buf_addf(out, "  - name: %s\n    table:\n      - ", name);
	quote_table(out, "", schema, "*");
	wm_buf_addc(out, '\n');
	for (size_t i = 0; i < n; i++) {
		if (list[i].reason == NULL || strcmp(list[i].table->rel->schema, schema) != 0)
			continue;
		wm_buf_adds(out, "      # ");
		add_comment(out, list[i].reason);
		wm_buf_adds(out, "\n      - ");
		quote_table(out, "!", schema, list[i].table->rel->name);
		wm_buf_addc(out, '\n');
	}
	if (strcmp(schema, "public") != 0)
		wm_buf_addf(out, "    view: \"%s\"\n", view_of_others(link));
	add_hints(strcmp(schema, "public") != 0, out);
}

static bool
schema_seen(const struct candidate *list, size_t n, const char *schema)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].table->rel->schema, schema) == 0)
			return true;
	return false;
}

static void
one_file_a_schema(const struct wm_link *link, const struct candidate *list, size_t n, struct wm_init_files *files)
{
	for (size_t i = 0, nth = 1; i < n; i++) {
		const char *schema = list[i].table->rel->schema;
		WM_AUTO(wm_freep) char *rule = NULL;
		WM_AUTO(wm_freep) char *name = NULL;
		struct wm_buf *out;

		if (schema_seen(list, i, schema))
			continue;
		/* The number keeps schemas apart whose names differ in other letters only. */
		rule = wm_asprintf("schema_%zu", nth++);
		name = rule == NULL ? NULL : wm_asprintf("rules.d/%s.yaml", rule);
		out = name == NULL ? NULL : wm_init_file(files, name, 0644);
		if (out == NULL) {
			files->failed = true;
			return;
		}
		schema_file(link, list, n, schema, rule, out);
	}
}

void
wm_init_rules(const struct wm_link *link, const struct wm_tables *tables, struct wm_init_files *files,
    struct wm_diags *diags)
{
	struct candidate *list = calloc(tables->n + 1, sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; list != NULL && i < tables->n; i++) {
		if (tables->list[i].partition)
			continue;	/* the table that it is part of stands for it */
		list[n].table = &tables->list[i];
		if ((list[n].name = unique_name(list, n, list[n].table)) == NULL)
			files->failed = true;
		else
			n++;
	}
	if (list == NULL)
		files->failed = true;
	else if (!judge(link, list, n, diags))
		diags->errors++;
	else if (n <= FILES_MAX)
		one_file_a_table(link, list, n, files);
	else
		one_file_a_schema(link, list, n, files);
	for (size_t i = 0; i < n; i++) {
		free(list[i].name);
		free(list[i].reason);
	}
	free(list);
}
