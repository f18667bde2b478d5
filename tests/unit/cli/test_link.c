/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_link.c - what two URIs become: names, slot, state folder, configuration.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../../src/cli/link.h"
#include "walmill/log.h"
#include "walmill/strutil.h"

/* ---- two back-ends that store nothing ---- */

struct fake {
	struct wm_target	 base;
	char			*place;
};

static void
fake_close(struct wm_target *t)
{
	(void)t;
}

static const struct wm_option path_options[] = {
	{ .name = "path", .kind = WM_OPT_PATH, .offset = offsetof(struct fake, place), .required = true },
	{ .name = NULL },
};
static const struct wm_option uri_options[] = {
	{ .name = "uri", .kind = WM_OPT_STRING, .offset = offsetof(struct fake, place), .required = true },
	{ .name = NULL },
};
static const char *const file_schemes[] = { "sqlite", NULL };
static const char *const server_schemes[] = { "postgresql", "postgres", NULL };
static const struct wm_target_ops file_ops = {
	.type = "sqlite", .schemes = file_schemes, .uri_option = "path", .uri_strip = true, .size = sizeof(struct fake),
	.options = path_options, .close = fake_close,
};
static const struct wm_target_ops server_ops = {
	.type = "postgres", .schemes = server_schemes, .uri_option = "uri", .size = sizeof(struct fake),
	.options = uri_options, .close = fake_close,
};
const struct wm_target_ops *const wm_targets[] = { &file_ops, &server_ops, NULL };

/* ---- helpers ---- */

static struct wm_link
make(const char *source, const char *target)
{
	const struct wm_link_flags flags = { .source = source, .target = target };
	struct wm_link link;
	struct wm_error err = { 0 };

	if (wm_link_make(&flags, &link, &err) != WM_OK)
		fail_msg("%s", err.text);
	return link;
}

