/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_config.c - walmill.yaml: every section's values, defaults and errors.
 */
#include "walmill/config.h"

#include "expect.h"
#include "walmill/clock.h"

/* The least that is a configuration; texts are put before and behind it. */
#define SOURCES "sources: {shop: {uri: postgresql://h/shop}}\n"
#define TARGETS "targets: {w: {type: sqlite, path: w.db}}\n"
#define RULES "rules: [{table: public.orders}]\n"
#define WHOLE SOURCES TARGETS RULES

static struct wm_config *
parse(const char *text, struct wm_diags *d)
{
	return wm_config_parse("w.yaml", text, "/etc/walmill", d);
}

static struct wm_config *
accepted(const char *text)
{
	struct wm_diags d = { 0 };
	struct wm_config *c = parse(text, &d);

	expect_diags(&d, "");
	assert_non_null(c);
	return c;
}

static void
refused(const char *text, const char *expected)
{
	struct wm_diags d = { 0 };

	assert_null(parse(text, &d));
	expect_diags(&d, expected);
}

static void
defaults(void **state WM_UNUSED)
{
	struct wm_config *c = accepted(WHOLE);

	assert_null(c->path);
	assert_string_equal(c->folder, "/etc/walmill");
	assert_int_equal(c->nsources, 1);
	assert_string_equal(c->sources[0].name, "shop");
	assert_string_equal(c->sources[0].uri, "postgresql://h/shop");
	assert_string_equal(c->sources[0].slot, "walmill_shop");
	assert_string_equal(c->sources[0].publication, "walmill_shop");
	assert_true(c->sources[0].manage);
	assert_int_equal(c->sources[0].discover, 5000000);
	assert_int_equal(c->sources[0].silence, 60000000);
	assert_int_equal(c->sources[0].failover, WM_FAILOVER_AUTO);
	assert_int_equal(c->sources[0].on_slot_lost, WM_SLOT_LOST_STOP);
	assert_true(c->sources[0].canary);
	assert_int_equal(c->sources[0].canary_every, 60 * 1000000ll);
	assert_int_equal(c->sources[0].canary_within, 300 * 1000000ll);
	assert_int_equal(c->ntargets, 1);
	assert_string_equal(c->targets[0].name, "w");
	assert_string_equal(wm_node_get(c->targets[0].node, "path")->text, "w.db");
	assert_int_equal(c->nrules, 1);
	assert_string_equal(wm_node_get(c->rules[0], "table")->text, "public.orders");
	assert_string_equal(c->state, "/var/lib/walmill");
	assert_true(c->journal);
	assert_int_equal(c->journal_max_bytes, 10ull << 30);
	assert_int_equal(c->memory, 48 << 20);
	assert_string_equal(c->admin_socket, "/run/walmill/walmill.sock");
	assert_null(c->admin_listen);
	assert_null(c->admin_secret_key);
	assert_null(c->mask_key);
	assert_int_equal(c->nalerts, 0);
	assert_int_equal(c->log_format, WM_LOG_TEXT);
	assert_int_equal(c->log_level, WM_LOG_INFO);
	wm_config_free(c);
}

