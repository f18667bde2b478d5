/* SPDX-License-Identifier: PostgreSQL */
/*
 * wait.c - walmill wait: until the targets have what the sources have.
 */
#include <cjson/cJSON.h>
#include <stdlib.h>

#include "args.h"
#include "cli.h"
#include "walmill/strutil.h"

#define DEFAULT_TIMEOUT (300 * WM_SEC)
#define LONGEST (86400 * WM_SEC)	/* the daemon takes no more */
#define GRACE (15 * WM_SEC)		/* for the answer, behind the time-out */

static cJSON *
make_body(wm_lsn lsn, wm_usec timeout)
{
	cJSON *body = cJSON_CreateObject();
	char text[WM_LSN_STRLEN];

	if (cJSON_AddNumberToObject(body, "timeout_s", (double)timeout / (double)WM_SEC) != NULL &&
	    (lsn == 0 || cJSON_AddStringToObject(body, "lsn", wm_lsn_format(lsn, text)) != NULL))
		return body;
	cJSON_Delete(body);
	return NULL;
}

int
wm_cli_wait(int argc, char **argv)
{
	struct wm_cli_reach reach = { 0 };
	wm_usec timeout = DEFAULT_TIMEOUT;
	wm_lsn lsn = 0;
	const struct wm_flag flags[] = {
		WM_FLAG_CONFIG(reach.config), WM_FLAG_SOCKET(reach.socket), WM_FLAG_STATE(reach.state),
		{ "lsn", 0, WM_FLAG_LSN, &lsn, "LSN", "wait for this position (default: all that is committed now)" },
		{ "timeout", 0, WM_FLAG_SECONDS, &timeout, "SECONDS", "give up after this long (default 300)" },
		WM_FLAG_END,
	};
	const struct wm_usage usage = { "wait", "", "Returns when everything that the sources had committed by now is "
	    "visible in all targets\nand no rule seeds; exit code 1 on time-out.", 0, 0 };
	WM_AUTO(wm_cli_free_jsonp) cJSON *body = NULL;
	WM_AUTO(wm_freep) char *answer = NULL;
	int first, code = wm_args_parse(&usage, flags, argc, argv, &first);

	if (code != -1)
		return code;
	if (timeout > LONGEST)
		return wm_args_mistake("wait", "option --timeout: a day (86400) is the longest");
	if ((body = make_body(lsn, timeout)) == NULL)
		return wm_cli_fail(&(struct wm_error){ .status = WM_FATAL, .text = "out of memory for the call" });
	code = wm_cli_call(&reach, "POST", "/v1/wait", body, timeout + GRACE, &answer);
	return code == -1 ? WM_EXIT_OK : code;
}
