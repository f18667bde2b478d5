/* SPDX-License-Identifier: PostgreSQL */
/*
 * token.c - access tokens, and the file in which processes share one.
 *
 * The file is locked while a token is made, so that there is one flight at a time; it holds the token, when it
 * expires and when the last ones were made, for the throttle counts them for all processes together.
 */
#include "token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "answer.h"
#include "walmill/buf.h"
#include "walmill/log.h"
#include "walmill/strutil.h"

#define EARLY (90 * WM_SEC)		/* a token is made again so long before it expires */
#define THROTTLE (600 * WM_SEC)
#define ANSWER_MAX (64U << 10)
#define FILE_MAX (16U << 10)

static void
json_free(cJSON **o)
{
	cJSON_Delete(*o);
}

static void
close_file(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);	/* and with it the lock goes */
}

static bool
is_good(const struct wm_zoho_token *t, const char *refused, wm_usec wall)
{
	return t->text[0] != '\0' && t->expires - EARLY > wall && (refused == NULL || strcmp(t->text, refused) != 0);
}

/* ---- the file ---- */

/* Whose token it is: two rules with other refresh tokens must not take each other's. */
static void
fingerprint(const struct wm_zoho_login *login, char *buf, size_t size)
{
	uint64_t h = wm_hash(login->accounts_url, strlen(login->accounts_url), 0);

	h = wm_hash(login->client_id, strlen(login->client_id), h);
	h = wm_hash(login->refresh_token, strlen(login->refresh_token), h);
	(void)snprintf(buf, size, "%016llx", (unsigned long long)h);
}

static enum wm_status
lock_file(const struct wm_zoho_login *login, int *ret_fd, struct wm_error *err)
{
	struct stat st;
	int fd = open(login->cache, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return wm_fail(err, WM_FATAL,
		    "could not open the file of the access token \"%s\": %s; let walmill's user "
		    "write to its folder, or name another in \"token_cache\"",
		    login->cache, strerror(errno));
	*ret_fd = fd;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (st.st_mode & 077) != 0)
		return wm_fail(err, WM_FATAL,
		    "the file of the access token \"%s\" can be read by others: give it the mode "
		    "0600",
		    login->cache);
	while (flock(fd, LOCK_EX) != 0)
		if (errno != EINTR)
			return wm_fail(err, WM_RETRY,
			    "could not lock the file of the access token \"%s\": %s", login->cache,
			    strerror(errno));
	return WM_OK;
}

/* A file that says nothing, or is another's, is no error: a token is made. */
static void
read_file(const struct wm_zoho_login *login, int fd, struct wm_zoho_token *token)
{
	WM_AUTO(json_free) cJSON *o = NULL;
	char text[FILE_MAX], print[20];
	ssize_t n = pread(fd, text, sizeof(text), 0);
	const cJSON *made, *at;
	size_t i = 0;

	fingerprint(login, print, sizeof(print));
	o = n > 0 ? cJSON_ParseWithLength(text, (size_t)n) : NULL;
	if (o == NULL || strcmp(wm_zoho_text(o, "owner"), print) != 0)
		return;
	(void)snprintf(token->text, sizeof(token->text), "%s", wm_zoho_text(o, "access_token"));
	wm_secret_register(token->text);
	token->expires = wm_zoho_number(o, "expires", 0) * WM_SEC;
	token->closed = wm_zoho_number(o, "closed", 0) * WM_SEC;
	made = cJSON_GetObjectItemCaseSensitive(o, "made");
	memset(token->made, 0, sizeof(token->made));
	cJSON_ArrayForEach(at, made) {
		if (i < WM_ZOHO_REFRESHES && cJSON_IsNumber(at))
			token->made[i++] = (wm_usec)at->valuedouble * WM_SEC;
	}
}