static void
every_key(void **state WM_UNUSED)
{
	struct wm_config *c;

	setenv("WM_TEST_KEY", "0123456789abcdef", 1);
	c = accepted("sources:\n"
	    "  eu.Shop-1:\n"
	    "    canary: {within: 2s}\n"
	    "    failover: true\n"
	    "    on_slot_lost: seed\n"
	    "    uri: host=h dbname=shop\n"
	    "  us:\n"
	    "    uri: postgres://h/us\n"
	    "    slot: my_slot\n"
	    "    publication: My Pub\n"
	    "    manage: false\n"
	    "    discover: 1min\n"
	    "    silence: 2s\n"
	    "    canary: off\n"
	    "    failover: false\n"
	    "targets:\n"
	    "  a: {type: sqlite, path: a.db}\n"
	    "  b: {type: postgres, uri: postgresql://h/b}\n"
	    "rules: [{table: t1}, {table: t2}]\n"
	    "state: var\n"
	    "memory: 1MiB\n"
	    "mask_key: ${env:WM_TEST_KEY}\n"
	    "journal: {max_bytes: 2GiB}\n"
	    "admin: {socket: run/w.sock, listen: '[::1]:8042', secret_key: \"${env:WM_TEST_KEY}\"}\n"
	    "alerts:\n"
	    "  - {to: mailto:ops@example.com, smtp: smtp://mail:587}\n"
	    "  - to: https://hooks.example.com/w\n"
	    "log: {format: json, level: debug}\n");
	assert_int_equal(c->nsources, 2);
	assert_string_equal(c->sources[0].slot, "walmill_eu_shop_1");
	assert_string_equal(c->sources[0].publication, "walmill_eu_shop_1");
	assert_true(c->sources[0].canary);
	assert_int_equal(c->sources[0].canary_every, 60 * 1000000ll);
	assert_int_equal(c->sources[0].canary_within, 2 * 1000000ll);
	assert_int_equal(c->sources[0].failover, WM_FAILOVER_ON);
	assert_int_equal(c->sources[0].on_slot_lost, WM_SLOT_LOST_SEED);
	assert_int_equal(c->sources[1].failover, WM_FAILOVER_OFF);
	assert_int_equal(c->sources[1].mark.line, 7);
	assert_int_equal(c->sources[1].mark.column, 3);
	assert_string_equal(c->sources[1].slot, "my_slot");
	assert_string_equal(c->sources[1].publication, "My Pub");
	assert_false(c->sources[1].manage);
	assert_int_equal(c->sources[1].discover, 60 * 1000000ll);
	assert_int_equal(c->sources[1].silence, 2000000);
	assert_false(c->sources[1].canary);
	assert_int_equal(c->ntargets, 2);
	assert_string_equal(c->targets[1].name, "b");
	assert_int_equal(c->targets[1].mark.line, 18);
	assert_int_equal(c->nrules, 2);
	assert_string_equal(c->state, "/etc/walmill/var");
	assert_int_equal(c->memory, 1 << 20);
	assert_string_equal(c->mask_key, "0123456789abcdef");
	assert_true(c->journal);
	assert_int_equal(c->journal_max_bytes, 2ull << 30);
	assert_string_equal(c->admin_socket, "/etc/walmill/run/w.sock");
	assert_string_equal(c->admin_listen, "[::1]:8042");
	assert_string_equal(c->admin_secret_key, "0123456789abcdef");
	assert_int_equal(c->nalerts, 2);
	assert_string_equal(c->alerts[0].smtp, "smtp://mail:587");
	assert_null(c->alerts[1].smtp);
	assert_int_equal(c->alerts[1].repeat, 6 * 3600 * WM_SEC);
	assert_int_equal(c->alerts[1].interval, 60 * WM_SEC);
	assert_int_equal(c->alerts[1].retrying, 300 * WM_SEC);
	assert_int_equal(c->log_format, WM_LOG_JSON);
	assert_int_equal(c->log_level, WM_LOG_DEBUG);
	wm_config_free(c);
	unsetenv("WM_TEST_KEY");
}

static void
switches(void **state WM_UNUSED)
{
	struct wm_config *c = accepted(WHOLE "journal: off\nadmin: {socket: off}\n");

	assert_false(c->journal);
	assert_null(c->admin_socket);
	wm_config_free(c);
	c = accepted(WHOLE "journal: on\nadmin: {socket: 'off'}\nlog:\nalerts:\n");
	assert_true(c->journal);
	assert_int_equal(c->journal_max_bytes, 10ull << 30);
	assert_string_equal(c->admin_socket, "/etc/walmill/off");
	wm_config_free(c);
	refused(WHOLE "journal: 'off'\n", "w.yaml:4:10: journal must be a map of options, not a text\n");
	refused(WHOLE "journal: {max_bytes: 1000}\n",
	    "w.yaml:4:22: \"max_bytes\" in journal must be a size such as 512KiB, 8MiB or 10GiB, "
	    "of at least 1MiB, not \"1000\"\n");
}

