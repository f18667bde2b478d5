/* SPDX-License-Identifier: PostgreSQL */
/*
 * errors.c - walmill errors: the dead letters, asked of the daemon, or read from the state
 * folder when none runs.
 */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "cli.h"
#include "grid.h"
#include "json.h"
#include "walmill/strutil.h"

#define CALL_TIMEOUT (60 * WM_SEC)
#define RETRY_TIMEOUT (600 * WM_SEC)
#define ANSWER_MAX ((size_t)256 * 1024 * 1024)
#define PAGE_MAX 1000

struct question {			/* a list, or one letter when id is not 0 */
	struct wm_dead_letter_filter	 filter;
	int64_t				 id;
};

/* ---- where the answer comes from ---- */

static void
add_path(const struct question *q, struct wm_buf *path)
{
	char number[24];

	if (q->id != 0) {
		wm_buf_addf(path, "/v1/errors/%" PRId64, q->id);
		return;
	}
	wm_buf_adds(path, "/v1/errors");
	if (q->filter.rule != NULL)
		wm_admin_add_query(path, "rule", q->filter.rule);
	if (q->filter.class != NULL)
		wm_admin_add_query(path, "class", q->filter.class);
	snprintf(number, sizeof(number), "%" PRId64, q->filter.after);
	wm_admin_add_query(path, "after", number);
	snprintf(number, sizeof(number), "%" PRId64, q->filter.limit);
	wm_admin_add_query(path, "limit", number);
}

static enum wm_status
read_state(const char *folder, const void *arg, char **ret, struct wm_error *err)
{
	const struct question *q = arg;
	WM_AUTO(wm_cli_free_statep) struct wm_state *state = NULL;
	WM_AUTO(wm_buf_free) struct wm_buf text;
	enum wm_status status;
	bool found = true;

	wm_buf_init(&text, ANSWER_MAX);
	if ((status = wm_state_open_readonly(folder, &state, err)) != WM_OK)
		return status;
	status = q->id == 0 ? wm_admin_render_letters(state, &q->filter, &text, err) :
	    wm_admin_render_letter(state, q->id, &found, &text, err);
	if (status != WM_OK)
		return status;
	if (!found)
		return wm_fail(err, WM_REJECT, "there is no dead letter %" PRId64, q->id);
	*ret = wm_buf_steal(&text);
	return *ret == NULL ? wm_oom(err, "the dead letters") : WM_OK;
}

/* The exit code; -1: *ret is there. */
static int
ask(const struct wm_cli_reach *reach, const struct question *q, char **ret)
{
	WM_AUTO(wm_buf_free) struct wm_buf path;

	wm_buf_init(&path, 65536);
	add_path(q, &path);
	return wm_cli_ask(reach, &path, read_state, q, ret);
}

/* ---- print ---- */

/* A value on one line: text as it is, the rest as the JSON that came, so that no digit of a key is lost. */
static void
value_cell(struct wm_grid *grid, const char *object, const char *name)
{
	WM_AUTO(wm_cli_free_jsonp) cJSON *text = NULL;
	const char *value;
	size_t n;

	if (!wm_json_member(object, name, &value, &n)) {
		wm_grid_cell(grid, "%s", "");
		return;
	}
	if (value[0] == '"')
		text = cJSON_ParseWithLength(value, n);
	if (cJSON_IsString(text))
		wm_grid_cell(grid, "%s", text->valuestring);
	else
		wm_grid_cell(grid, "%.*s", (int)n, value);
}

static void
print_list(const char *answer)
{
	static const char *const columns[] = { "id", "last_time", "rule", "op", "key", "class", "code", "message" };
	WM_AUTO(wm_grid_free) struct wm_grid grid;
	const char *list, *letter, *end, *last;
	size_t n, lines = 0;

	wm_grid_init(&grid, ">ID,LAST TIME,RULE,OP,KEY,CLASS,CODE,MESSAGE");
	letter = wm_json_member(answer, "errors", &list, &n) ? wm_json_first(list) : NULL;
	for (; letter != NULL; letter = wm_json_next(letter), lines++)
		for (size_t i = 0; i < WM_ARRAY_SIZE(columns); i++)
			value_cell(&grid, letter, columns[i]);
	if (lines > 0)
		wm_grid_print(&grid, stdout);
	else
		fputs("there are no dead letters\n", stderr);
	if (wm_json_member(answer, "end", &end, &n) && strncmp(end, "false", n) == 0 &&
	    wm_json_member(answer, "last", &last, &n))
		fprintf(stderr, "there are more: --after %.*s shows the next\n", (int)n, last);
}

