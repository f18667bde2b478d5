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
read_state(const char *folder, const struct question *q, char **ret, struct wm_error *err)
{
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
	WM_AUTO(wm_freep) char *socket = wm_cli_socket(reach);
	WM_AUTO(wm_freep) char *folder = NULL;
	WM_AUTO(wm_buf_free) struct wm_buf path;
	struct wm_error err, none;

	wm_buf_init(&path, 65536);
	if (socket == NULL)
		return WM_EXIT_USAGE;
	add_path(q, &path);
	if (path.failed) {
		wm_oom(&err, "the call");
		return wm_cli_fail(&err);
	}
	if (wm_admin_call(socket, "GET", path.data, NULL, CALL_TIMEOUT, ret, &err) == WM_OK)
		return -1;
	if (strcmp(err.code, WM_ADMIN_NO_DAEMON) != 0 || (folder = wm_cli_state(reach)) == NULL)
		return wm_cli_fail(&err);
	switch (read_state(folder, q, ret, &none)) {
	case WM_OK:
		return -1;
	case WM_REJECT:
		return wm_cli_fail(&none);
	default:
		fprintf(stderr, "walmill: %s\n", err.text);
		return wm_cli_fail(&none);
	}
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
		"op", "key", "row", "class", "code", "message", "first_time", "last_time", "attempts" };
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
		{ "class", 0, WM_FLAG_TEXT, &q.filter.class, "CLASS", "of this class only: row, check or expression" },
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

static int
not_yet(int argc, char **argv)
{
	(void)argc;
	fprintf(stderr, "walmill errors %s: not in this version; dead letters are kept until a version that has it\n",
	    argv[0]);
	return WM_EXIT_USAGE;
}

static const struct {
	const char	*name, *help;
	int		(*fn)(int argc, char **argv);
} actions[] = {
	{ "list", "list dead letters, oldest first", list_letters },
	{ "show", "show one with its row", show_letter },
	{ "retry", "not in this version", not_yet },
	{ "drop", "not in this version", not_yet },
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
		return wm_args_mistake("errors", "an action is missing: list, show");
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