static void
nothing_to_read(void **state WM_UNUSED)
{
	refused("", "w.yaml:1:1: the file is empty: add sources and targets, or let walmill init write one\n");
	refused("---\n", "w.yaml:1:1: the file is empty: add sources and targets, or let walmill init write one\n");
	refused("# x\n\n- a\n", "w.yaml:3:1: the configuration must be a map with sources, targets and rules\n");
}

static void
missing_sections(void **state WM_UNUSED)
{
	refused("# comment\n" RULES,
	    "w.yaml:2:1: there are no sources: add \"sources: {NAME: {uri: postgresql://USER@HOST/DATABASE}}\"\n"
	    "w.yaml:2:1: there are no targets: add \"targets: {NAME: {type: sqlite, path: FILE}}\"\n");
	refused(RULES "sources: {}\ntargets:\n",
	    "w.yaml:2:10: there are no sources: add \"sources: {NAME: {uri: postgresql://USER@HOST/DATABASE}}\"\n"
	    "w.yaml:3:1: there are no targets: add \"targets: {NAME: {type: sqlite, path: FILE}}\"\n");
	refused(RULES "sources: [a]\ntargets: x\n",
	    "w.yaml:2:10: sources must be a map of names, such as "
	    "\"sources: {NAME: {uri: postgresql://USER@HOST/DATABASE}}\"\n"
	    "w.yaml:3:10: targets must be a map of names, such as \"targets: {NAME: {type: sqlite, path: FILE}}\"\n");
}

static void
mistakes_in_sources(void **state WM_UNUSED)
{
	refused("sources:\n"
	    "  a b: {uri: postgresql://h/d}\n"
	    "  none:\n"
	    "  text: postgresql://h/d\n"
	    "  keys: {url: postgresql://h/d}\n"
	    "  mysql: {uri: mysql://u:hunter2@h/d}\n"
	    "  word: {uri: shop}\n"
	    "  slots: {uri: postgresql://h/d, slot: My-Slot, publication: '', discover: 5ms}\n"
	    TARGETS RULES,
	    "w.yaml:2:3: source name \"a b\" must be made of letters, digits, \"_\", \".\" and \"-\"\n"
	    "w.yaml:3:3: source \"none\" lacks \"uri\" (the database, as postgresql://USER@HOST/DATABASE)\n"
	    "w.yaml:4:9: source \"text\" must be a map of options, not a text\n"
	    "w.yaml:5:10: unknown key \"url\" in source \"keys\" (did you mean \"uri\"?)\n"
	    "w.yaml:5:9: source \"keys\" lacks \"uri\" (the database, as postgresql://USER@HOST/DATABASE)\n"
	    "w.yaml:6:16: \"uri\" in source \"mysql\" must be postgresql://USER@HOST/DATABASE or "
	    "host=HOST dbname=DATABASE ...\n"
	    "w.yaml:7:15: \"uri\" in source \"word\" must be postgresql://USER@HOST/DATABASE or "
	    "host=HOST dbname=DATABASE ...\n"
	    "w.yaml:8:76: \"discover\" in source \"slots\" must be a duration such as 100ms, 5s, 10min, 2h or 1d, "
	    "of at least 100ms, not \"5ms\"\n"
	    "w.yaml:8:40: slot name \"My-Slot\" of source \"slots\" must be 1 to 63 of a-z, 0-9 and \"_\"\n"
	    "w.yaml:8:62: publication name \"\" of source \"slots\" must have 1 to 63 bytes\n");
}

static void
names_too_long_for_postgresql(void **state WM_UNUSED)
{
	refused("sources:\n  s2345678901234567890123456789012345678901234567890123456: {uri: postgresql://h/d}\n"
	    TARGETS RULES,
	    "w.yaml:2:3: slot name \"walmill_s2345678901234567890123456789012345678901234567890123456\" of source "
	    "\"s2345678901234567890123456789012345678901234567890123456\" must be 1 to 63 of a-z, 0-9 and \"_\": "
	    "add \"slot:\" with a shorter one\n"
	    "w.yaml:2:3: publication name \"walmill_s2345678901234567890123456789012345678901234567890123456\" of "
	    "source \"s2345678901234567890123456789012345678901234567890123456\" must have 1 to 63 bytes: "
	    "add \"publication:\" with a shorter one\n");
}

