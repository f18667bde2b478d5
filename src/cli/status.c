/* SPDX-License-Identifier: PostgreSQL */
/*
 * status.c - walmill status: what every source, target and rule does.
 */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "args.h"
#include "cli.h"
#include "grid.h"
#include "walmill/strutil.h"

#define CALL_TIMEOUT (30 * WM_SEC)

static const char *
text(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsString(item) ? item->valuestring : "";
}

static double
number(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

static const char *
count(const cJSON *object, const char *name, char *buf)
{
	return wm_grid_count((uint64_t)number(object, name), buf);
}

/* "12 MiB", "10 GiB full" */
static void
journal_cell(struct wm_grid *grid, const cJSON *source)
{
	const char *state = text(source, "journal_state");
	char size[32];

	if (strcmp(state, "off") == 0)
		wm_grid_cell(grid, "off");
	else
		wm_grid_cell(grid, "%s%s%s", wm_grid_size((uint64_t)number(source, "journal_bytes"), size),
		    strcmp(state, "ok") == 0 ? "" : " ", strcmp(state, "ok") == 0 ? "" : state);
}

static void
print_sources(const cJSON *list)
{
	WM_AUTO(wm_grid_free) struct wm_grid grid;
	const cJSON *o;
	char a[32], b[32], c[32];

	wm_grid_init(&grid, "SOURCE,STATE,RECEIVED,ACKNOWLEDGED,SERVER,>LAG,JOURNAL,>TRANSACTIONS,>CHANGES");
	cJSON_ArrayForEach(o, list) {
		wm_grid_cell(&grid, "%s", text(o, "name"));
		wm_grid_cell(&grid, "%s", text(o, "state"));
		wm_grid_cell(&grid, "%s", text(o, "received_lsn"));
		wm_grid_cell(&grid, "%s", text(o, "acknowledged_lsn"));
		wm_grid_cell(&grid, "%s", text(o, "server_lsn"));
		wm_grid_cell(&grid, "%s", wm_grid_size((uint64_t)number(o, "lag_bytes"), a));
		journal_cell(&grid, o);
		wm_grid_cell(&grid, "%s", count(o, "transactions", b));
		wm_grid_cell(&grid, "%s", count(o, "changes", c));
	}
	wm_grid_print(&grid, stdout);
}

/* "source shop: slot keeps 1.2 GiB of WAL, 60% of what the server keeps at most, used up in 3 h 20 min at this rate" */
static void
print_budgets(const cJSON *list)
{
	const cJSON *o;
	char a[32], b[32];

	cJSON_ArrayForEach(o, list) {
		const cJSON *slot = cJSON_GetObjectItemCaseSensitive(o, "slot");
		double retained = number(slot, "retained_bytes"), left = number(slot, "left_bytes");
		const cJSON *when = cJSON_GetObjectItemCaseSensitive(slot, "exhausted_in_s");

		if (!cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(slot, "left_bytes")) || retained <= left)
			continue;
		printf("source %s: the server keeps %s of WAL for the slot, %.0f%% of what it may", text(o, "name"),
		    wm_grid_size((uint64_t)retained, a), retained * 100 / (retained + left));
		if (cJSON_IsNumber(when))
			printf("; used up in %s at this rate", wm_grid_seconds(when->valuedouble, b));
		putchar('\n');
	}
}

static void
print_targets(const cJSON *list)
{
	WM_AUTO(wm_grid_free) struct wm_grid grid;
	const cJSON *o;
	char a[32], b[32], c[32], d[32];

	wm_grid_init(&grid, "TARGET,TYPE,STATE,APPLIED,>LAG,>BEHIND,>ROWS,>RETRIES");
	cJSON_ArrayForEach(o, list) {
		wm_grid_cell(&grid, "%s", text(o, "name"));
		wm_grid_cell(&grid, "%s", text(o, "type"));
		wm_grid_cell(&grid, "%s", text(o, "state"));
		wm_grid_cell(&grid, "%s", text(o, "applied_lsn"));
		wm_grid_cell(&grid, "%s", wm_grid_size((uint64_t)number(o, "lag_bytes"), a));
		wm_grid_cell(&grid, "%s", wm_grid_seconds(number(o, "lag_s"), b));
		wm_grid_cell(&grid, "%s", count(o, "rows_written", c));
		wm_grid_cell(&grid, "%s", count(o, "retries", d));
	}
	wm_grid_print(&grid, stdout);
}

