/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_render.c - the JSON of status and dead letters, and the metrics, from hand-made values.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "walmill/admin.h"
#include "walmill/strutil.h"

static char shop[] = "shop", warehouse[] = "warehouse", orders[] = "orders", table[] = "public.orders";
static char quoted[] = "we\"ird\\na\nme", lost[] = "connection lost";

static struct wm_source_status source = {
	.name = shop,
	.state = "streaming",
	.received_lsn = 0x16B374D848,
	.acknowledged_lsn = 0x16B374D000,
	.server_lsn = 0x16B374D900,
	.lag_bytes = 2304,
	.transactions = 9007199254740993,
	.changes = 17,
	.reconnects = 2,
	.quiet_s = 4.5,
	.slot = { "extended", 4000, 5000, 1000, -1 },
	.journal_bytes = 4096,
	.journal_max_bytes = 8192,
	.prepared = 3,
	.waiting_bytes = 777,
	.journal_state = "full",
};
static struct wm_target_status target = {
	.name = warehouse, .type = "sqlite", .state = "retrying", .applied_lsn = 0x1, .lag_bytes = 5, .lag_s = 1.25,
	.rows_written = 100, .batches = 3, .retries = 4, .last_error = lost,
};
static struct wm_rule_status rules[] = {
	{ .name = orders, .source = shop, .target = warehouse, .table = table, .view = orders, .state = "seeding",
	    .rows_seeded = 10, .rows_read = 12, .seed_total = 1000, .inserts = 1, .updates = 2, .deletes = 3,
	    .truncates = 4, .dead_letters = 5, .rereads = 6 },
	{ .name = quoted, .source = shop, .target = warehouse, .table = table, .view = orders, .state = "streaming" },
};
static struct wm_alert_status alerts[] = {
	{ .kind = "rule_stopped", .type = "rule", .object = quoted, .text = lost, .active = true,
	    .since = 1700000000123456 },
	{ .kind = "journal_full", .type = "source", .object = shop, .text = lost },
};
static struct wm_receiver_status receivers[] = {
	{ .to = shop, .sent = 3, .failed = 1, .last_error = lost },
	{ .to = orders, .sent = 10 },
	{ .to = shop, .sent = 4, .failed = 5 },
};
static const struct wm_snapshot snapshot = {
	.uptime_s = 12.3, .nsources = 1, .ntargets = 1, .nrules = 2, .sources = &source, .targets = &target,
	.rules = rules, .latency_p50 = 0.004, .latency_p99 = 0.1,
	.alerts = { 2, 3, alerts, receivers },
};

static const cJSON *
get(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	if (item == NULL)
		fail_msg("no \"%s\"", name);
	return item;
}

static const char *
text_of(const cJSON *object, const char *name)
{
	const cJSON *item = get(object, name);

	assert_true(cJSON_IsString(item));
	return item->valuestring;
}

static double
number_of(const cJSON *object, const char *name)
{
	const cJSON *item = get(object, name);

	assert_true(cJSON_IsNumber(item));
	return item->valuedouble;
}

static void
assert_contains(const struct wm_buf *b, const char *text)
{
	if (strstr(b->data, text) == NULL)
		fail_msg("\"%s\" is not in:\n%s", text, b->data);
}