static void
one_slot_for_two_sources(void **state WM_UNUSED)
{
	refused("sources:\n  Shop: {uri: postgresql://h/d}\n  shop: {uri: postgresql://h/d}\n" TARGETS RULES,
	    "w.yaml:3:3: sources \"Shop\" and \"shop\" use the same slot \"walmill_shop\" of the same database: "
	    "give each its own \"slot:\"\n");
}

static void
lanes(void **state WM_UNUSED)
{
	struct wm_config *c = accepted(
	    "sources:\n  a: {uri: postgresql://h/d, slots: 3, streaming: true, slot: x, canary: off}\n"
	    "  b: {uri: postgresql://h/d}\n" TARGETS RULES);
	static const char *const names[] = { "a", "a/2", "a/3", "b" };
	static const char *const slots[] = { "x", "x_2", "x_3", "walmill_b" };
	static const char *const publications[] = { "walmill_a", "walmill_a_2", "walmill_a_3", "walmill_b" };

	assert_int_equal(c->nsources, 4);
	for (size_t i = 0; i < 4; i++) {
		const struct wm_source_config *s = &c->sources[i];
		char *folder = wm_config_journal_folder(c, s->name);

		assert_string_equal(s->name, names[i]);
		assert_string_equal(s->slot, slots[i]);
		assert_string_equal(s->publication, publications[i]);
		assert_string_equal(s->base, i < 3 ? "a" : "b");
		assert_int_equal(s->lane, i < 3 ? i + 1 : 1);
		assert_int_equal(s->lanes, i < 3 ? 3 : 1);
		assert_int_equal(s->streaming, i < 3);
		assert_int_equal(s->canary, i == 3);
		assert_string_equal(strstr(folder, "/journal/"), i == 1 ? "/journal/a@2" : i == 2 ? "/journal/a@3" :
		    i == 0 ? "/journal/a" : "/journal/b");
		free(folder);
	}
	wm_config_free(c);
}

static void
mistakes_in_lanes(void **state WM_UNUSED)
{
	refused(
	    "sources:\n  a: {uri: postgresql://h/d, slots: 17}\n  b: {uri: postgresql://h/d, slots: 0}\n" TARGETS
		RULES,
	    "w.yaml:2:37: \"slots\" in source \"a\" must be a whole number from 1 to 16, not \"17\"\n"
	    "w.yaml:3:37: \"slots\" in source \"b\" must be a whole number from 1 to 16, not \"0\"\n");
	refused("sources:\n  a/2: {uri: postgresql://h/d}\n" TARGETS RULES,
	    "w.yaml:2:3: source name \"a/2\" must be made of letters, digits, \"_\", \".\" and \"-\"\n");
	refused("sources:\n  a: {uri: postgresql://h/d, slots: 2}\n  a_2: {uri: postgresql://h/d}\n" TARGETS RULES,
	    "w.yaml:3:3: sources \"a\" and \"a_2\" use the same slot \"walmill_a_2\" of the same database: "
	    "give each its own \"slot:\"\n");
	/* With its number it would be longer than PostgreSQL allows. */
	refused("sources:\n  a: {uri: postgresql://h/d, slots: 10, publication: p, "
		"slot: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx}\n" TARGETS RULES,
	    "w.yaml:2:63: slot name \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\" of source \"a\" "
	    "must be 1 to 60 of a-z, 0-9 and \"_\"\n");
}