static void
print_letter(const char *answer)
{
	static const char *const fields[] = { "id", "source", "target", "rule", "table", "view", "commit_lsn", "index",
		"op", "origin", "key", "row", "class", "code", "message", "first_time", "last_time", "attempts" };
	WM_AUTO(wm_grid_free) struct wm_grid grid;

	wm_grid_init(&grid, "FIELD,VALUE");
	for (size_t i = 0; i < WM_ARRAY_SIZE(fields); i++) {
		wm_grid_cell(&grid, "%s", fields[i]);
		value_cell(&grid, answer, fields[i]);
	}
	wm_grid_print(&grid, stdout);
}

/* ---- commands ---- */

static int
list_letters(int argc, char **argv)
{
	struct wm_cli_reach reach = { 0 };
	struct question q = { .filter = { .limit = 100 } };
	bool json = false;
	const struct wm_flag flags[] = {
		WM_FLAG_CONFIG(reach.config), WM_FLAG_SOCKET(reach.socket), WM_FLAG_STATE(reach.state),
		{ "rule", 0, WM_FLAG_TEXT, &q.filter.rule, "RULE", "of this rule only" },
		{ "class", 0, WM_FLAG_TEXT, &q.filter.class, "CLASS", "of this class only: row, check, expression or key" },
		{ "after", 0, WM_FLAG_NUMBER, &q.filter.after, "ID", "only those behind this one" },
		{ "limit", 0, WM_FLAG_NUMBER, &q.filter.limit, "N", "at most so many (default 100)" },
		WM_FLAG_JSON(json), WM_FLAG_END,
	};
	const struct wm_usage usage = { "errors list", "",
		"Lists the rows that a target or a rule refused, oldest first.", 0, 0 };
	WM_AUTO(wm_freep) char *answer = NULL;
	int first, code = wm_args_parse(&usage, flags, argc, argv, &first);

	if (code != -1)
		return code;
	if (q.filter.limit < 1 || q.filter.limit > PAGE_MAX)
		return wm_args_mistake("errors list", "option --limit: from 1 to %d", PAGE_MAX);
	if ((code = ask(&reach, &q, &answer)) != -1)
		return code;
	if (json)
		puts(answer);
	else
		print_list(answer);
	return WM_EXIT_OK;
}

static int
show_letter(int argc, char **argv)
{
	struct wm_cli_reach reach = { 0 };
	struct question q = { 0 };
	bool json = false;
	const struct wm_flag flags[] = {
		WM_FLAG_CONFIG(reach.config),
		WM_FLAG_SOCKET(reach.socket),
		WM_FLAG_STATE(reach.state),
		WM_FLAG_JSON(json),
		WM_FLAG_END,
	};
	const struct wm_usage usage = { "errors show", "ID", "Shows one dead letter with its row.", 1, 1 };
	WM_AUTO(wm_freep) char *answer = NULL;
	int first, code = wm_args_parse(&usage, flags, argc, argv, &first);

	if (code != -1)
		return code;
	if (!wm_parse_i64(argv[first], &q.id) || q.id < 1)
		return wm_args_mistake("errors show",
		    "\"%s\" is no id; \"walmill errors list\" shows them", argv[first]);
	if ((code = ask(&reach, &q, &answer)) != -1)
		return code;
	if (json)
		puts(answer);
	else
		print_letter(answer);
	return WM_EXIT_OK;
}

/* ---- commands that change something ---- */

/* The ids that were given, as a JSON array in body; false after printing what is wrong with them. */
static bool
add_ids(const char *command, cJSON *body, int argc, char **argv)
{
	cJSON *ids = argc == 0 ? NULL : cJSON_AddArrayToObject(body, "ids");

	for (int i = 0; i < argc; i++) {
		int64_t id;

		if (!wm_parse_i64(argv[i], &id) || id < 1) {
			(void)wm_args_mistake(command, "\"%s\" is no id; \"walmill errors list\" shows them", argv[i]);
			return false;
		}
		(void)cJSON_AddItemToArray(ids, cJSON_CreateNumber((double)id));
	}
	return true;
}

