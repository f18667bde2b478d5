/* SPDX-License-Identifier: PostgreSQL */
/*
 * answer.h - what Zoho said, and what follows from it.
 */
#ifndef WM_ZOHO_ANSWER_H
#define WM_ZOHO_ANSWER_H

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "walmill/clock.h"
#include "walmill/error.h"

enum wm_zoho_trouble {
	WM_ZOHO_FINE,
	WM_ZOHO_PASSING,	/* a server's error, an answer that cannot be understood: again, with back-off */
	WM_ZOHO_BUSY,		/* the table or the job queue is taken: again soon */
	WM_ZOHO_RATE,		/* too many calls in a minute */
	WM_ZOHO_UNITS,		/* the day's units are used up */
	WM_ZOHO_TOKEN,		/* the token is refused: a new one, once */
	WM_ZOHO_ROWS,		/* a row of the payload cannot be taken */
	WM_ZOHO_VIEW,		/* this view cannot be written: another id, other rights */
	WM_ZOHO_ACCOUNT,	/* nothing can: the organisation, the plan, our own requests */
	WM_ZOHO_STALE,		/* a column that was there has gone */
};

struct wm_zoho_answer {
	long			 http;		/* status */
	enum wm_zoho_trouble	 trouble;
	int			 code;		/* errorCode; 0 none */
	cJSON			*json;		/* NULL: the body is no JSON */
	const cJSON		*data;		/* of it; or NULL */
	char			 message[400];	/* errorMessage, or what is wrong with the answer */
	size_t			 records;	/* of an answer that is a CSV file, its header among them */
};

/* Of any answer with an envelope.  The caller frees it, whatever it says. */
void wm_zoho_answer_parse(long http, const char *body, size_t len, struct wm_zoho_answer *ret);
void wm_zoho_answer_free(struct wm_zoho_answer *a);		/* also for WM_AUTO */
/* Of a code within an answer (a job's, say). */
enum wm_zoho_trouble wm_zoho_trouble_of(int code, long http);
/*
 * The status that goes with the trouble, and the text "what: message; what to do".  WM_ZOHO_VIEW is WM_FATAL, and
 * *ret_view is set, if it is not NULL.
 */
enum wm_status wm_zoho_answer_fail(const struct wm_zoho_answer *a, bool *ret_view, struct wm_error *err,
    const char *what, ...) WM_PRINTF(4, 5);

/* Members of data, which may be missing: numbers come as text here and there. */
const char *wm_zoho_text(const cJSON *o, const char *name);		/* "" */
/* Ends o; malloc'd, NULL: memory out. */
char *wm_zoho_print(cJSON *o);
int64_t wm_zoho_number(const cJSON *o, const char *name, int64_t missing);

/*
 * What an import says of itself.  Rows count as stored only when every count says so: HTTP 200 alone proves nothing.
 */
struct wm_zoho_import {
	int64_t	total, stored, warnings, selected;
	char	errors[300];		/* a fragment of HTML, for messages */
};
void wm_zoho_import_parse(const cJSON *summary_parent, struct wm_zoho_import *ret);
bool wm_zoho_import_complete(const struct wm_zoho_import *i, size_t rows);

#endif