/* What only some kinds of target have: a line for each that has it. */
static void
print_facts(const cJSON *list)
{
	const cJSON *o, *fact;

	cJSON_ArrayForEach(o, list) {
		const char *between = ": ";

		cJSON_ArrayForEach(fact, cJSON_GetObjectItemCaseSensitive(o, "facts")) {
			if (!cJSON_IsNumber(fact))
				continue;
			if (between[0] == ':')
				printf("target %s", text(o, "name"));
			printf("%s%s %.10g", between, fact->string, fact->valuedouble);
			between = ", ";
		}
		if (between[0] == ',')
			putchar('\n');
	}
}

/* "seeding 42%" */
static void
state_cell(struct wm_grid *grid, const cJSON *rule)
{
	double read = number(rule, "rows_read"), total = number(rule, "seed_total");

	if (strcmp(text(rule, "state"), "seeding") != 0 || total <= 0)
		wm_grid_cell(grid, "%s", text(rule, "state"));
	else
		wm_grid_cell(grid, "seeding %.0f%%", read >= total ? 100 : read * 100 / total);
}

static void
print_rules(const cJSON *list)
{
	WM_AUTO(wm_grid_free) struct wm_grid grid;
	const cJSON *o;
	char a[32], b[32], c[32], d[32], e[32];

	wm_grid_init(&grid, "RULE,TABLE,TARGET,VIEW,STATE,>SEEDED,>INSERTS,>UPDATES,>DELETES,>DEAD");
	cJSON_ArrayForEach(o, list) {
		wm_grid_cell(&grid, "%s", text(o, "name"));
		wm_grid_cell(&grid, "%s", text(o, "table"));
		wm_grid_cell(&grid, "%s", text(o, "target"));
		wm_grid_cell(&grid, "%s", text(o, "view"));
		state_cell(&grid, o);
		wm_grid_cell(&grid, "%s", count(o, "rows_seeded", a));
		wm_grid_cell(&grid, "%s", count(o, "inserts", b));
		wm_grid_cell(&grid, "%s", count(o, "updates", c));
		wm_grid_cell(&grid, "%s", count(o, "deletes", d));
		wm_grid_cell(&grid, "%s", count(o, "dead_letters", e));
	}
	wm_grid_print(&grid, stdout);
}

/* A line for each rule whose changes wait for their time. */
static void
print_waiting(const cJSON *list)
{
	const cJSON *o;

	cJSON_ArrayForEach(o, list)
		if (number(o, "waiting") > 0)
			printf("rule %s: %.0f changes gather, priority %s\n", text(o, "name"), number(o, "waiting"),
			    text(o, "priority"));
}

/* "rule orders: 59% of 2,000,000 rows are read, 1,010,948 rows/s, 0.8 s left" */
static void
print_seeds(const cJSON *list)
{
	const cJSON *o;
	char total[32], speed[32], left[32];

	cJSON_ArrayForEach(o, list) {
		if (strcmp(text(o, "state"), "seeding") != 0 || number(o, "seed_total") <= 0)
			continue;
		printf("rule %s: %.0f%% of %s rows are read", text(o, "name"),
		    100 * number(o, "rows_read") / number(o, "seed_total"), count(o, "seed_total", total));
		if (number(o, "seed_rows_per_s") > 0)
			printf(", %s rows/s, %s left", count(o, "seed_rows_per_s", speed),
			    wm_grid_seconds(number(o, "seed_left_s"), left));
		putchar('\n');
	}
}

static void
print_errors(const char *kind, const cJSON *list)
{
	const cJSON *o;

	cJSON_ArrayForEach(o, list) {
		const char *why = text(o, "last_error");
		WM_AUTO(wm_freep) char *known = wm_asprintf("%s \"%s\": ", kind, text(o, "name"));

		/* It may name the object itself. */
		if (known != NULL && strncmp(why, known, strlen(known)) == 0)
			why += strlen(known);
		if (why[0] != '\0')
			printf("%s %s: %s\n", kind, text(o, "name"), why);
	}
}