static void
add_filter(cJSON *body, const struct wm_dead_letter_filter *filter)
{
	if (filter->rule != NULL)
		(void)cJSON_AddStringToObject(body, "rule", filter->rule);
	if (filter->class != NULL)
		(void)cJSON_AddStringToObject(body, "class", filter->class);
	(void)cJSON_AddNumberToObject(body, "after", (double)filter->after);
	(void)cJSON_AddNumberToObject(body, "limit", (double)filter->limit);
}

/* The member's number, 0 when it is not there. */
static int64_t
number_of(const cJSON *answer, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(answer, name);

	return cJSON_IsNumber(item) ? (int64_t)item->valuedouble : 0;
}

/* The answer in a line, and what failed, each with its reason.  The exit code. */
static int
print_retry(const char *text, bool json)
{
	WM_AUTO(wm_cli_free_jsonp) cJSON *answer = cJSON_Parse(text);
	const cJSON *failures = cJSON_GetObjectItemCaseSensitive(answer, "failures"), *item;
	int64_t failed = number_of(answer, "failed");

	if (json)
		puts(text);
	else
		printf("last %" PRId64 ", processed %" PRId64 ", failed %" PRId64 ", end %s\n",
		    number_of(answer, "last"), number_of(answer, "processed"), failed,
		    cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "end")) ? "yes" : "no");
	cJSON_ArrayForEach(item, failures) {
		const char *why = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "message"));

		fprintf(stderr, "walmill: dead letter %" PRId64 ": %s\n", number_of(item, "id"),
		    why == NULL ? "" : why);
	}
	return failed > 0 ? WM_EXIT_FAILED : WM_EXIT_OK;
}

static int
retry_letters(int argc, char **argv)
{
	struct wm_cli_reach reach = { 0 };
	struct wm_dead_letter_filter filter = { .limit = 100 };
	bool json = false;
	const struct wm_flag flags[] = {
		WM_FLAG_CONFIG(reach.config), WM_FLAG_SOCKET(reach.socket), WM_FLAG_STATE(reach.state),
		{ "rule", 0, WM_FLAG_TEXT, &filter.rule, "RULE", "those of this rule" },
		{ "class", 0, WM_FLAG_TEXT, &filter.class, "CLASS",
		    "those of this class: row, check, expression or key" },
		{ "after", 0, WM_FLAG_NUMBER, &filter.after, "ID", "only those behind this one" },
		{ "limit", 0, WM_FLAG_NUMBER, &filter.limit, "N", "at most so many (default 100)" },
		WM_FLAG_JSON(json), WM_FLAG_END,
	};
	const struct wm_usage usage = { "errors retry", "[ID...]",
		"Tries dead letters again: the ones named, or, oldest first, those that the options take.\n"
		"Prints the last one looked at, how many were taken (processed) and refused again (failed),\n"
		"and whether that was the end; \"--after LAST\" goes on.  Exit status 1 when any failed.",
		0, PAGE_MAX };
	WM_AUTO(wm_cli_free_jsonp) cJSON *body = cJSON_CreateObject();
	WM_AUTO(wm_freep) char *answer = NULL;
	int first, code = wm_args_parse(&usage, flags, argc, argv, &first);

	if (code != -1)
		return code;
	if (filter.limit < 1 || filter.limit > PAGE_MAX)
		return wm_args_mistake("errors retry", "option --limit: from 1 to %d", PAGE_MAX);
	if (first < argc && (filter.rule != NULL || filter.class != NULL || filter.after != 0))
		return wm_args_mistake("errors retry", "give ids, or options that choose, not both");
	if (!add_ids("errors retry", body, argc - first, argv + first))
		return WM_EXIT_USAGE;
	add_filter(body, &filter);
	code = wm_cli_call(&reach, "POST", "/v1/errors/retry", body, RETRY_TIMEOUT, &answer);
	return code == -1 ? print_retry(answer, json) : code;
}

