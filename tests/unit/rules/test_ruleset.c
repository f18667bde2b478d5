/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_ruleset.c - rules as written: every key, its default, and what is said of mistakes.
 */
#include "fixture.h"

#include <string.h>

#include "walmill/strutil.h"

static void
defaults_are_filled_in(void **state)
{
	struct fixture fx = { 0 };
	const struct wm_rule *r;

	(void)state;
	fx_load(&fx, "  - {table: public.orders}\n");
	assert_non_null(fx.set);
	assert_int_equal(fx.set->n, 1);
	r = wm_ruleset_find(fx.set, "orders");
	assert_ptr_equal(r, &fx.set->rules[0]);
	assert_null(wm_ruleset_find(fx.set, "public.orders"));
	assert_string_equal(r->source, "shop");
	assert_string_equal(r->target, "warehouse");
	assert_string_equal(r->view, "{table}");
	assert_null(r->where);
	assert_int_equal(r->key.n, 0);
	assert_int_equal(r->events, WM_EVENT_INSERT | WM_EVENT_UPDATE | WM_EVENT_DELETE | WM_EVENT_TRUNCATE);
	assert_int_equal(r->on_delete, WM_DELETE_DELETE);
	assert_int_equal(r->on_truncate, WM_TRUNCATE_TRUNCATE);
	assert_int_equal(r->mode, WM_MODE_UPSERT);
	assert_int_equal(r->on_error, WM_ON_ERROR_RETRY);
	assert_int_equal(r->seed_mode, WM_SEED_AUTO);
	assert_int_equal(r->seed_batch_rows, 200000);
	assert_int_equal(r->seed_workers, 4);
	assert_true(r->batch_open);
	assert_int_equal(r->batch_rows, 10000);
	assert_int_equal(r->batch_bytes, 8u << 20);
	assert_int_equal(r->batch_interval, 100000);
	assert_int_equal(r->mark.line, 4);
	fx_close(&fx);
}

