/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_plan.c - compiling rules: the view's columns, keys, what is read, and what is refused.
 */
#include "fixture.h"

#include <string.h>

#include "walmill/strutil.h"

#define ORDERS "public.orders d id!^:integer cust:integer amount:numeric secret:text"

static void
assert_refused(const char *rule, const char *spec, const char *text)
{
	struct fixture fx = { 0 };

	fx_open_refused(&fx, rule, spec);
	assert_string_equal(fx.err.text, text);
	fx_close(&fx);
}

static void
assert_view(const char *rule, const char *spec, const char *view)
{
	struct fixture fx = { 0 };

	fx_open(&fx, rule, spec);
	assert_string_equal(fx_view(&fx), view);
	fx_close(&fx);
}

static void
the_view_has_the_sources_columns(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx, "table: orders, view: \"{schema}.{table}\", name: r", ORDERS);
	assert_string_equal(fx_view(&fx), "id*:integer cust:integer amount:numeric secret:text");
	assert_string_equal(wm_plan_view(fx.plan)->name, "public.orders");
	assert_string_equal(wm_plan_view(fx.plan)->rule, "r");
	assert_int_equal(wm_plan_view(fx.plan)->nkeys, 1);
	assert_int_equal(wm_plan_view(fx.plan)->keys[0], 0);
	assert_ptr_equal(wm_plan_rule(fx.plan), &fx.set->rules[0]);
	assert_true(wm_relation_same(wm_plan_relation(fx.plan), fx.rel));
	assert_ptr_not_equal(wm_plan_relation(fx.plan), fx.rel);
	fx_close(&fx);
}

static void
columns_are_chosen_renamed_and_computed(void **state)
{
	(void)state;
	assert_view("table: orders, columns: {exclude: [secret], rename: {cust: customer_id}}", ORDERS,
	    "id*:integer customer_id:integer amount:numeric");
	assert_view("table: orders, columns: {include: [amount, id]}", ORDERS, "id*:integer amount:numeric");
	assert_view(
	    "table: orders, columns: {include: [id, amount], compute: {gross: \"amount * 2\", amount: \"-amount\"}}",
	    ORDERS, "id*:integer amount:dynamic gross:dynamic");
	/* Names may change places. */
	assert_view("table: orders, columns: {exclude: [secret], rename: {cust: amount, amount: cust}}", ORDERS,
	    "id*:integer amount:integer cust:numeric");
	/* A column of the name of one that goes under another now, or not at all. */
	assert_view(
	    "table: orders, columns: {exclude: [secret], rename: {cust: c}, compute: {cust: \"cust + 1\", secret: \"1\"}}",
	    ORDERS, "id*:integer c:integer amount:numeric cust:dynamic secret:dynamic");
	assert_view(
	    "table: orders, columns: {exclude: [secret], type: {amount: \"numeric(12, 2)\", g: boolean}, compute: {g: \"1\"}}",
	    ORDERS,
	    "id*:integer cust:integer amount:numeric(12,2)=numeric(12, 2) g:boolean=boolean");
	assert_view("table: orders, on_delete: soft, columns: {include: [id]}", ORDERS,
	    "id*:integer _walmill_deleted:boolean");
}

static void
doubled_names_are_refused(void **state)
{
	(void)state;
	assert_refused("table: orders, columns: {rename: {cust: amount}}", ORDERS,
	    "rule \"orders\": two columns of view \"orders\" are called \"amount\": use columns.rename");
	assert_refused("table: t, on_delete: soft", "public.t d id!:integer _walmill_deleted:boolean",
	    "rule \"t\": two columns of view \"t\" are called \"_walmill_deleted\": use columns.rename");
}