/* Without a daemon: its lock on the state is free. */
static int
drop_in_state(const struct wm_cli_reach *reach, const cJSON *body, const struct wm_error *why, int64_t *ret)
{
	const cJSON *array = cJSON_GetObjectItemCaseSensitive(body, "ids"), *item;
	WM_AUTO(wm_freep) char *folder = strcmp(why->code, WM_ADMIN_NO_DAEMON) == 0 ? wm_cli_state(reach) : NULL;
	WM_AUTO(wm_freep) int64_t *ids = calloc((size_t)cJSON_GetArraySize(array) + 1, sizeof(*ids));
	WM_AUTO(wm_cli_free_statep) struct wm_state *state = NULL;
	struct wm_error err;
	size_t n = 0;

	if (folder == NULL || ids == NULL)
		return wm_cli_fail(why);
	cJSON_ArrayForEach(item, array)
		ids[n++] = (int64_t)item->valuedouble;
	/* Reading first: opening to write would make a state where there is none. */
	if (wm_state_open_readonly(folder, &state, &err) != WM_OK)
		return wm_cli_fail(&err);
	wm_state_close(state);
	state = NULL;
	if (wm_state_open(folder, &state, &err) != WM_OK ||
	    wm_state_dead_letters_forget(state, ids, n, ret, &err) != WM_OK)
		return wm_cli_fail(&err);
	return -1;
}

static int
drop_letters(int argc, char **argv)
{
	struct wm_cli_reach reach = { 0 };
	const struct wm_flag flags[] = {
		WM_FLAG_CONFIG(reach.config), WM_FLAG_SOCKET(reach.socket), WM_FLAG_STATE(reach.state), WM_FLAG_END,
	};
	const struct wm_usage usage = { "errors drop", "ID...",
		"Forgets dead letters.  Their rows stay at the target as they are, until the source changes them\n"
		"again or the rule is seeded.", 1, PAGE_MAX };
	WM_AUTO(wm_cli_free_jsonp) cJSON *body = cJSON_CreateObject();
	WM_AUTO(wm_cli_free_jsonp) cJSON *done = NULL;
	WM_AUTO(wm_freep) char *answer = NULL;
	WM_AUTO(wm_freep) char *socket = NULL;
	int first, code = wm_args_parse(&usage, flags, argc, argv, &first);
	int64_t dropped = 0;
	struct wm_error err;

	if (code != -1)
		return code;
	if (!add_ids("errors drop", body, argc - first, argv + first))
		return WM_EXIT_USAGE;
	if ((socket = wm_cli_socket(&reach)) == NULL)
		return WM_EXIT_USAGE;
	if (wm_admin_call(socket, "POST", "/v1/errors/drop", body, CALL_TIMEOUT, &answer, &err) == WM_OK) {
		done = cJSON_Parse(answer);
		dropped = number_of(done, "dropped");
	} else if ((code = drop_in_state(&reach, body, &err, &dropped)) != -1)
		return code;
	if (dropped == argc - first)
		return WM_EXIT_OK;
	fprintf(stderr, "walmill: %" PRId64 " of %d dead letters dropped; the others are not there\n", dropped,
	    argc - first);
	return WM_EXIT_FAILED;
}

static const struct {
	const char	*name, *help;
	int		(*fn)(int argc, char **argv);
} actions[] = {
	{ "list", "list dead letters, oldest first", list_letters },
	{ "show", "show one with its row", show_letter },
	{ "retry", "try again what was refused", retry_letters },
	{ "drop", "forget dead letters", drop_letters },
};

static void
print_usage(FILE *out)
{
	fputs("Usage: walmill errors ACTION [OPTION]...\n\nRows that a target or a rule refused (\"dead letters\").\n\n"
	    "Actions:\n", out);
	for (size_t i = 0; i < WM_ARRAY_SIZE(actions); i++)
		fprintf(out, "  %-8s %s\n", actions[i].name, actions[i].help);
	fputs("\n\"walmill errors ACTION --help\" says more.\n", out);
}

int
wm_cli_errors(int argc, char **argv)
{
	const char *names[WM_ARRAY_SIZE(actions)], *nearest;

	if (argc < 2)
		return wm_args_mistake("errors", "an action is missing: list, show, retry, drop");
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_usage(stdout);
		return WM_EXIT_OK;
	}
	for (size_t i = 0; i < WM_ARRAY_SIZE(actions); i++) {
		names[i] = actions[i].name;
		if (strcmp(argv[1], actions[i].name) == 0)
			return actions[i].fn(argc - 1, argv + 1);
	}
	nearest = wm_nearest(argv[1], names, WM_ARRAY_SIZE(actions));
	if (nearest == NULL)
		return wm_args_mistake("errors", "unknown action \"%s\"", argv[1]);
	return wm_args_mistake("errors", "unknown action \"%s\" (did you mean \"%s\"?)", argv[1], nearest);
}