/* The example of the documentation, every key other than its default. */
static void
every_key_is_read(void **state)
{
	struct fixture fx = { 0 };
	const struct wm_rule *r;

	(void)state;
	fx_load(&fx,
	    "  - name: o\n"
	    "    source: shop\n"
	    "    table: public.orders\n"
	    "    target: warehouse\n"
	    "    view: orders_v\n"
	    "    key: [id, region]\n"
	    "    events: [update, truncate]\n"
	    "    where: status <> 'draft' and amount > 0\n"
	    "    columns:\n"
	    "      exclude: [password_hash]\n"
	    "      rename: {cust: customer_id}\n"
	    "      compute: {gross: \"round(amount * 1.19, 2)\", day: \"date(created_at)\"}\n"
	    "      mask: {email: sha256, phone: redact, iban: last4, name: null, vat: {text: n/a}, x: ~, y: \"null\"}\n"
	    "      translate: {status: {N: new, P: paid, D: null, \"*\": other}}\n"
	    "      check: {email: \"email like '%@%'\", amount: \"amount >= 0\"}\n"
	    "      type: {amount: \"numeric(12,2)\"}\n"
	    "    on_delete: soft\n"
	    "    on_truncate: ignore\n"
	    "    mode: upsert\n"
	    "    seed: {mode: never, batch_rows: 5, workers: 2}\n"
	    "    batch: {rows: 7, bytes: 1MiB, interval: 2s}\n"
	    "    on_error: dead_letter\n"
	    "    retry: {codes: [\"23*\", check], every: 5m, at_most: 3}\n"
	    "  - {name: p, table: a, columns: {include: b}, key: b, events: insert, mode: append, on_delete: ignore, on_error: stop}\n");
	assert_non_null(fx.set);
	r = &fx.set->rules[0];
	assert_string_equal(r->name, "o");
	assert_string_equal(r->view, "orders_v");
	assert_int_equal(r->key.n, 2);
	assert_string_equal(r->key.list[1], "region");
	assert_int_equal(r->events, WM_EVENT_UPDATE | WM_EVENT_TRUNCATE);
	assert_string_equal(r->where, "status <> 'draft' and amount > 0");
	assert_string_equal(r->exclude.list[0], "password_hash");
	assert_false(r->has_include);
	assert_string_equal(r->rename.list[0].column, "cust");
	assert_string_equal(r->rename.list[0].value, "customer_id");
	assert_int_equal(r->compute.n, 2);
	assert_string_equal(r->compute.list[1].value, "date(created_at)");
	assert_int_equal(r->mask.n, 7);
	assert_string_equal(r->mask.list[3].value, "null");
	assert_string_equal(r->mask.list[4].value, "=n/a");
	assert_string_equal(r->mask.list[5].value, "null");
	assert_string_equal(r->mask.list[6].value, "null");
	assert_int_equal(r->ntranslate, 1);
	assert_int_equal(r->translate[0].values.n, 4);
	assert_null(r->translate[0].values.list[2].value);
	assert_int_equal(r->check.n, 2);
	assert_string_equal(r->type.list[0].value, "numeric(12,2)");
	assert_int_equal(r->on_delete, WM_DELETE_SOFT);
	assert_int_equal(r->on_truncate, WM_TRUNCATE_IGNORE);
	assert_int_equal(r->seed_mode, WM_SEED_NEVER);
	assert_int_equal(r->seed_batch_rows, 5);
	assert_int_equal(r->seed_workers, 2);
	assert_false(r->batch_open);
	assert_int_equal(r->batch_rows, 7);
	assert_int_equal(r->batch_bytes, 1u << 20);
	assert_int_equal(r->batch_interval, 2000000);
	assert_int_equal(r->on_error, WM_ON_ERROR_DEAD_LETTER);
	assert_int_equal(r->retry.codes.n, 2);
	assert_string_equal(r->retry.codes.list[0], "23*");
	assert_int_equal(r->retry.every, 300 * WM_SEC);
	assert_int_equal(r->retry.at_most, 3);
	r = &fx.set->rules[1];
	assert_true(r->has_include);
	assert_string_equal(r->include.list[0], "b");
	assert_int_equal(r->events, WM_EVENT_INSERT);
	assert_int_equal(r->mode, WM_MODE_APPEND);
	assert_int_equal(r->on_delete, WM_DELETE_IGNORE);
	assert_int_equal(r->on_error, WM_ON_ERROR_STOP);
	assert_int_equal(r->retry.every, 0);
	fx_close(&fx);
}