static void
status_has_every_field_of_the_interface(void **state)
{
	WM_AUTO(wm_buf_free) struct wm_buf b;
	const cJSON *o;
	cJSON *json;

	(void)state;
	wm_buf_init(&b, 1 << 20);
	wm_admin_render_status(&snapshot, &b);
	assert_false(b.failed);
	/* A double would have rounded it. */
	assert_contains(&b, "\"transactions\":9007199254740993,");
	json = cJSON_Parse(b.data);
	assert_non_null(json);
	assert_true(strlen(text_of(json, "version")) > 0);
	assert_int_equal(number_of(json, "pid"), getpid());
	assert_true(number_of(json, "uptime_s") > 12.29 && number_of(json, "uptime_s") < 12.31);

	assert_int_equal(cJSON_GetArraySize(get(json, "sources")), 1);
	o = cJSON_GetArrayItem(get(json, "sources"), 0);
	assert_string_equal(text_of(o, "name"), "shop");
	assert_string_equal(text_of(o, "state"), "streaming");
	assert_string_equal(text_of(o, "received_lsn"), "16/B374D848");
	assert_string_equal(text_of(o, "acknowledged_lsn"), "16/B374D000");
	assert_string_equal(text_of(o, "server_lsn"), "16/B374D900");
	assert_int_equal(number_of(o, "lag_bytes"), 2304);
	assert_int_equal(number_of(o, "changes"), 17);
	assert_int_equal(number_of(o, "journal_bytes"), 4096);
	assert_int_equal(number_of(o, "journal_max_bytes"), 8192);
	assert_string_equal(text_of(o, "journal_state"), "full");
	assert_int_equal(number_of(o, "prepared"), 3);
	assert_int_equal(number_of(o, "waiting_bytes"), 777);
	assert_true(cJSON_IsNull(get(o, "last_error")));

	o = cJSON_GetArrayItem(get(json, "targets"), 0);
	assert_string_equal(text_of(o, "name"), "warehouse");
	assert_string_equal(text_of(o, "type"), "sqlite");
	assert_string_equal(text_of(o, "state"), "retrying");
	assert_string_equal(text_of(o, "applied_lsn"), "0/1");
	assert_int_equal(number_of(o, "lag_bytes"), 5);
	assert_true(number_of(o, "lag_s") == 1.25);
	assert_int_equal(number_of(o, "rows_written"), 100);
	assert_int_equal(number_of(o, "retries"), 4);
	assert_string_equal(text_of(o, "last_error"), "connection lost");

	assert_int_equal(cJSON_GetArraySize(get(json, "alerts")), 1);
	o = cJSON_GetArrayItem(get(json, "alerts"), 0);
	assert_string_equal(text_of(o, "kind"), "rule_stopped");
	assert_string_equal(text_of(o, "type"), "rule");
	assert_string_equal(text_of(o, "object"), quoted);
	assert_string_equal(text_of(o, "since"), "2023-11-14T22:13:20Z");
	assert_string_equal(text_of(o, "reason"), "connection lost");
	assert_int_equal(cJSON_GetArraySize(get(json, "alert_receivers")), 3);
	o = cJSON_GetArrayItem(get(json, "alert_receivers"), 0);
	assert_string_equal(text_of(o, "to"), "shop");
	assert_int_equal(number_of(o, "sent"), 3);
	assert_int_equal(number_of(o, "failed"), 1);
	assert_string_equal(text_of(o, "last_error"), "connection lost");

	assert_int_equal(cJSON_GetArraySize(get(json, "rules")), 2);
	o = cJSON_GetArrayItem(get(json, "rules"), 0);
	assert_string_equal(text_of(o, "name"), "orders");
	assert_string_equal(text_of(o, "source"), "shop");
	assert_string_equal(text_of(o, "target"), "warehouse");
	assert_string_equal(text_of(o, "table"), "public.orders");
	assert_string_equal(text_of(o, "view"), "orders");
	assert_string_equal(text_of(o, "state"), "seeding");
	assert_int_equal(number_of(o, "rows_seeded"), 10);
	assert_int_equal(number_of(o, "seed_total"), 1000);
	assert_int_equal(number_of(o, "inserts"), 1);
	assert_int_equal(number_of(o, "updates"), 2);
	assert_int_equal(number_of(o, "deletes"), 3);
	assert_int_equal(number_of(o, "dead_letters"), 5);
	assert_string_equal(text_of(cJSON_GetArrayItem(get(json, "rules"), 1), "name"), quoted);
	cJSON_Delete(json);
}

static void
empty_snapshot_has_empty_lists(void **state)
{
	WM_AUTO(wm_buf_free) struct wm_buf b;

	(void)state;
	wm_buf_init(&b, 1 << 20);
	wm_admin_render_status(&(struct wm_snapshot){ 0 }, &b);
	assert_contains(&b, "\"sources\":[],\"targets\":[],\"rules\":[]");
}

static void
metrics_have_values_and_states(void **state)
{
	WM_AUTO(wm_buf_free) struct wm_buf b;

	(void)state;
	wm_buf_init(&b, 1 << 20);
	wm_admin_render_metrics(&snapshot, &b);
	assert_false(b.failed);
	assert_contains(&b, "walmill_build_info{version=\"");
	assert_contains(&b, "walmill_uptime_seconds 12.300\n");
	assert_contains(&b, "walmill_latency_seconds{quantile=\"0.99\"} 0.100000\n");
	assert_contains(&b, "walmill_source_state{source=\"shop\",state=\"streaming\"} 1\n");
	assert_contains(&b, "walmill_source_state{source=\"shop\",state=\"failed\"} 0\n");
	assert_contains(&b, "walmill_source_journal_state{source=\"shop\",state=\"full\"} 1\n");
	assert_contains(&b, "walmill_source_journal_max_bytes{source=\"shop\"} 8192\n");
	assert_contains(&b, "walmill_source_prepared_transactions{source=\"shop\"} 3\n");
	assert_contains(&b, "walmill_source_waiting_bytes{source=\"shop\"} 777\n");
	assert_contains(&b, "walmill_source_quiet_seconds{source=\"shop\"} 4.500000\n");
	assert_contains(&b, "walmill_source_slot_state{source=\"shop\",state=\"extended\"} 1\n");
	assert_contains(&b, "walmill_source_slot_left_bytes{source=\"shop\"} 1000\n");
	assert_null(strstr(b.data, "walmill_source_slot_exhausted_seconds{"));
	assert_contains(&b, "walmill_source_lag_bytes{source=\"shop\"} 2304\n");
	assert_contains(&b, "walmill_source_transactions_total{source=\"shop\"} 9007199254740993\n");
	assert_contains(&b, "walmill_target_lag_seconds{target=\"warehouse\",type=\"sqlite\"} 1.250000\n");
	assert_contains(&b, "walmill_target_state{target=\"warehouse\",type=\"sqlite\",state=\"retrying\"} 1\n");
	assert_contains(&b, "walmill_rule_dead_letters{rule=\"orders\",source=\"shop\",target=\"warehouse\","
	    "table=\"public.orders\",view=\"orders\"} 5\n");
	assert_contains(&b, "walmill_rule_inserts_total{rule=\"we\\\"ird\\\\na\\nme\",");
	assert_contains(&b, "walmill_alert_active{kind=\"rule_stopped\",object=\"we\\\"ird\\\\na\\nme\"} 1\n"
			    "walmill_alert_active{kind=\"journal_full\",object=\"shop\"} 0\n");
	/* Two receivers at one host are one series. */
	assert_contains(&b, "walmill_alerts_sent_total{to=\"shop\"} 7\nwalmill_alerts_sent_total{to=\"orders\"} 10\n#");
	assert_contains(&b, "walmill_alerts_failed_total{to=\"shop\"} 6\n");
}