/* In place: the lock is the file's, not its name's.  One that is torn says nothing. */
static enum wm_status
write_file(const struct wm_zoho_login *login, int fd, const struct wm_zoho_token *token, struct wm_error *err)
{
	WM_AUTO(json_free) cJSON *o = cJSON_CreateObject();
	WM_AUTO(wm_freep) char *text = NULL;
	cJSON *made = cJSON_AddArrayToObject(o, "made");
	char print[20];

	fingerprint(login, print, sizeof(print));
	cJSON_AddStringToObject(o, "owner", print);
	cJSON_AddStringToObject(o, "access_token", token->text);
	cJSON_AddNumberToObject(o, "expires", (double)(token->expires / WM_SEC));
	cJSON_AddNumberToObject(o, "closed", (double)(token->closed / WM_SEC));
	for (size_t i = 0; i < WM_ZOHO_REFRESHES; i++)
		cJSON_AddItemToArray(made, cJSON_CreateNumber((double)(token->made[i] / WM_SEC)));
	text = cJSON_PrintUnformatted(o);
	if (text == NULL)
		return wm_oom(err, "a token");
	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, strlen(text), 0) != (ssize_t)strlen(text))
		return wm_fail(err, WM_RETRY, "could not write the file of the access token \"%s\": %s", login->cache,
		    strerror(errno));
	return WM_OK;
}

/* ---- asking ---- */

bool
wm_zoho_token_may_ask(struct wm_zoho_token *token, wm_usec wall, wm_usec *ret_wait)
{
	wm_usec oldest = token->made[0];

	if (token->closed > wall && token->closed - wall <= THROTTLE) {
		*ret_wait = token->closed - wall;
		return false;
	}
	if (oldest != 0 && oldest <= wall && wall - oldest < WM_ZOHO_REFRESH_WINDOW) {
		*ret_wait = oldest + WM_ZOHO_REFRESH_WINDOW - wall;
		return false;
	}
	memmove(token->made, token->made + 1, (WM_ZOHO_REFRESHES - 1) * sizeof(token->made[0]));
	token->made[WM_ZOHO_REFRESHES - 1] = wall;
	return true;
}

static bool
is_throttle(const char *body, size_t len)
{
	WM_AUTO(wm_freep) char *text = strndup(body, len);

	return text != NULL &&
	    (strcasestr(text, "access denied") != NULL ||
		strcasestr(text, "too many requests") != NULL);
}

static enum wm_status
refused(const struct wm_zoho_login *login, int http, const char *error, struct wm_error *err)
{
	if (strcmp(error, "invalid_code") == 0)
		return wm_fail_code(err, WM_FATAL, error,
		    "%s: the refresh token is not taken (\"%s\"): it was revoked, or "
		    "belongs to another data centre or client; make a new one (`walmill zoho login`)",
		    login->accounts_url, error);
	if (strcmp(error, "invalid_client") == 0 || strcmp(error, "invalid_client_secret") == 0)
		return wm_fail_code(err, WM_FATAL, "invalid_client", "%s: the client is not taken (\"%s\"): look at "
		    "\"client_id\", \"client_secret\" and \"data_center\" of the target", login->accounts_url, error);
	return wm_fail(err, WM_RETRY, "%s: no access token was given: HTTP status %d%s%.100s",
	    login->accounts_url, http, error[0] != '\0' ? ", " : "", error);
}

enum wm_status
wm_zoho_token_answer(const struct wm_zoho_login *login, int http, const char *body, size_t len, wm_usec wall,
    struct wm_zoho_token *token, struct wm_error *err)
{
	WM_AUTO(json_free) cJSON *o = cJSON_ParseWithLength(body, len);
	const char *text = wm_zoho_text(o, "access_token");
	int64_t life = wm_zoho_number(o, "expires_in", 3600);
	enum wm_status st;

	if (http == 200 && text[0] != '\0' && strlen(text) < sizeof(token->text)) {
		wm_secret_register(text);
		(void)snprintf(token->text, sizeof(token->text), "%s", text);
		token->expires = wall + life * WM_SEC;
		return WM_OK;
	}
	if (is_throttle(body, len)) {
		token->closed = wall + THROTTLE;
		st = wm_fail_code(err, WM_RETRY, "throttled",
		    "%s: Zoho gives no more access tokens for this refresh token "
		    "for ten minutes: too many programs use it; let them share \"token_cache\"",
		    login->accounts_url);
		if (err != NULL)
			err->retry_after = THROTTLE;
		return st;
	}
	return refused(login, http, wm_zoho_text(o, "error"), err);
}