static void
missing_columns_are_refused(void **state)
{
	(void)state;
	assert_refused("table: orders, columns: {rename: {csut: x}}", ORDERS,
	    "rule \"orders\": columns.rename: table public.orders has no column \"csut\" (did you mean \"cust\"?)");
	assert_refused("table: orders, columns: {mask: {sekret: redact}}", ORDERS,
	    "rule \"orders\": columns.mask: table public.orders has no column \"sekret\" (did you mean \"secret\"?)");
	assert_refused("table: orders, columns: {translate: {zzz: {a: b}}}", ORDERS,
	    "rule \"orders\": columns.translate: table public.orders has no column \"zzz\"");
	assert_refused("table: orders, columns: {type: {zzz: text}}", ORDERS,
	    "rule \"orders\": columns.type: table public.orders has no column \"zzz\"");
	assert_refused("table: orders, columns: {check: {zzz: \"1\"}}", ORDERS,
	    "rule \"orders\": columns.check: table public.orders has no column \"zzz\"");
	assert_refused("table: orders, columns: {include: [id, zzz]}", ORDERS,
	    "rule \"orders\": columns.include: table public.orders has no column \"zzz\"");
	assert_refused("table: orders, key: [idd]", ORDERS,
	    "rule \"orders\": key: table public.orders has no column \"idd\" (did you mean \"id\"?)");
}

/* A table without the column has nothing to mask; what is nearly right is a mistake. */
static void
a_rule_for_many_tables_bears_missing_columns(void **state)
{
	struct fixture fx = { 0 };

	(void)state;
	fx_open(&fx,
	    "table: \"public.*\", columns: {mask: {password_hash: redact}, rename: {zzz: y}, check: {zzz: \"zzz > 1\"}}",
	    ORDERS);
	assert_rows(&fx, fx_apply(&fx, WM_EVENT_INSERT, NULL, false, ROW("1", "2", "3", "4"), 0), "upsert 1|2|3|4");
	fx_close(&fx);
	fx_open(&fx, "table: [orders, t], columns: {check: {amount: \"amount > 1\"}}", ORDERS);
	assert_int_equal(fx_apply(&fx, WM_EVENT_INSERT, NULL, false, ROW("1", "2", "0", "4"), 0), WM_PLAN_BAD);
	fx_close(&fx);
	assert_refused("name: r, table: \"public.*\", columns: {mask: {secrets: redact}}", ORDERS,
	    "rule \"r\": columns.mask: table public.orders has no column \"secrets\" (did you mean \"secret\"?)");
}

static void
assert_needs(const char *rule, const char *spec, const char *needed)
{
	struct fixture fx = { 0 };
	WM_AUTO(wm_freep) char *list = wm_asprintf("  - {%s}\n", rule);
	bool flags[16];
	char shown[17] = "";

	fx_load(&fx, list);
	assert_non_null(fx.set);
	fx_relation(&fx, spec);
	assert_int_equal(wm_rule_needs(&fx.set->rules[0], fx.rel, flags, &fx.err), WM_OK);
	for (unsigned i = 0; i < fx.rel->ncolumns; i++)
		shown[i] = flags[i] ? 'x' : '.';
	assert_string_equal(shown, needed);
	fx_close(&fx);
}

static void
only_what_is_read_is_needed(void **state)
{
	(void)state;
	assert_needs("table: orders", ORDERS, "xxxx");
	assert_needs("table: orders, columns: {exclude: [secret]}", ORDERS, "xxx.");
	assert_needs("table: orders, columns: {include: [amount]}", ORDERS, "x.x.");
	assert_needs("table: orders, columns: {include: [id]}, where: cust > 1", ORDERS, "xx..");
	assert_needs(
	    "table: orders, columns: {include: [id], compute: {x: amount}, check: {id: \"secret is not null\"}}",
	    ORDERS, "x.xx");
	assert_needs("table: orders, columns: {include: [id, secret], mask: {secret: null}}", ORDERS, "x..x");
	assert_needs("table: orders, mode: append, key: [cust], columns: {include: [amount]}", ORDERS, "xxx.");
	assert_needs("table: t, columns: {include: [a]}", "public.t f a^:integer b:text", "xx");
}