static void
all_mistakes_are_reported_at_once(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_load(&fx,
	    "  - table: public.orders\n"		/* line 4 */
	    "    colums: {}\n"
	    "    source: shp\n"
	    "    target: cellar\n"
	    "    events: [insert, updte, insert]\n"
	    "    on_delete: sofft\n"
	    "    on_error: [retry]\n"
	    "    mode: history\n"
	    "    seed: {worker: 3, batch_rows: 0}\n"
	    "    batch: {rows: many}\n"
	    "    key: [id, id, [x]]\n"
	    "    where: [a]\n"
	    "  - {view: x}\n"
	    "  - {table: b, events: [], key: {}, columns: [a], mode: append, on_delete: soft}\n");
	assert_null(fx.set);
	fx_assert_diag(&fx, "walmill.yaml:5:5: unknown key \"colums\" in rule (did you mean \"columns\"?)");
	fx_assert_diag(&fx,
	    "walmill.yaml:6:13: unknown source \"shp\" (did you mean \"shop\"?): it is not in the section sources");
	fx_assert_diag(&fx, "walmill.yaml:7:13: unknown target \"cellar\": it is not in the section targets");
	fx_assert_diag(&fx,
	    "walmill.yaml:8:13: unknown event \"updte\" (did you mean \"update\"?): there are insert, update, delete and "
	    "truncate");
	fx_assert_diag(&fx, "walmill.yaml:8:29: \"events\" names \"insert\" twice");
	fx_assert_diag(&fx,
	    "walmill.yaml:9:16: \"on_delete\" in rule must be one of delete, soft, ignore, not \"sofft\" "
	    "(did you mean \"soft\"?)");
	fx_assert_diag(&fx,
	    "walmill.yaml:10:15: \"on_error\" in rule must be one of retry, dead_letter, stop, not a list");
	fx_assert_diag(&fx,
	    "walmill.yaml:11:11: \"mode: history\" is not in this version of walmill: use upsert, or append to keep "
	    "every event");
	fx_assert_diag(&fx, "walmill.yaml:12:12: unknown key \"worker\" in seed (did you mean \"workers\"?)");
	fx_assert_diag(&fx,
	    "walmill.yaml:12:35: \"batch_rows\" in seed must be a whole number from 1 to 100000000, not \"0\"");
	fx_assert_diag(&fx,
	    "walmill.yaml:13:19: \"rows\" in batch must be a whole number from 1 to 10000000, not \"many\"");
	fx_assert_diag(&fx, "walmill.yaml:14:15: \"key\" names \"id\" twice");
	fx_assert_diag(&fx, "walmill.yaml:14:19: \"key\" must be a text, not a list");
	fx_assert_diag(&fx, "walmill.yaml:15:12: \"where\" in rule must be a text, not a list");
	fx_assert_diag(&fx, "walmill.yaml:16:5: rule lacks \"table\" (schema.table, or a pattern such as public.*)");
	fx_assert_diag(&fx, "walmill.yaml:17:24: \"events\" is an empty list");
	fx_assert_diag(&fx, "walmill.yaml:17:33: \"key\" must be a list of names, not a map");
	fx_assert_diag(&fx, "walmill.yaml:17:46: \"columns\" must be a map, not a list");
	fx_assert_diag(&fx,
	    "walmill.yaml:17:76: \"on_delete: soft\" needs \"mode: upsert\": with append each delete is a row of its own");
	assert_int_equal(fx.diags.errors, 19);
	fx_close(&fx);
}