/* The secrets are in the body, never in the address: that is logged by who knows whom. */
static enum wm_status
post(const struct wm_zoho_login *login, struct wm_http *http, const struct wm_buf *form,
    struct wm_http_response *ret, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *url = wm_asprintf("%s/oauth/v2/token", login->accounts_url);
	struct wm_http_request request = { .method = "POST", .url = url, .type = "application/x-www-form-urlencoded",
		.body = form->data, .len = form->len, .timeout = login->timeout, .max_response = ANSWER_MAX };

	if (url == NULL || form->failed)
		return wm_oom(err, "a request");
	return wm_http_send(http, &request, ret, err);
}

static void
add_client(const struct wm_zoho_login *login, struct wm_buf *form, const char *grant_type)
{
	wm_http_add_form(form, "grant_type", grant_type);
	wm_http_add_form(form, "client_id", login->client_id);
	wm_http_add_form(form, "client_secret", login->client_secret);
}

static enum wm_status
refresh(const struct wm_zoho_login *login, struct wm_http *http, struct wm_zoho_token *token, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf form;
	WM_AUTO(wm_http_response_free) struct wm_http_response response = { 0 };
	enum wm_status st;

	wm_buf_init(&form, ANSWER_MAX);
	add_client(login, &form, "refresh_token");
	wm_http_add_form(&form, "refresh_token", login->refresh_token);
	st = post(login, http, &form, &response, err);
	if (st != WM_OK)
		return wm_error_prefix(err, "could not get an access token");
	return wm_zoho_token_answer(login, response.code, response.body.data, response.body.len, wm_clock_wall(), token,
	    err);
}

enum wm_status
wm_zoho_token_get(const struct wm_zoho_login *login, struct wm_http *http, const char *not_this,
    struct wm_zoho_token *token, struct wm_error *err)
{
	WM_AUTO(close_file) int fd = -1;
	struct wm_error unwritten;
	wm_usec wait = 0;
	enum wm_status st = WM_OK;

	if (is_good(token, not_this, wm_clock_wall()))
		return WM_OK;
	if (login->cache != NULL) {
		st = lock_file(login, &fd, err);
		if (st != WM_OK)
			return st;
		read_file(login, fd, token);
		if (is_good(token, not_this, wm_clock_wall()))
			return WM_OK;
	}
	if (!wm_zoho_token_may_ask(token, wm_clock_wall(), &wait)) {
		st = wm_fail_code(err, WM_RETRY, "throttled",
		    "%s: ten access tokens were made in ten minutes, Zoho makes no "
		    "more: let all programs that use this refresh token share \"token_cache\"",
		    login->accounts_url);
		if (err != NULL)
			err->retry_after = wait;
		return st;
	}
	token->text[0] = '\0';
	st = refresh(login, http, token, err);
	/* Also after a failure: it counts in the throttle. */
	if (fd >= 0 && write_file(login, fd, token, &unwritten) != WM_OK && st == WM_OK) {
		if (err != NULL)
			*err = unwritten;
		return unwritten.status;
	}
	return st;
}

enum wm_status
wm_zoho_token_grant(const struct wm_zoho_login *login, struct wm_http *http, const char *code, char **ret,
    struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf form;
	WM_AUTO(wm_http_response_free) struct wm_http_response response = { 0 };
	WM_AUTO(json_free) cJSON *o = NULL;
	const char *text;
	enum wm_status st;

	wm_buf_init(&form, ANSWER_MAX);
	add_client(login, &form, "authorization_code");
	wm_http_add_form(&form, "code", code);
	st = post(login, http, &form, &response, err);
	if (st != WM_OK)
		return wm_error_prefix(err, "could not exchange the grant code");
	o = cJSON_ParseWithLength(response.body.data, response.body.len);
	text = wm_zoho_text(o, "refresh_token");
	if (response.code != 200 || text[0] == '\0') {
		const char *error = wm_zoho_text(o, "error");

		if (strcmp(error, "invalid_code") == 0)
			return wm_fail_code(err, WM_FATAL, error,
			    "%s: the grant code is not taken (\"%s\"): it is good once, for "
			    "some minutes, at the data centre that made it; make another",
			    login->accounts_url, error);
		return refused(login, response.code, error, err);
	}
	wm_secret_register(text);
	*ret = strdup(text);
	return *ret == NULL ? wm_oom(err, "a token") : WM_OK;
}