static void
needs_are_strict_about_exclusions(void **state)
{
	struct fixture fx = { 0 };
	bool flags[4];

	(void)state;
	fx_load(&fx, "  - {table: orders, columns: {exclude: [secrt]}}\n");
	fx_relation(&fx, ORDERS);
	assert_int_equal(wm_rule_needs(&fx.set->rules[0], fx.rel, flags, &fx.err), WM_REJECT);
	assert_string_equal(fx.err.text,
	    "rule \"orders\": columns.exclude: table public.orders has no column \"secrt\" (did you mean \"secret\"?)");
	fx_close(&fx);
	fx_load(&fx, "  - {table: orders, key: [nope]}\n");
	fx_relation(&fx, ORDERS);
	assert_int_equal(wm_rule_needs(&fx.set->rules[0], fx.rel, flags, &fx.err), WM_REJECT);
	assert_string_equal(fx.err.text, "rule \"orders\": key: table public.orders has no column \"nope\"");
	fx_close(&fx);
	/* The stream's relation lacks what is not published. */
	fx_open(&fx, "table: orders, columns: {exclude: [secret]}", "public.orders d id!:integer cust:integer");
	assert_true(wm_plan_needed(fx.plan)[1]);
	fx_close(&fx);
}

static void
assert_source_key(const char *rule, const char *spec, const char *expected)
{
	struct fixture fx = { 0 };
	const unsigned *key;
	char shown[17] = "";
	unsigned n;

	fx_open(&fx, rule, spec);
	key = wm_plan_source_key(fx.plan, &n);
	for (unsigned i = 0; i < n; i++) {
		shown[i] = (char)('0' + key[i]);
		assert_true(wm_plan_needed(fx.plan)[key[i]]);
	}
	assert_string_equal(shown, expected);
	fx_close(&fx);
}

static void
keys_come_from_identity_primary_key_or_rule(void **state)
{
	(void)state;
	assert_view("table: t", "public.t d a!:integer b!:text c:text", "a*:integer b*:text c:text");
	assert_view("table: t", "public.t i a:integer b!:text", "a:integer b*:text");
	assert_view("table: t", "public.t f a^:integer b:text", "a*:integer b:text");
	assert_view("table: t, key: b", "public.t f a:integer b:text", "a:integer b*:text");
	assert_view("table: t, key: [b]", "public.t i a!:integer b!:text", "a:integer b*:text");
	assert_view("table: t, key: [b], events: [insert]", "public.t n a:integer b:text", "a:integer b*:text");
	assert_view("table: t, key: [a], columns: {rename: {a: id, b: a}}",
	    "public.t d a!:integer b:text", "id*:integer a:text");
	assert_view("table: t, key: [id], columns: {rename: {a: id}}",
	    "public.t d a!:integer b:text", "id*:integer b:text");
	assert_view("table: t, key: [k], columns: {compute: {k: \"a || '-' || b\"}}", "public.t d a!:integer b!:text",
	    "a:integer b:text k*:dynamic");
	assert_source_key("table: t", "public.t d a:text b!:integer c!:integer", "12");
	assert_source_key("table: t", "public.t f a:text b^:integer", "1");
	assert_source_key("table: t, key: [k], columns: {compute: {k: \"c || a\"}}",
	    "public.t d a!:text b!:integer c!:integer", "02");
	assert_source_key("table: t, mode: append", "public.t d a:text b!:integer", "1");
	assert_source_key("table: t, mode: append, key: [a], columns: {exclude: [a]}",
	    "public.t d a:text b!:integer", "0");
	assert_source_key("table: t, mode: append, events: [insert]", "public.t n a:text b:integer", "");
}

