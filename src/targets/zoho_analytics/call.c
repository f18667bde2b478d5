/* SPDX-License-Identifier: PostgreSQL */
/*
 * call.c - one call of the API, with all that surrounds each: its turn, the token, repeats.
 */
#include <stdio.h>
#include <string.h>

#include "walmill/strutil.h"
#include "zoho.h"

#define ANSWER_MAX (16U << 20)
#define BUSY_TRIES 6
#define BUSY_TOLD 3		/* jobs that end at once are no news */
#define BUSY_FIRST (500 * WM_MSEC)
#define BUSY_MAX (10 * WM_SEC)
#define RATE_TRIES 5
#define NO_PLACE 8134		/* five import jobs are open in the organisation */

enum wm_status
wm_zoho_rest(struct wm_zoho *z, wm_usec usec, struct wm_error *err)
{
	if (wm_target_rest(&z->base, usec))
		return WM_OK;
	return wm_fail(err, WM_RETRY, "target \"%s\" is to stop", z->base.name);
}

/* ---- before the call ---- */

static enum wm_status
units_are_used_up(struct wm_zoho *z, wm_usec wait, struct wm_error *err)
{
	enum wm_status st = wm_fail_code(err, WM_RETRY, "zoho:6043",
	    "target \"%s\": the API units of the day are used up; "
	    "it goes on when they are there again",
	    z->base.name);

	if (err != NULL)
		err->retry_after = wait;
	return st;
}

/* Until the call may be made as far as we know. */
static enum wm_status
wait_for_turn(struct wm_zoho *z, const struct wm_zoho_call *call, struct wm_error *err)
{
	struct wm_zoho_account *a = z->account;
	enum wm_status st = WM_OK;
	wm_usec wait = 1;

	while (st == WM_OK && wait > 0) {
		wm_usec closed;

		pthread_mutex_lock(&a->lock);
		closed = call->free ? 0 : wm_zoho_quota_closed(&a->quota, wm_clock_wall());
		wait = closed > 0 ? 0 : wm_zoho_quota_take(&a->quota, call->class, wm_clock_mono());
		pthread_mutex_unlock(&a->lock);
		if (closed > 0)
			return units_are_used_up(z, closed, err);
		if (wait > 0)
			st = wm_zoho_rest(z, wait, err);
	}
	return st;
}

static enum wm_status
get_token(struct wm_zoho *z, const char *refused, char *ret, struct wm_error *err)
{
	struct wm_zoho_login login = wm_zoho_login_of(z);
	struct wm_zoho_account *a = z->account;
	enum wm_status st;

	pthread_mutex_lock(&a->token_lock);
	if (refused != NULL && wm_clock_mono() < a->keep_token)
		refused = NULL;
	st = wm_zoho_token_get(&login, z->http, refused, &a->token, err);
	if (st == WM_OK)
		(void)snprintf(ret, WM_ZOHO_TOKEN_MAX, "%s", a->token.text);
	pthread_mutex_unlock(&a->token_lock);
	return st == WM_OK ? WM_OK : wm_error_prefix(err, "target \"%s\"", z->base.name);
}

/* ---- the call ---- */

/* The address, and what of CONFIG goes into it: all of it with GET, which has no body. */
static char *
make_url(const struct wm_zoho *z, const struct wm_zoho_call *call, const char *config)
{
	WM_AUTO(wm_buf_free) struct wm_buf form;
	bool in_url = config != NULL && (strcmp(call->method, "GET") == 0 || z->config_in_url);

	wm_buf_init(&form, 4 * WM_ZOHO_CONFIG_MAX);
	if (in_url)
		wm_http_add_form(&form, "CONFIG", config);
	if (form.failed)
		return NULL;
	return wm_asprintf("%s/restapi/v2%s%s%s", wm_zoho_api_url(z), call->path, in_url ? "?" : "", form.data);
}