static void
assert_refused(const char *source, const char *target, const char *text)
{
	const struct wm_link_flags flags = { .source = source, .target = target };
	struct wm_link link;
	struct wm_error err = { 0 };

	assert_int_equal(wm_link_make(&flags, &link, &err), WM_FATAL);
	if (strstr(err.text, text) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

static struct wm_setup *
load(const struct wm_link *link, const struct wm_flag_list *tables)
{
	static const struct wm_flag_list none;
	struct wm_diags diags = { 0 };
	struct wm_setup *setup = wm_link_setup(link, tables == NULL ? &none : tables, &diags);

	if (setup == NULL)
		fail_msg("%s", diags.n > 0 ? diags.list[0].text : "no setup");
	wm_diags_free(&diags);
	return setup;
}

static int
setup_group(void **state)
{
	(void)state;
	setenv("HOME", "/home/someone", 1);
	unsetenv("XDG_STATE_HOME");
	unsetenv("PGDATABASE");
	unsetenv("PGHOST");
	return 0;
}

/* ---- tests ---- */

static void
names_follow_from_the_database(void **state)
{
	struct wm_link link = make("postgresql://me@db.example.com/My-Shop", "sqlite:/var/tmp/w.db");
	char expected[200];

	(void)state;
	assert_string_equal(link.source, "my_shop");
	assert_memory_equal(link.slot, "walmill_my_shop_", 16);
	assert_int_equal(strlen(link.slot), 24);
	assert_string_equal(link.publication, link.slot);
	snprintf(expected, sizeof(expected), "/home/someone/.local/state/walmill/my_shop-");
	assert_memory_equal(link.state, expected, strlen(expected));
	/* The slot's digits are the end of the state folder's. */
	assert_string_equal(link.state + strlen(link.state) - 8, link.slot + 16);
	wm_link_free(&link);
}

static void
a_password_changes_nothing_and_is_a_secret(void **state)
{
	struct wm_link a = make("postgresql://me@db/shop", "postgresql://me@dw/reports");
	struct wm_link b = make("postgresql://me:hunter22@db/shop", "postgresql://me:s3cr3t%40@dw/reports");
	char text[] = "hunter22 and s3cr3t@";

	(void)state;
	assert_string_equal(a.state, b.state);
	assert_string_equal(a.slot, b.slot);
	assert_false(a.source_password);
	assert_true(b.source_password);
	assert_true(b.target_password);
	wm_secret_scrub(text);
	assert_string_equal(text, "*** and ***");
	wm_link_free(&a);
	wm_link_free(&b);
}

static void
other_uris_have_another_state(void **state)
{
	struct wm_link a = make("postgresql://me@db/shop", "sqlite:/a.db");
	struct wm_link b = make("postgresql://me@db/shop", "sqlite:/b.db");
	struct wm_link c = make("postgresql://me@db2/shop", "sqlite:/a.db");

	(void)state;
	assert_string_not_equal(a.state, b.state);
	assert_string_not_equal(a.state, c.state);
	assert_string_not_equal(b.slot, c.slot);
	wm_link_free(&a);
	wm_link_free(&b);
	wm_link_free(&c);
}

static void
relative_paths_become_absolute(void **state)
{
	struct wm_link link = make("postgresql://me@db/shop", "sqlite:w.db");
	WM_AUTO(wm_freep) char *here = getcwd(NULL, 0);
	WM_AUTO(wm_freep) char *expected = wm_asprintf("sqlite:%s/w.db", here);

	(void)state;
	assert_string_equal(link.target_uri, expected);
	wm_link_free(&link);
}

static void
long_names_fit_a_slot(void **state)
{
	struct wm_link link = make("postgresql://me@db/a123456789b123456789c123456789d123456789e123456789f123456789abc",
	    "sqlite:/a.db");

	(void)state;
	assert_int_equal(strlen(link.slot), 63);
	wm_link_free(&link);
}

static void
mistakes_are_refused_without_the_password(void **state)
{
	const struct wm_link_flags flags = { .source = "postgresql://me:pa/ss@db:port/shop", .target = "sqlite:/a.db" };
	struct wm_link link;
	struct wm_error err;

	(void)state;
	assert_refused("postgresql://me@db/shop", "oracle:x", "no target takes a URI that begins with \"oracle:\"");
	assert_refused("postgresql://me@db:5432/shop", "postgresql://you:pw@db/shop", "the same database");
	assert_int_equal(wm_link_make(&flags, &link, &err), WM_FATAL);
	assert_non_null(strstr(err.text, "the source URI cannot be read"));
	assert_null(strstr(err.text, "pa/ss"));
}

static void
all_tables_are_two_rules(void **state)
{
	struct wm_link link = make("postgresql://me@db/shop", "sqlite:/a.db");
	struct wm_setup *setup = load(&link, NULL);
	const struct wm_rule *public = wm_ruleset_find(setup->rules, "public");
	const struct wm_rule *others = wm_ruleset_find(setup->rules, "others");

	(void)state;
	assert_int_equal(setup->rules->n, 2);
	assert_string_equal(public->view, "{table}");
	assert_true(wm_rule_matches(public, "public", "orders"));
	assert_false(wm_rule_matches(public, "sales", "orders"));
	assert_string_equal(others->view, "{schema}_{table}");
	assert_true(wm_rule_matches(others, "sales", "orders"));
	assert_false(wm_rule_matches(others, "public", "orders"));
	assert_string_equal(setup->config->sources[0].name, "shop");
	assert_string_equal(setup->config->sources[0].uri, "postgresql://me@db/shop");
	assert_string_equal(setup->config->sources[0].slot, link.slot);
	assert_string_equal(((struct fake *)setup->targets[0])->place, "/a.db");
	assert_string_equal(setup->config->state, link.state);
	assert_memory_equal(setup->config->admin_socket, link.state, strlen(link.state));
	assert_string_equal(setup->config->admin_socket + strlen(link.state), "/walmill.sock");
	assert_false(setup->config->journal);
	wm_setup_unref(setup);
	wm_link_free(&link);
}

static void
globs_are_sorted_by_schema(void **state)
{
	const char *globs[] = { "orders", "sales_*.x", "p*.log_*", "!*.tmp_?" };
	const struct wm_flag_list tables = { 4, globs };
	struct wm_link link = make("postgresql://me@db/shop", "postgresql://me@dw/shop");
	struct wm_setup *setup = load(&link, &tables);
	const struct wm_rule *public = wm_ruleset_find(setup->rules, "public");
	const struct wm_rule *others = wm_ruleset_find(setup->rules, "others");

	(void)state;
	assert_string_equal(others->view, "{schema}.{table}");
	assert_true(wm_rule_matches(public, "public", "orders"));
	assert_false(wm_rule_matches(public, "public", "customers"));
	assert_true(wm_rule_matches(public, "public", "log_1"));
	assert_false(wm_rule_matches(public, "public", "tmp_1"));
	assert_false(wm_rule_matches(others, "public", "log_1"));
	assert_true(wm_rule_matches(others, "private", "log_1"));
	assert_true(wm_rule_matches(others, "sales_eu", "x"));
	assert_false(wm_rule_matches(others, "sales_eu", "orders"));
	wm_setup_unref(setup);
	wm_link_free(&link);
}

static void
one_table_is_one_rule(void **state)
{
	const char *globs[] = { "public.orders" };
	const struct wm_flag_list tables = { 1, globs };
	struct wm_link link = make("postgresql://me@db/shop", "sqlite:/a.db");
	struct wm_setup *setup = load(&link, &tables);

	(void)state;
	assert_int_equal(setup->rules->n, 1);
	assert_string_equal(setup->rules->rules[0].name, "public");
	wm_setup_unref(setup);
	wm_link_free(&link);
}

/* What stands in a URI is data: neither YAML nor a secret's reference. */
static void
odd_characters_survive_the_configuration(void **state)
{
	static const char source[] = "host=db dbname='a\"b\\\\c: #{x' application_name='${env:HOME}'";
	const char *globs[] = { "public.o \"x\"", "public.${env:HOME}" };
	const struct wm_flag_list tables = { 2, globs };
	struct wm_link link = make(source, "sqlite:/tmp/a \"b\" ${env:HOME} #x: y.db");
	struct wm_setup *setup = load(&link, &tables);

	(void)state;
	assert_string_equal(setup->config->sources[0].uri, source);
	assert_string_equal(((struct fake *)setup->targets[0])->place, "/tmp/a \"b\" ${env:HOME} #x: y.db");
	assert_true(wm_rule_matches(&setup->rules->rules[0], "public", "o \"x\""));
	assert_true(wm_rule_matches(&setup->rules->rules[0], "public", "${env:HOME}"));
	wm_setup_unref(setup);
	wm_link_free(&link);
}

static void
given_names_win(void **state)
{
	const struct wm_link_flags flags = { .source = "postgresql://me@db/shop",
		.target = "sqlite:/a.db",
		.state = "/s",
		.slot = "my_slot",
		.publication = "My Pub" };
	struct wm_link link;
	struct wm_setup *setup;

	(void)state;
	assert_int_equal(wm_link_make(&flags, &link, NULL), WM_OK);
	setup = load(&link, NULL);
	assert_string_equal(setup->config->state, "/s");
	assert_string_equal(setup->config->sources[0].slot, "my_slot");
	assert_string_equal(setup->config->sources[0].publication, "My Pub");
	wm_setup_unref(setup);
	wm_link_free(&link);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_follow_from_the_database),
		cmocka_unit_test(a_password_changes_nothing_and_is_a_secret),
		cmocka_unit_test(other_uris_have_another_state),
		cmocka_unit_test(relative_paths_become_absolute),
		cmocka_unit_test(long_names_fit_a_slot),
		cmocka_unit_test(mistakes_are_refused_without_the_password),
		cmocka_unit_test(all_tables_are_two_rules),
		cmocka_unit_test(globs_are_sorted_by_schema),
		cmocka_unit_test(one_table_is_one_rule),
		cmocka_unit_test(odd_characters_survive_the_configuration),
		cmocka_unit_test(given_names_win),
	};

	return cmocka_run_group_tests_name("cli_link", tests, setup_group, NULL);
}