static void
lane_of_a_table(void **state WM_UNUSED)
{
	/* For ever: another answer moves tables of those who update. */
	static const struct {
		const char	*schema, *table;
		unsigned	 of2, of3, of4, of16;
	} fixed[] = {
		{ "public", "plain", 2, 3, 3, 11 },
		{ "public", "pairs", 2, 3, 4, 8 },
		{ "public", "evolving", 1, 1, 1, 14 },
		{ "public", "t1", 1, 1, 1, 13 },
		{ "public", "t6", 2, 2, 4, 4 },
		{ "public", "t7", 2, 2, 2, 2 },
	};
	unsigned count[WM_LANES_MAX + 1] = { 0 };

	for (size_t i = 0; i < WM_ARRAY_SIZE(fixed); i++) {
		assert_int_equal(wm_lane_of(fixed[i].schema, fixed[i].table, 1), 1);
		assert_int_equal(wm_lane_of(fixed[i].schema, fixed[i].table, 2), fixed[i].of2);
		assert_int_equal(wm_lane_of(fixed[i].schema, fixed[i].table, 3), fixed[i].of3);
		assert_int_equal(wm_lane_of(fixed[i].schema, fixed[i].table, 4), fixed[i].of4);
		assert_int_equal(wm_lane_of(fixed[i].schema, fixed[i].table, 16), fixed[i].of16);
	}
	/* A lane more takes tables, and moves none between the others. */
	for (unsigned i = 0; i < 1600; i++) {
		char table[20];

		snprintf(table, sizeof(table), "t%u", i);
		for (unsigned n = 1; n < WM_LANES_MAX; n++) {
			unsigned before = wm_lane_of("public", table, n), after = wm_lane_of("public", table, n + 1);

			assert_true(after == before || after == n + 1);
		}
		count[wm_lane_of("public", table, WM_LANES_MAX)]++;
	}
	for (unsigned lane = 1; lane <= WM_LANES_MAX; lane++)
		assert_in_range(count[lane], 60, 140);
}

static void
mistakes_in_targets(void **state WM_UNUSED)
{
	refused(SOURCES "targets:\n"
			"  a/b: {type: sqlite}\n"
			"  none: {path: x}\n"
			"  null: {type: }\n"
			"  list: {type: [a]}\n"
			"  text: sqlite\n" RULES,
	    "w.yaml:3:3: target name \"a/b\" must be made of letters, digits, \"_\", \".\" and \"-\"\n"
	    "w.yaml:4:9: target \"none\" lacks \"type\" (its kind, such as sqlite or postgres)\n"
	    "w.yaml:5:10: \"type\" in target \"null\" must be a word, such as sqlite; the target that keeps nothing is \"null\", in quotes\n"
	    "w.yaml:6:16: \"type\" in target \"list\" must be a word, such as sqlite\n"
	    "w.yaml:7:9: target \"text\" must be a map of options, such as {type: sqlite, path: FILE}\n");
}

static void
mistakes_in_admin(void **state WM_UNUSED)
{
	refused(WHOLE "admin:\n  listen: 127.0.0.1:8042\n",
	    "w.yaml:5:11: \"listen\" in admin needs a \"secret_key\": add secret_key: ${env:WALMILL_SECRET_KEY}\n");
	refused(WHOLE "admin:\n  listen: 127.0.0.1\n  secret_key: ChangeMe\n  port: 5\n",
	    "w.yaml:7:3: unknown key \"port\" in admin (known keys: socket, listen, secret_key)\n"
	    "w.yaml:6:15: \"secret_key\" is a placeholder: make a real one with \"openssl rand -hex 32\"\n"
	    "w.yaml:5:11: \"listen\" in admin must be HOST:PORT, such as 127.0.0.1:8042, not \"127.0.0.1\"\n");
	/* A missing variable is one mistake, not two. */
	refused(WHOLE "admin: {listen: \"h:1\", secret_key: \"${env:WM_NO_KEY}\"}\n",
	    "w.yaml:4:36: environment variable \"WM_NO_KEY\" is not set: set it (under systemd with EnvironmentFile= "
	    "in the unit), or use ${file:PATH}\n");
}

