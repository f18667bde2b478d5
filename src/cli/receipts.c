/* SPDX-License-Identifier: PostgreSQL */
/*
 * receipts.c - walmill receipts: what was written where and when, asked of the daemon, or read from the state
 * folder when none runs.
 */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "cli.h"
#include "grid.h"
#include "walmill/strutil.h"

#define ANSWER_MAX ((size_t)64 * 1024 * 1024)
#define PAGE_MAX 1000

/* COLUMN=VALUE of each as a JSON object, in *ret; false after printing what is wrong. */
static bool
key_object(const struct wm_flag_list *given, char **ret)
{
	WM_AUTO(wm_cli_free_jsonp) cJSON *object = cJSON_CreateObject();

	for (size_t i = 0; i < given->n; i++) {
		const char *equals = strchr(given->list[i], '=');
		WM_AUTO(wm_freep) char *name = NULL;

		if (equals == NULL || equals == given->list[i]) {
			(void)wm_args_mistake("receipts", "option --key: \"%s\" is not COLUMN=VALUE", given->list[i]);
			return false;
		}
		name = strndup(given->list[i], (size_t)(equals - given->list[i]));
		if (name != NULL)
			(void)cJSON_AddStringToObject(object, name, equals + 1);
	}
	*ret = given->n == 0 ? NULL : cJSON_PrintUnformatted(object);
	return true;
}

static void
add_path(const struct wm_receipt_filter *filter, const char *key, struct wm_buf *path)
{
	char number[24];

	wm_buf_adds(path, "/v1/receipts");
	if (filter->rule != NULL)
		wm_admin_add_query(path, "rule", filter->rule);
	if (key != NULL)
		wm_admin_add_query(path, "key", key);
	snprintf(number, sizeof(number), "%" PRId64, filter->after);
	wm_admin_add_query(path, "after", number);
	snprintf(number, sizeof(number), "%" PRId64, filter->limit);
	wm_admin_add_query(path, "limit", number);
}

static enum wm_status
read_file(const char *folder, const void *arg, char **ret, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf text;
	enum wm_status status;

	wm_buf_init(&text, ANSWER_MAX);
	status = wm_admin_render_receipts(folder, arg, &text, err);
	if (status == WM_OK && (*ret = wm_buf_steal(&text)) == NULL)
		status = wm_oom(err, "receipts");
	return status;
}

static void
cell(struct wm_grid *grid, const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	if (cJSON_IsNumber(item))
		wm_grid_cell(grid, "%.0f", item->valuedouble);
	else
		wm_grid_cell(grid, "%s", cJSON_IsString(item) ? item->valuestring : "");
}

static void
print(const char *text)
{
	static const char *const columns[] = { "id", "time", "source", "target", "rule", "origin",
		"first_lsn", "last_lsn", "rows", "refused", "checksum", "answer" };
	WM_AUTO(wm_cli_free_jsonp) cJSON *answer = cJSON_Parse(text);
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(answer, "receipts"), *item;
	const cJSON *last = cJSON_GetObjectItemCaseSensitive(answer, "last");
	WM_AUTO(wm_grid_free) struct wm_grid grid;

	wm_grid_init(&grid, ">ID,TIME,SOURCE,TARGET,RULE,ORIGIN,FIRST,LAST,>ROWS,>REFUSED,CHECKSUM,ANSWER");
	cJSON_ArrayForEach(item, list)
		for (size_t i = 0; i < WM_ARRAY_SIZE(columns); i++)
			cell(&grid, item, columns[i]);
	if (cJSON_GetArraySize(list) > 0)
		wm_grid_print(&grid, stdout);
	else
		fputs("there are no such receipts\n", stderr);
	if (cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(answer, "end")) && cJSON_IsNumber(last))
		fprintf(stderr, "there are more: --after %.0f shows the next\n", last->valuedouble);
}

int
wm_cli_receipts(int argc, char **argv)
{
	struct wm_cli_reach reach = { 0 };
	struct wm_receipt_filter filter = { .limit = 100 };
	struct wm_flag_list keys = { 0 };
	bool json = false;
	const struct wm_flag flags[] = {
		WM_FLAG_CONFIG(reach.config), WM_FLAG_SOCKET(reach.socket), WM_FLAG_STATE(reach.state),
		{ "rule", 0, WM_FLAG_TEXT, &filter.rule, "RULE", "of this rule only" },
		{ "key", 0, WM_FLAG_LIST, &keys, "COLUMN=VALUE",
		    "those that wrote this row; each column of the view's key, as the view has it" },
		{ "after", 0, WM_FLAG_NUMBER, &filter.after, "ID", "only those behind this one" },
		{ "limit", 0, WM_FLAG_NUMBER, &filter.limit, "N", "at most so many (default 100)" },
		WM_FLAG_JSON(json), WM_FLAG_END,
	};
	const struct wm_usage usage = { "receipts", "",
		"Lists what was written where and when, oldest first: a line for each commit and rule.\n"
		"With --key, when a row arrived.", 0, 0 };
	WM_AUTO(wm_freep) char *key = NULL;
	WM_AUTO(wm_freep) char *answer = NULL;
	WM_AUTO(wm_buf_free) struct wm_buf path;
	int first, code = wm_args_parse(&usage, flags, argc, argv, &first);
	bool good;

	wm_buf_init(&path, 65536);
	if (code != -1) {
		free(keys.list);
		return code;
	}
	good = key_object(&keys, &key);
	free(keys.list);
	if (!good)
		return WM_EXIT_USAGE;
	if (filter.limit < 1 || filter.limit > PAGE_MAX)
		return wm_args_mistake("receipts", "option --limit: from 1 to %d", PAGE_MAX);
	filter.by_key = key != NULL && wm_admin_receipt_key(key, &filter.key);
	add_path(&filter, key, &path);
	code = wm_cli_ask(&reach, &path, read_file, &filter, &answer);
	if (code != -1)
		return code;
	if (json)
		puts(answer);
	else
		print(answer);
	return WM_EXIT_OK;
}