static enum wm_status
send_once(struct wm_zoho *z, const struct wm_zoho_call *call, const char *config, const char *token,
    struct wm_zoho_answer *ret, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *url = make_url(z, call, config);
	WM_AUTO(wm_freep) char *authorization = wm_asprintf("Authorization: Zoho-oauthtoken %s", token);
	WM_AUTO(wm_freep) char *org =
	    wm_asprintf("ZANALYTICS-ORGID: %s", z->account->org != NULL ? z->account->org : "");
	WM_AUTO(wm_buf_free) struct wm_buf form;
	WM_AUTO(wm_http_response_free) struct wm_http_response response = { 0 };
	const char *const headers[] = { authorization, call->no_org ? NULL : org, NULL };
	bool in_body = config != NULL && strcmp(call->method, "GET") != 0 && !z->config_in_url;
	const struct wm_http_part parts[] = {
		{ .name = "FILE", .filename = "rows.csv", .type = "text/csv", .data = call->csv, .len = call->csv_len },
		{ .name = "CONFIG", .data = config, .len = config != NULL ? strlen(config) : 0 },
	};
	struct wm_http_request request = { .method = call->method, .url = url, .headers = headers,
		.timeout = call->timeout != 0 ? call->timeout : z->timeout, .max_response = ANSWER_MAX,
		.once = call->once };
	enum wm_status st;

	wm_buf_init(&form, 4 * WM_ZOHO_CONFIG_MAX);
	if (call->csv != NULL) {
		request.parts = parts;
		request.nparts = in_body ? 2 : 1;
	} else if (in_body) {
		wm_http_add_form(&form, "CONFIG", config);
		request.type = "application/x-www-form-urlencoded";
		request.body = form.data;
		request.len = form.len;
	}
	if (url == NULL || authorization == NULL || org == NULL || form.failed)
		return wm_oom(err, "a request");
	st = wm_http_send(z->http, &request, &response, err);
	if (st != WM_OK)
		return wm_error_prefix(err, "target \"%s\": %s", z->base.name, call->what);
	wm_zoho_answer_parse(response.code, response.body.data, response.body.len, ret);
	if (call->file && response.code == 200 && ret->json == NULL) {
		ret->trouble = WM_ZOHO_FINE;
		ret->records = wm_zoho_csv_records(response.body.data, response.body.len);
	}
	return WM_OK;
}

static void
note_units(struct wm_zoho *z, const struct wm_zoho_call *call, const struct wm_zoho_answer *answer)
{
	struct wm_zoho_account *a = z->account;

	pthread_mutex_lock(&a->lock);
	if (answer->trouble == WM_ZOHO_RATE)
		wm_zoho_quota_rate_exceeded(&a->quota, call->class, wm_clock_mono(), wm_clock_wall());
	else if (answer->trouble == WM_ZOHO_UNITS)
		wm_zoho_quota_exhausted(&a->quota, z->units_retry, wm_clock_wall());
	else if (answer->trouble == WM_ZOHO_FINE)
		wm_zoho_quota_spend(&a->quota, call->units, wm_clock_wall());
	pthread_mutex_unlock(&a->lock);
	wm_zoho_units_keep(z, false);
}

/* What has been tried for the call. */
struct tries {
	unsigned	 busy, rate;
	bool		 token, told;	/* told: that others are waited for */
	bool		 plain;		/* without an address to call back */
	wm_usec		 pause;
	char		 text[WM_ZOHO_TOKEN_MAX];	/* the token */
};

/* It is not the token's age: the next calls, and the pipeline's repeats, must not use up those that may be made. */
static void
keep_token(struct wm_zoho_account *a)
{
	pthread_mutex_lock(&a->token_lock);
	a->keep_token = wm_clock_mono() + WM_ZOHO_REFRESH_WINDOW;
	pthread_mutex_unlock(&a->token_lock);
}

static enum wm_status
rest_longer(struct wm_zoho *z, struct tries *t, struct wm_error *err)
{
	enum wm_status st = wm_zoho_rest(z, t->pause, err);

	t->pause = t->pause * 2 < BUSY_MAX ? t->pause * 2 : BUSY_MAX;
	return st;
}