/* "alert journal_full, source shop, since 2026-11-21T08:30:00: the journal holds ..." */
static void
print_alerts(const cJSON *json)
{
	const cJSON *o;

	cJSON_ArrayForEach(o, cJSON_GetObjectItemCaseSensitive(json, "alerts"))
		printf("alert %s, %s %s, since %.19sZ: %s\n", text(o, "kind"), text(o, "type"), text(o, "object"),
		    text(o, "since"), text(o, "reason"));
	cJSON_ArrayForEach(o, cJSON_GetObjectItemCaseSensitive(json, "alert_receivers"))
		if (text(o, "last_error")[0] != '\0')
			printf("alerts to %s fail: %s\n", text(o, "to"), text(o, "last_error"));
}

static void
print_status(const cJSON *json)
{
	const cJSON *sources = cJSON_GetObjectItemCaseSensitive(json, "sources");
	const cJSON *targets = cJSON_GetObjectItemCaseSensitive(json, "targets");
	const cJSON *rules = cJSON_GetObjectItemCaseSensitive(json, "rules");
	char up[32], p50[32], p99[32];

	printf("walmill %s, process %.0f, up %s", text(json, "version"), number(json, "pid"),
	    wm_grid_seconds(number(json, "uptime_s"), up));
	if (number(json, "latency_p50_s") > 0)
		printf(", commit to visible %s (p99 %s)", wm_grid_seconds(number(json, "latency_p50_s"), p50),
		    wm_grid_seconds(number(json, "latency_p99_s"), p99));
	puts("\n");
	print_sources(sources);
	print_budgets(sources);
	putchar('\n');
	print_targets(targets);
	print_facts(targets);
	putchar('\n');
	print_rules(rules);
	print_waiting(rules);
	print_seeds(rules);
	print_errors("source", sources);
	print_errors("target", targets);
	print_errors("rule", rules);
	print_alerts(json);
}

static int
once(const struct wm_cli_reach *reach, bool json, bool clear)
{
	WM_AUTO(wm_freep) char *answer = NULL;
	WM_AUTO(wm_cli_free_jsonp) cJSON *root = NULL;
	int code = wm_cli_call(reach, "GET", "/v1/status", NULL, CALL_TIMEOUT, &answer);

	if (code != -1)
		return code;
	if (clear)
		fputs("\033[H\033[2J", stdout);
	if (json) {
		puts(answer);
		return WM_EXIT_OK;
	}
	if ((root = cJSON_Parse(answer)) == NULL)
		return wm_cli_fail(&(struct wm_error){ .status = WM_FATAL, .text = "out of memory for the answer" });
	print_status(root);
	return WM_EXIT_OK;
}

/* Until a signal, or the daemon is gone.  On a terminal each answer replaces the one before. */
static int
watch(const struct wm_cli_reach *reach, bool json)
{
	bool terminal = isatty(STDOUT_FILENO) == 1;
	struct wm_error err;
	int code;

	for (;;) {
		if ((code = once(reach, json, terminal && !json)) != WM_EXIT_OK)
			return code;
		if (wm_cli_flush(&err) != WM_OK)
			return wm_cli_fail(&err);
		nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
	}
}

int
wm_cli_status(int argc, char **argv)
{
	struct wm_cli_reach reach = { 0 };
	bool again = false, json = false;
	const struct wm_flag flags[] = {
		WM_FLAG_CONFIG(reach.config), WM_FLAG_SOCKET(reach.socket), WM_FLAG_STATE(reach.state),
		{ "watch", 'w', WM_FLAG_SWITCH, &again, NULL, "print it again every second" },
		WM_FLAG_JSON(json), WM_FLAG_END,
	};
	const struct wm_usage usage = { "status", "",
		"Shows state, positions, lag, rows and errors of every source, target "
		"and rule of the\nrunning daemon.",
		0, 0 };
	int first, code = wm_args_parse(&usage, flags, argc, argv, &first);

	if (code != -1)
		return code;
	return again ? watch(&reach, json) : once(&reach, json, false);
}