static void
unusable_keys_are_refused_with_the_fix(void **state)
{
	static const char none[] =
	    "rule \"t\": table public.\"T\" has no replica identity, so its updates and deletes cannot be followed: "
	    "add a primary key, or ALTER TABLE public.\"T\" REPLICA IDENTITY USING INDEX (of a unique index) or FULL; or take its "
	    "inserts only, with \"mode: append\" and \"events: [insert]\"";

	(void)state;
	assert_refused("name: t, table: T", "public.T n a:integer", none);
	assert_refused("name: t, table: T", "public.T d a:integer", none);
	assert_refused("name: t, table: T, mode: append", "public.T d a:integer", none);
	assert_refused("table: t, events: [insert]", "public.t d a:integer",
	    "rule \"t\": table public.t has no primary key to identify its rows (a deferrable one does not: "
	    "rows may share a key within a transaction): name columns in \"key\" that are unique at every moment, or add a primary "
	    "key");
	assert_refused("table: t", "public.t f a:integer",
	    "rule \"t\": table public.t has no primary key to identify its rows (a deferrable one does not: "
	    "rows may share a key within a transaction): name columns in \"key\" that are unique at every moment, or add a primary "
	    "key");
	assert_refused("table: t, key: [b]", "public.t d a!:integer b:text",
	    "rule \"t\": key column \"b\" is not part of the replica identity of table public.t, so that deletes and changed keys do not "
	    "tell which row they mean: ALTER TABLE public.t REPLICA IDENTITY FULL (or USING INDEX, of a unique index over the key), "
	    "or name the identity's columns in \"key\"");
	assert_view("table: t, key: [b], events: [insert, truncate]",
	    "public.t d a!:integer b:text", "a:integer b*:text");
	assert_refused("table: t, columns: {exclude: [a]}", "public.t d a!:integer b:text",
	    "rule \"t\": key column \"a\" of table public.t is left out by \"columns\": take it in, or name another \"key\"");
	assert_refused("table: t, columns: {mask: {a: redact}}", "public.t d a!:text b:text",
	    "rule \"t\": key column \"a\" is masked, so that different rows may get the same key: use the mask sha256, or name another "
	    "\"key\"");
	assert_refused("table: t, columns: {translate: {a: {x: y}}}", "public.t d a!:text b:text",
	    "rule \"t\": key column \"a\" is translated, so that different rows may get the same key: use the mask sha256, or name another "
	    "\"key\"");
	assert_refused("table: t, key: [a, id], columns: {rename: {a: id}}", "public.t d a!:integer b:text",
	    "rule \"t\": key names column \"id\" twice");
	assert_view("table: t, columns: {mask: {a: sha256}}", "public.t d a!:integer b:text", "a*:text b:text");
}

static void
sha256_needs_a_key(void **state)
{
	const struct wm_plan_env env = { .source = "shop" };
	struct fixture fx = { 0 };
	struct wm_plan *plan;

	(void)state;
	fx_load(&fx, "  - {table: t, columns: {mask: {b: sha256}}}\n");
	fx_relation(&fx, "public.t d a!:integer b:text");
	assert_int_equal(wm_plan_compile(&fx.set->rules[0], fx.rel, &env, &plan, &fx.err), WM_REJECT);
	assert_string_equal(fx.err.text, "rule \"t\" masks with sha256, for which there is no key: set \"mask_key\"");
	fx_close(&fx);
}

static void
append_adds_its_columns_in_front(void **state)
{
	(void)state;
	assert_view("table: t, mode: append, columns: {exclude: [a]}", "public.t d a!:integer b:text",
	    "_walmill_lsn*:bigint _walmill_seq*:bigint _walmill_op:text _walmill_time:timestamp with time zone b:text");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_view_has_the_sources_columns),
		cmocka_unit_test(columns_are_chosen_renamed_and_computed),
		cmocka_unit_test(doubled_names_are_refused),
		cmocka_unit_test(missing_columns_are_refused),
		cmocka_unit_test(a_rule_for_many_tables_bears_missing_columns),
		cmocka_unit_test(only_what_is_read_is_needed),
		cmocka_unit_test(needs_are_strict_about_exclusions),
		cmocka_unit_test(keys_come_from_identity_primary_key_or_rule),
		cmocka_unit_test(unusable_keys_are_refused_with_the_fix),
		cmocka_unit_test(sha256_needs_a_key),
		cmocka_unit_test(append_adds_its_columns_in_front),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