static void
mistakes_in_columns_are_reported(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_load(&fx,
	    "  - table: t\n" /* line 4 */
	    "    columns:\n"
	    "      rname: {}\n"
	    "      include: [a]\n"
	    "      exclude: [b]\n"
	    "      rename: {a: x, c: x}\n"
	    "      compute: {x: \"1\", y: [1], z: \"\"}\n"
	    "      mask: {a: sha265, b: {txt: x}, c: [a], d: last0, e: \"=x\", f: last100}\n"
	    "      translate: {a: x, b: {}, c: {d: [e]}}\n"
	    "      type: {a: \"int; drop table x\"}\n"
	    "      check: [a]\n"
	    "  - {table: u, key: h, columns: {exclude: [h], mask: {h: redact}, compute: {i: h}, rename: {h: i}, type: {h: int},\n"
	    "      translate: {h: {a: b}}}}\n"
	    "  - {table: v, columns: {include: [h], mask: {hh: redact}}}\n");
	assert_null(fx.set);
	fx_assert_diag(&fx, "walmill.yaml:6:7: unknown key \"rname\" in columns (did you mean \"rename\"?)");
	fx_assert_diag(&fx, "walmill.yaml:6:7: \"columns\" holds both \"include\" and \"exclude\": use one of them");
	fx_assert_diag(&fx, "walmill.yaml:9:22: \"rename\" gives \"a\" and \"c\" the same name \"x\"");
	fx_assert_diag(&fx, "walmill.yaml:9:16: \"rename\" and \"compute\" both make a column \"x\"");
	fx_assert_diag(&fx, "walmill.yaml:10:28: \"y\" must be a text, not a list");
	fx_assert_diag(&fx, "walmill.yaml:10:36: \"z\" must not be empty");
	fx_assert_diag(&fx,
	    "walmill.yaml:11:17: \"mask\" of \"a\" must be sha256, redact, last1 to last99, null or {text: \"...\"}, not "
	    "\"sha265\" (did you mean \"sha256\"?)");
	fx_assert_diag(&fx, "walmill.yaml:11:29: unknown key \"txt\" in a mask (did you mean \"text\"?)");
	fx_assert_diag(&fx, "walmill.yaml:11:28: \"mask\" of \"b\" lacks its text: write {text: \"...\"}");
	fx_assert_diag(&fx,
	    "walmill.yaml:11:41: \"mask\" of \"c\" must be sha256, redact, last1 to last99, null or {text: \"...\"}, not "
	    "\"[...]\"");
	fx_assert_diag(&fx,
	    "walmill.yaml:11:49: \"mask\" of \"d\" must be sha256, redact, last1 to last99, null or {text: \"...\"}, not "
	    "\"last0\" (did you mean \"last4\"?)");
	fx_assert_diag(&fx,
	    "walmill.yaml:11:59: \"mask\" of \"e\" must be sha256, redact, last1 to last99, null or {text: \"...\"}, not "
	    "\"=x\"");
	fx_assert_diag(&fx, "walmill.yaml:12:22: \"translate\" of \"a\" must be a map from value to value, not a text");
	fx_assert_diag(&fx,
	    "walmill.yaml:12:28: \"translate\" of \"b\" must be a map from value to value, not an empty one");
	fx_assert_diag(&fx, "walmill.yaml:12:39: \"translate\" of \"c\": \"d\" must become a text, not a list");
	fx_assert_diag(&fx, "walmill.yaml:13:14: \"type\" of \"a\" is no name of a type");
	fx_assert_diag(&fx, "walmill.yaml:14:14: \"check\" must be a map of columns, not a list");
	fx_assert_diag(&fx, "walmill.yaml:15:5: \"key\" names column \"h\", which \"exclude\" leaves out");
	fx_assert_diag(&fx, "walmill.yaml:15:55: \"mask\" names column \"h\", which \"exclude\" leaves out");
	fx_assert_diag(&fx, "walmill.yaml:15:93: \"rename\" names column \"h\", which \"exclude\" leaves out");
	fx_assert_diag(&fx, "walmill.yaml:15:107: \"type\" names column \"h\", which \"exclude\" leaves out");
	fx_assert_diag(&fx, "walmill.yaml:16:19: \"translate\" names column \"h\", which \"exclude\" leaves out");
	fx_assert_diag(&fx, "walmill.yaml:17:47: \"mask\" names column \"hh\", which \"include\" does not list");
	fx_close(&fx);
}

static void
expressions_are_compiled_at_load(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_load(&fx,
	    "  - table: a\n"				/* line 4 */
	    "    where: amount >\n"
	    "    columns: {compute: {x: \"frobnicate(y)\", z: \"round(1,2,3)\"}, check: {y: \"1); --\"}}\n");
	assert_null(fx.set);
	assert_int_equal(fx.diags.errors, 4);
	fx_assert_diag(&fx, "walmill.yaml:5:12: \"where\": near \")\": syntax error");
	fx_assert_diag(&fx, "walmill.yaml:6:28: \"compute\" of \"x\": no such function: frobnicate");
	fx_assert_diag(&fx, "walmill.yaml:6:48: \"compute\" of \"z\": wrong number of arguments to function round()");
	fx_assert_diag(&fx, "walmill.yaml:6:76: \"check\" of \"y\": it is not one expression");
	fx_close(&fx);
}

static void
names_are_unique(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_load(&fx, "  - {table: public.orders}\n  - {table: sales.orders}\n  - {name: \"\", table: x}\n");
	assert_null(fx.set);
	assert_int_equal(fx.diags.errors, 2);
	fx_assert_diag(&fx,
	    "walmill.yaml:5:5: two rules are called \"orders\" (the other is at walmill.yaml:4): give this one another "
	    "\"name\"");
	fx_assert_diag(&fx, "walmill.yaml:6:12: \"name\" must not be empty");
	fx_close(&fx);
}