static void
tell(struct wm_zoho *z, const struct wm_zoho_call *call, struct tries *t)
{
	char since[32];
	WM_AUTO(wm_freep) char *text = t->told ? NULL :
	    wm_asprintf("target \"%s\": %s: all import jobs of the organisation are taken by others since %s "
			"(zoho:8134); it goes on by itself when one of them has ended",
		z->base.name, call->what, wm_clock_format(wm_clock_wall(), since, sizeof(since)));

	if (text != NULL)
		wm_target_waits(&z->base, text);
	t->told = true;
}

/*
 * Places for jobs that others have taken are waited for, as long as it takes: nothing has begun that could be lost.
 * Not with batch imports open: somebody may wait for their places, too.
 */
static bool
wait_for_others(struct wm_zoho *z, const struct wm_zoho_call *call, const struct wm_zoho_answer *a, struct tries *t,
    enum wm_status *st, struct wm_error *err)
{
	if (a->code != NO_PLACE || wm_zoho_stages_open(z))
		return false;
	if (++t->busy >= BUSY_TOLD)
		tell(z, call, t);
	*st = rest_longer(z, t, err);
	return true;
}

/* Whether the same call may go through now; none of these failures has had an effect. */
static bool
again(struct wm_zoho *z, const struct wm_zoho_call *call, const struct wm_zoho_answer *a, struct tries *t,
    enum wm_status *st, struct wm_error *err)
{
	char refused[WM_ZOHO_TOKEN_MAX];

	if (call->callback != NULL && !t->plain && wm_zoho_callback_refused(z, a))
		return t->plain = true;
	switch (a->trouble) {
	case WM_ZOHO_TOKEN:
		memcpy(refused, t->text, sizeof(refused));
		if (t->token)
			keep_token(z->account);
		if (!t->token)
			*st = get_token(z, refused, t->text, err);
		/* Once: a token that lacks a scope is refused in the same words as one that has expired. */
		if (t->token || (*st == WM_OK && strcmp(refused, t->text) == 0))
			return false;
		t->token = true;
		return true;
	case WM_ZOHO_RATE:
		return t->rate++ < RATE_TRIES;		/* the turn is waited for anew */
	case WM_ZOHO_BUSY:
		if (call->no_wait)
			return false;
		if (wait_for_others(z, call, a, t, st, err))
			return true;
		if (t->busy++ >= BUSY_TRIES)
			return false;
		*st = rest_longer(z, t, err);
		return true;
	default:
		return false;
	}
}

enum wm_status
wm_zoho_call(struct wm_zoho *z, const struct wm_zoho_call *call, struct wm_zoho_answer *ret, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *with = call->callback == NULL ? NULL :
	    wm_zoho_callback_config(z, call->callback, call->config);
	struct tries t = { .pause = BUSY_FIRST };
	enum wm_status st = get_token(z, NULL, t.text, err);

	while (st == WM_OK) {
		struct wm_zoho_answer answer;

		st = wait_for_turn(z, call, err);
		if (st == WM_OK)
			st = send_once(z, call, with != NULL && !t.plain ? with : call->config, t.text, &answer, err);
		if (st != WM_OK)
			break;
		note_units(z, call, &answer);
		if (!again(z, call, &answer, &t, &st, err)) {
			if (t.told)
				wm_target_waits(&z->base, NULL);
			*ret = answer;
			return WM_OK;
		}
		wm_zoho_answer_free(&answer);
	}
	return st;
}

enum wm_status
wm_zoho_ask(struct wm_zoho *z, const struct wm_zoho_call *call, struct wm_zoho_answer *ret, struct wm_error *err)
{
	enum wm_status st = wm_zoho_call(z, call, ret, err);

	if (st != WM_OK || ret->trouble == WM_ZOHO_FINE)
		return st;
	st = wm_zoho_answer_fail(ret, NULL, err, "target \"%s\": %s", z->base.name, call->what);
	wm_zoho_answer_free(ret);
	return st;
}