static void
addresses(void **state WM_UNUSED)
{
	static const char *const wrong[] = { ":80", "h:", "h:0", "h:65536", "h:x", "::1:80", "[::1]", "[::1:80" };

	for (size_t i = 0; i < WM_ARRAY_SIZE(wrong); i++) {
		char text[500], expected[500];

		snprintf(text, sizeof(text), WHOLE "admin: {secret_key: kkkkkkkk, listen: '%s'}\n", wrong[i]);
		snprintf(expected, sizeof(expected), "w.yaml:4:39: \"listen\" in admin must be HOST:PORT, such as "
		    "127.0.0.1:8042, not \"%s\"\n", wrong[i]);
		refused(text, expected);
	}
}

static void
mistakes_in_the_rest(void **state WM_UNUSED)
{
	refused(WHOLE "mask_key: password\n",
	    "w.yaml:4:11: \"mask_key\" is a placeholder: make a real one with \"openssl rand -hex 32\"\n");
	refused(WHOLE "memory: 1KiB\nstate: [x]\nlog: {format: xml, level: inf}\nsource: 1\n",
	    "w.yaml:7:1: unknown key \"source\" in the configuration (did you mean \"sources\"?)\n"
	    "w.yaml:5:8: \"state\" in the configuration must be a path, not a list\n"
	    "w.yaml:4:9: \"memory\" in the configuration must be a size such as 512KiB, 8MiB or 10GiB, "
	    "of at least 1MiB, not \"1KiB\"\n"
	    "w.yaml:6:15: \"format\" in log must be one of text, json, not \"xml\"\n"
	    "w.yaml:6:27: \"level\" in log must be one of error, warning, info, debug, not \"inf\" "
	    "(did you mean \"info\"?)\n");
	refused(WHOLE "alerts:\n"
	    "  - to: mailto:ops@example.com\n"
	    "  - smtp: smtp://h\n"
	    "  - {to: ops@example.com, smtp: mail}\n"
	    "  - x\n",
	    "w.yaml:5:9: an alert by mail needs the mail server: add smtp: smtp://HOST:PORT\n"
	    "w.yaml:6:5: alert lacks \"to\" (mailto:ADDRESS or https://...)\n"
	    "w.yaml:7:10: \"to\" in alert must be mailto:ADDRESS or https://...\n"
	    "w.yaml:7:33: \"smtp\" in alert must be smtp://HOST:PORT or smtps://HOST:PORT\n"
	    "w.yaml:8:5: alert must be a map of options, not a text\n");
	refused(WHOLE "alerts:\n"
	    "  - {to: 'mailto:ops@example.com, b@c', smtp: 'smtp://h'}\n"
	    "  - {to: 'mailto:ops', smtp: 'smtp://h', user: u, header: X-Key, from: 'a b@c'}\n"
	    "  - {to: 'https://h', smtp: 'smtp://h', header: 'X-Key: a'}\n"
	    "  - {to: 'https://h', repeat: 5}\n"
	    "  - {to: 'https://h', secret_key: \"a\\r\\nb\"}\n",
	    "w.yaml:5:10: \"to\" in alert must be mailto:NAME@HOST, several with commas between\n"
	    "w.yaml:6:10: \"to\" in alert must be mailto:NAME@HOST, several with commas between\n"
	    "w.yaml:6:72: \"from\" in alert must be an address, NAME@HOST\n"
	    "w.yaml:6:48: \"user\" and \"password\" in alert go together\n"
	    "w.yaml:6:59: \"secret_key\" and \"header\" in alert are for https receivers\n"
	    "w.yaml:7:29: \"smtp\" in alert is for mailto: receivers\n"
	    "w.yaml:7:49: \"header\" in alert must be the name of an HTTP header\n"
	    "w.yaml:7:49: \"header\" in alert needs the \"secret_key\" that it is to carry\n"
	    "w.yaml:8:31: \"repeat\" in alert must be a duration such as 100ms, 5s, 10min, 2h or 1d, not \"5\"\n"
	    "w.yaml:9:35: \"secret_key\" in alert must be one line\n");
	refused(WHOLE "alerts: x\n", "w.yaml:4:9: alerts must be a list, such as \"- to: https://...\"\n");
}