/* Prometheus refuses a page on which a family's lines stand apart, or lack HELP and TYPE. */
static void
metrics_families_stand_together(void **state)
{
	WM_AUTO(wm_buf_free) struct wm_buf b;
	char current[128] = "", seen[8192] = "", *save = NULL;
	int families = 0;

	(void)state;
	wm_buf_init(&b, 1 << 20);
	wm_admin_render_metrics(&snapshot, &b);
	for (char *line = strtok_r(b.data, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		char name[128], mark[130];

		if (strncmp(line, "# HELP ", 7) == 0) {
			snprintf(name, sizeof(name), "%.*s", (int)strcspn(line + 7, " "), line + 7);
			snprintf(mark, sizeof(mark), "\n%s\n", name);
			assert_null(strstr(seen, mark));
			strncat(seen, mark, sizeof(seen) - strlen(seen) - 1);
			memcpy(current, name, sizeof(current));
			families++;
		} else if (strncmp(line, "# TYPE ", 7) == 0) {
			assert_memory_equal(line + 7, current, strlen(current));
		} else {
			snprintf(name, sizeof(name), "%.*s", (int)strcspn(line, "{ "), line);
			assert_string_equal(name, current);
			assert_memory_equal(name, "walmill_", 8);
		}
	}
	assert_true(families > 20);
}

static void
letters_are_json_with_exact_numbers(void **state)
{
	char folder[] = "/tmp/walmill-test-render.XXXXXX";
	const struct wm_dead_letter letter = {
		.source = "shop",
		.target = "warehouse",
		.rule = "orders",
		.table = "public.orders",
		.view = "orders",
		.commit_lsn = 0x100000002,
		.index = 3,
		.op = "upsert",
		.origin = "seed",
		.key = "{\"id\":12345678901234567890}",
		.row = NULL,
		.class = "row",
		.code = "23514",
		.message = "says \"no\"",
		.first_time = 1000000,
		.last_time = 2000000,
		.attempts = 1,
	};
	WM_AUTO(wm_buf_free) struct wm_buf b, one;
	WM_AUTO(wm_freep) char *command = NULL;
	struct wm_state *s;
	struct wm_error err;
	bool found = true;

	(void)state;
	wm_buf_init(&b, 1 << 20);
	wm_buf_init(&one, 1 << 20);
	assert_non_null(mkdtemp(folder));
	assert_int_equal(wm_state_open(folder, &s, &err), WM_OK);
	assert_int_equal(wm_state_dead_letter_add(s, &letter, &err), WM_OK);
	assert_int_equal(wm_admin_render_letters(s, &(struct wm_dead_letter_filter){ 0 }, &b, &err), WM_OK);
	assert_int_equal(wm_admin_render_letter(s, 1, &found, &one, &err), WM_OK);
	assert_true(found);
	assert_string_equal(one.data,
	    "{\"id\":1,\"source\":\"shop\",\"target\":\"warehouse\",\"rule\":\"orders\","
	    "\"table\":\"public.orders\",\"view\":\"orders\",\"commit_lsn\":\"1/2\",\"index\":3,\"op\":\"upsert\",\"origin\":\"seed\","
	    "\"key\":{\"id\":12345678901234567890},\"row\":null,\"class\":\"row\",\"code\":\"23514\","
	    "\"message\":\"says \\\"no\\\"\",\"first_time\":\"1970-01-01T00:00:01.000000Z\","
	    "\"last_time\":\"1970-01-01T00:00:02.000000Z\",\"attempts\":1}");
	assert_contains(&b, one.data);
	assert_memory_equal(b.data, "{\"errors\":[{", 12);
	assert_contains(&b, "],\"last\":1,\"end\":true}");
	assert_int_equal(wm_admin_render_letter(s, 2, &found, &one, &err), WM_OK);
	assert_false(found);
	wm_state_close(s);
	command = wm_asprintf("rm -rf '%s'", folder);
	assert_int_equal(system(command), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_has_every_field_of_the_interface),
		cmocka_unit_test(empty_snapshot_has_empty_lists),
		cmocka_unit_test(metrics_have_values_and_states),
		cmocka_unit_test(metrics_families_stand_together),
		cmocka_unit_test(letters_are_json_with_exact_numbers),
	};

	return cmocka_run_group_tests_name("admin_render", tests, NULL, NULL);
}
