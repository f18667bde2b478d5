/* SPDX-License-Identifier: PostgreSQL */
/*
 * row.c - walmill row: one row read again at the source and written to its target.
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "cli.h"
#include "walmill/strutil.h"

#define CALL_TIMEOUT (60 * WM_SEC)

/* KEY=VALUE, each a member; false for one without "=". */
static bool
add_key(cJSON *key, const char *argument)
{
	const char *equals = strchr(argument, '=');
	WM_AUTO(wm_freep) char *name = equals == NULL ? NULL : strndup(argument, (size_t)(equals - argument));

	return name != NULL && name[0] != '\0' && cJSON_AddStringToObject(key, name, equals + 1) != NULL;
}

/* "upsert in view "orders": {...}" */
static void
print_written(const cJSON *answer)
{
	const cJSON *rows = cJSON_GetObjectItemCaseSensitive(answer, "written"), *row;
	const char *view = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "view"));

	if (cJSON_GetArraySize(rows) == 0)
		puts("nothing was written: the rule leaves the row out");
	cJSON_ArrayForEach(row, rows) {
		WM_AUTO(wm_freep) char *text = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(row, "row"));
		const char *action = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, "action"));

		printf("%s in view \"%s\": %s\n", action != NULL ? action : "?", view != NULL ? view : "?",
		    text != NULL ? text : "?");
	}
}

static int
call(const struct wm_cli_reach *reach, const cJSON *body, bool json)
{
	WM_AUTO(wm_freep) char *text = NULL;
	WM_AUTO(wm_cli_free_jsonp) cJSON *answer = NULL;
	int code = wm_cli_call(reach, "POST", "/v1/row", body, CALL_TIMEOUT, &text);

	if (code != -1)
		return code;
	if (json) {
		puts(text);
		return WM_EXIT_OK;
	}
	answer = cJSON_Parse(text);
	print_written(answer);
	return WM_EXIT_OK;
}

int
wm_cli_row(int argc, char **argv)
{
	struct wm_cli_reach reach = { 0 };
	const char *action = "upsert", *table = NULL;
	bool json = false;
	const struct wm_flag flags[] = {
		WM_FLAG_CONFIG(reach.config), WM_FLAG_SOCKET(reach.socket), WM_FLAG_STATE(reach.state),
		{ "action", 0, WM_FLAG_TEXT, &action, "ACTION", "upsert (default), or delete: take it out of the view" },
		{ "table", 0, WM_FLAG_TEXT, &table, "SCHEMA.TABLE", "which of the rule's tables, if it takes several" },
		WM_FLAG_JSON(json),
		WM_FLAG_END,
	};
	const struct wm_usage usage = { "row", "RULE KEY=VALUE...",
		"Reads one row at the source again and writes it as the "
		"rule says, while the stream goes on.\nKEY is a column of the table's key at the source.",
		2, 100 };
	WM_AUTO(wm_cli_free_jsonp) cJSON *body = cJSON_CreateObject();
	cJSON *key = cJSON_AddObjectToObject(body, "key");
	int first, code = wm_args_parse(&usage, flags, argc, argv, &first);

	if (code != -1)
		return code;
	if (strcmp(action, "upsert") != 0 && strcmp(action, "delete") != 0)
		return wm_args_mistake("row", "option --action: upsert or delete");
	cJSON_AddStringToObject(body, "rule", argv[first]);
	cJSON_AddStringToObject(body, "action", action);
	if (table != NULL)
		cJSON_AddStringToObject(body, "table", table);
	for (int i = first + 1; i < argc; i++)
		if (!add_key(key, argv[i]))
			return wm_args_mistake("row", "\"%s\" is no KEY=VALUE", argv[i]);
	return call(&reach, body, json);
}