static void
rules_in_place(void **state WM_UNUSED)
{
	struct wm_diags d = { 0 };

	refused(SOURCES TARGETS "rules:\n  - {table: a}\n  - b\n  - [c]\n",
	    "w.yaml:5:5: a rule must be a map, such as \"- table: public.orders\"\n"
	    "w.yaml:6:5: a rule must be a map, such as \"- table: public.orders\"\n");
	refused(SOURCES TARGETS "rules: {table: a}\n",
	    "w.yaml:3:8: \"rules\" must be a folder, a file, or a list of rules, not a map\n");
	refused(SOURCES TARGETS "rules:\n",
	    "w.yaml:3:1: \"rules\" has no value: name a folder or a file, or list the rules\n");
	wm_config_free(parse(SOURCES TARGETS "rules: []\n", &d));
	assert_int_equal(d.errors, 0);
	expect_diags(&d, "warning: w.yaml:3:8: there are no rules: nothing will be replicated\n");
}

static void
expect_tables(const struct wm_config *c, const char *expected)
{
	WM_AUTO(wm_buf_free) struct wm_buf b;

	wm_buf_init(&b, 1000);
	for (size_t i = 0; i < c->nrules; i++)
		wm_buf_addf(&b, "%s %s\n", wm_node_get(c->rules[i], "table")->mark.file,
		    wm_node_get(c->rules[i], "table")->text);
	assert_string_equal(b.data, expected);
}

static struct wm_config *
load(const char *path, const char *expected)
{
	struct wm_diags d = { 0 };
	struct wm_config *c = wm_config_load(path, &d);

	expect_diags(&d, expected);
	return c;
}

static void
a_folder_of_rules_is_read_in_name_order(void **state)
{
	struct wm_config *c;
	char *folder = *state;

	make_folder("etc");
	make_folder("etc/rules.d");
	put_file("etc/walmill.yaml", SOURCES TARGETS);
	put_file("etc/rules.d/b.yml", "- table: b\n");
	put_file("etc/rules.d/a.yaml", "rules:\n  - table: a1\n  - table: a2\n");
	put_file("etc/rules.d/B.yaml", "- table: B\n");
	put_file("etc/rules.d/.hidden.yaml", "- table: hidden\n");
	put_file("etc/rules.d/a.yaml.off", "- table: off\n");
	put_file("etc/rules.d/empty.yaml", "# nothing yet\n");
	put_file("etc/rules.d/none.yaml", "rules:\n");
	c = load("etc/walmill.yaml", "");
	assert_non_null(c);
	assert_string_equal(c->path, "etc/walmill.yaml");
	assert_memory_equal(c->folder, folder, strlen(folder));
	assert_string_equal(c->folder + strlen(folder), "/etc");
	expect_tables(c, "etc/rules.d/B.yaml B\netc/rules.d/a.yaml a1\netc/rules.d/a.yaml a2\netc/rules.d/b.yml b\n");
	wm_config_free(c);
}

static void
a_file_of_rules(void **state)
{
	struct wm_config *c;
	char text[1000];

	put_file("walmill.yaml", SOURCES TARGETS "rules: shop.conf\n");
	put_file("shop.conf", "rules: [{table: a}]\n");
	c = load("walmill.yaml", "");
	expect_tables(c, "shop.conf a\n");
	wm_config_free(c);
	snprintf(text, sizeof(text), SOURCES TARGETS "rules: %s/shop.conf\n", (char *)*state);
	put_file("walmill.yaml", text);
	c = load("walmill.yaml", "");
	snprintf(text, sizeof(text), "%s/shop.conf a\n", (char *)*state);
	expect_tables(c, text);
	wm_config_free(c);
}

