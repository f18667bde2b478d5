/* SPDX-License-Identifier: PostgreSQL */
/*
 * pause.c - walmill pause and walmill resume.
 */
#include <cjson/cJSON.h>
#include <stdlib.h>

#include "args.h"
#include "cli.h"
#include "walmill/strutil.h"

#define CALL_TIMEOUT (60 * WM_SEC)

static int
call(int argc, char **argv, const char *command, const char *help, const char *path)
{
	struct wm_cli_reach reach = { 0 };
	const struct wm_flag flags[] = {
		WM_FLAG_CONFIG(reach.config), WM_FLAG_SOCKET(reach.socket), WM_FLAG_STATE(reach.state), WM_FLAG_END,
	};
	const struct wm_usage usage = { command, "RULE", help, 1, 1 };
	WM_AUTO(wm_cli_free_jsonp) cJSON *body = cJSON_CreateObject();
	WM_AUTO(wm_freep) char *answer = NULL;
	int first, code = wm_args_parse(&usage, flags, argc, argv, &first);

	if (code != -1)
		return code;
	if (cJSON_AddStringToObject(body, "rule", argv[first]) == NULL)
		return wm_cli_fail(&(struct wm_error){ .status = WM_FATAL, .text = "out of memory for the call" });
	code = wm_cli_call(&reach, "POST", path, body, CALL_TIMEOUT, &answer);
	return code == -1 ? WM_EXIT_OK : code;
}

int
wm_cli_pause(int argc, char **argv)
{
	return call(argc, argv, "pause",
	    "Stops applying a rule, over restarts too, until \"walmill resume\".  Nothing is "
	    "lost: the source\nkeeps what has not been applied.",
	    "/v1/pause");
}

int
wm_cli_resume(int argc, char **argv)
{
	return call(argc, argv, "resume", "Goes on applying a rule where it was paused.", "/v1/resume");
}