static void
source_and_target_are_needed_when_there_are_several(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_load_config(&fx, "sources: {a: {uri: \"postgresql://x/a\"}, b: {uri: \"postgresql://x/b\"}}\n"
	    "targets: {c: {type: sqlite}, d: {type: sqlite}}\n"
	    "rules:\n"
	    "  - {table: t}\n"
	    "  - {table: u, source: b, target: d}\n");
	assert_null(fx.set);
	assert_int_equal(fx.diags.errors, 2);
	fx_assert_diag(&fx,
	    "walmill.yaml:4:5: rule lacks \"source\", which may be left out only when there is one source; there are 2");
	fx_assert_diag(&fx,
	    "walmill.yaml:4:5: rule lacks \"target\", which may be left out only when there is one target; there are 2");
	fx_close(&fx);
}

static uint64_t
fingerprint(const char *rule)
{
	struct fixture fx = { 0 };
	WM_AUTO(wm_freep) char *list = wm_asprintf("  - {%s}\n", rule);
	uint64_t h;

	fx_load(&fx, list);
	assert_non_null(fx.set);
	h = fx.set->rules[0].fingerprint;
	fx_close(&fx);
	return h;
}

static void
the_fingerprint_tells_contents_apart(void **state)
{
	static const char *const different[] = {
		"table: t",
		"table: u",
		"table: t, view: v",
		"table: t, key: [a]",
		"table: t, key: [b]",
		"table: t, events: [insert]",
		"table: t, where: a",
		"table: t, columns: {exclude: [a]}",
		"table: t, columns: {include: [a]}",
		"table: t, columns: {rename: {a: b}}",
		"table: t, columns: {rename: {b: a}}",
		"table: t, columns: {compute: {a: b}}",
		"table: t, columns: {check: {a: b}}",
		"table: t, columns: {mask: {a: redact}}",
		"table: t, columns: {mask: {a: {text: x}}}",
		"table: t, columns: {type: {a: redact}}",
		"table: t, columns: {translate: {a: {x: y}}}",
		"table: t, columns: {translate: {a: {x: null}}}",
		"table: t, columns: {translate: {a: {x: \"\"}}}",
		"table: t, on_delete: soft",
		"table: t, on_delete: ignore",
		"table: t, on_truncate: ignore",
		"table: t, mode: append",
		"table: t, seed: {mode: never}",
	};
	uint64_t seen[WM_ARRAY_SIZE(different)];

	(void)state;
	for (size_t i = 0; i < WM_ARRAY_SIZE(different); i++) {
		seen[i] = fingerprint(different[i]);
		for (size_t j = 0; j < i; j++) {
			if (seen[i] == seen[j])
				fail_msg("same fingerprint: {%s} and {%s}", different[i], different[j]);
		}
	}
}

static void
the_fingerprint_ignores_the_rest(void **state)
{
	(void)state;
	assert_true(fingerprint("table: t, columns: {mask: {a: redact, b: last4}}, key: [a, b]") ==
	    fingerprint(
		"name: n, key: [b, a], columns: {mask: {b: last4, a: redact}}, table: public.t, source: shop, on_error: stop, "
		"batch: {rows: 3}, seed: {workers: 1, batch_rows: 9}, events: [delete, truncate, insert, update]"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_filled_in),
		cmocka_unit_test(every_key_is_read),
		cmocka_unit_test(all_mistakes_are_reported_at_once),
		cmocka_unit_test(mistakes_in_columns_are_reported),
		cmocka_unit_test(expressions_are_compiled_at_load),
		cmocka_unit_test(names_are_unique),
		cmocka_unit_test(source_and_target_are_needed_when_there_are_several),
		cmocka_unit_test(the_fingerprint_tells_contents_apart),
		cmocka_unit_test(the_fingerprint_ignores_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