static void
rules_that_cannot_be_read(void **state WM_UNUSED)
{
	put_file("walmill.yaml", SOURCES TARGETS);
	assert_null(load("walmill.yaml",
	    "walmill.yaml:1:1: rules \"rules.d\" does not exist: make that folder, or name "
	    "the folder or file that holds the rules in \"rules:\"\n"));
	put_file("walmill.yaml", SOURCES TARGETS "rules: walmill.yaml/x\n");
	assert_null(load("walmill.yaml",
	    "walmill.yaml:3:8: rules \"walmill.yaml/x\" cannot be read: Not a directory\n"));
	put_file("walmill.yaml", SOURCES TARGETS "rules: rules.d\n");
	make_folder("rules.d");
	wm_config_free(load("walmill.yaml",
	    "warning: walmill.yaml:3:8: there are no rules in rules.d: nothing will be replicated\n"));
	make_folder("rules.d/x.yaml");
	assert_null(load("walmill.yaml",
	    "walmill.yaml:3:8: file \"rules.d/x.yaml\" cannot be read: it is a folder, not a regular file\n"));
	put_file("walmill.yaml", SOURCES TARGETS "rules: ${env:WM_NO_RULES}\n");
	assert_null(load("walmill.yaml", "walmill.yaml:3:8: environment variable \"WM_NO_RULES\" is not set: set it "
	    "(under systemd with EnvironmentFile= in the unit), or use ${file:PATH}\n"));
	assert_null(load("none.yaml", "none.yaml: this file cannot be read: No such file or directory\n"));
}

/* Mistakes in all files and sections show in one go. */
static void
all_mistakes_at_once(void **state WM_UNUSED)
{
	struct wm_diags d = { 0 };
	struct wm_config *c;
	static const char expected[] =
	    "walmill.yaml:3:10: environment variable \"WM_NO_HOST\" is not set: set it "
	    "(under systemd with EnvironmentFile= in the unit), or use ${file:PATH}\n"
	    "walmill.yaml:5:1: duplicate key \"targets\" (first in line 4)\n"
	    "walmill.yaml:6:1: unknown key \"rule\" in the configuration (did you mean \"rules\"?)\n"
	    "rules.d/a.yaml:2:1: not valid YAML: did not find expected ',' or ']', while parsing a flow sequence that "
	    "begins in line 1\n"
	    "rules.d/b.yaml:1:1: unknown key \"rles\" in the rules file (did you mean \"rules\"?)\n"
	    "rules.d/c.yaml:1:8: rules must be a list, such as \"- table: public.orders\"\n"
	    "rules.d/d.yaml:1:1: rules must be a list, such as \"- table: public.orders\"\n";

	make_folder("rules.d");
	put_file("walmill.yaml", "sources:\n  shop:\n    uri: ${env:WM_NO_HOST}\n" TARGETS TARGETS "rule: x\n");
	put_file("rules.d/a.yaml", "rules: [a\n");
	put_file("rules.d/b.yaml", "rles: []\n");
	put_file("rules.d/c.yaml", "rules: a\n");
	put_file("rules.d/d.yaml", "a\n");
	put_file("rules.d/e.yaml", "- table: e\n");
	assert_null(load("walmill.yaml", expected));
	c = wm_config_load_partial("walmill.yaml", &d);
	expect_diags(&d, expected);
	assert_non_null(c);
	assert_int_equal(c->nsources, 1);
	assert_string_equal(c->sources[0].name, "shop");
	expect_tables(c, "rules.d/e.yaml e\n");
	wm_config_free(c);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(every_key),
		cmocka_unit_test(switches),
		cmocka_unit_test(nothing_to_read),
		cmocka_unit_test(missing_sections),
		cmocka_unit_test(mistakes_in_sources),
		cmocka_unit_test(names_too_long_for_postgresql),
		cmocka_unit_test(one_slot_for_two_sources),
		cmocka_unit_test(lanes),
		cmocka_unit_test(mistakes_in_lanes),
		cmocka_unit_test(lane_of_a_table),
		cmocka_unit_test(mistakes_in_targets),
		cmocka_unit_test(mistakes_in_admin),
		cmocka_unit_test(addresses),
		cmocka_unit_test(mistakes_in_the_rest),
		cmocka_unit_test(rules_in_place),
		IN_FOLDER(a_folder_of_rules_is_read_in_name_order),
		IN_FOLDER(a_file_of_rules),
		IN_FOLDER(rules_that_cannot_be_read),
		IN_FOLDER(all_mistakes_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
