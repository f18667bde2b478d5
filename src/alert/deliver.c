/* SPDX-License-Identifier: PostgreSQL */
/*
 * deliver.c - one message to one receiver, by mail or as an HTTP POST.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "walmill/mail.h"
#include "walmill/strutil.h"

#define TIMEOUT (30 * WM_SEC)
#define REACH_TIMEOUT (10 * WM_SEC)
#define MESSAGE_MAX ((size_t)256 << 10)
#define MAILTO "mailto:"

static bool
is_mail(const struct wm_alert_config *config)
{
	return strncmp(config->to, MAILTO, strlen(MAILTO)) == 0;
}

char *
wm_alert_receiver_name(const struct wm_alert_config *receiver)
{
	char *origin = is_mail(receiver) ? strdup(receiver->to + strlen(MAILTO)) : wm_http_origin(receiver->to);

	return origin != NULL ? origin : strdup("?");
}

enum wm_status
alert_client(const struct wm_alert_config *config, const atomic_bool *cancel, struct wm_http **ret,
    struct wm_error *err)
{
	return wm_http_create(&(struct wm_http_options){ .cancel = cancel, .ca_file = config->ca_file }, ret, err);
}

/* ---- by mail ---- */

static struct wm_mail
mail_for(const struct wm_alert_config *config)
{
	return (struct wm_mail){ .server = config->smtp, .user = config->user, .password = config->password,
		.to = config->to + strlen(MAILTO) };
}

static enum wm_status
send_mail(struct wm_http *client, const struct wm_alert_config *config, const struct message *m, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf text;
	WM_AUTO(wm_buf_free) struct wm_buf from;
	struct wm_mail mail = mail_for(config);

	wm_buf_init(&text, MESSAGE_MAX);
	wm_buf_init(&from, 1000);
	if (config->from != NULL)
		wm_buf_adds(&from, config->from);
	else
		message_sender(&from);
	message_mail(m, from.data, mail.to, &text);
	if (text.failed || from.failed)
		return wm_oom(err, "an alert");
	mail.from = from.data;
	mail.text = text.data;
	mail.len = text.len;
	mail.timeout = TIMEOUT;
	return wm_mail_send(client, &mail, err);
}

/* ---- by POST ---- */

/* "Authorization: Bearer KEY", or the key in the header that the configuration names; NULL: none. */
static enum wm_status
key_header(const struct wm_alert_config *config, char **ret, struct wm_error *err)
{
	if (config->secret_key == NULL)
		return WM_OK;
	*ret = config->header == NULL ? wm_asprintf("Authorization: Bearer %s", config->secret_key) :
					wm_asprintf("%s: %s", config->header, config->secret_key);
	return *ret == NULL ? wm_oom(err, "an alert") : WM_OK;
}

static enum wm_status
post(struct wm_http *client, const struct wm_alert_config *config, const struct message *m, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *key = NULL;
	WM_AUTO(wm_buf_free) struct wm_buf body;
	WM_AUTO(wm_http_response_free) struct wm_http_response answer = { 0 };
	const char *headers[2] = { NULL, NULL };
	struct wm_http_request request = { .method = "POST", .url = config->to, .headers = headers,
		.type = "application/json", .timeout = TIMEOUT, .max_response = MESSAGE_MAX };
	enum wm_status st;

	wm_buf_init(&body, MESSAGE_MAX);
	message_json(m, &body);
	st = body.failed ? wm_oom(err, "an alert") : key_header(config, &key, err);
	if (st != WM_OK)
		return st;
	headers[0] = key;
	request.body = body.data;
	request.len = body.len;
	st = wm_http_send(client, &request, &answer, err);
	return st == WM_OK ? wm_http_judge(&request, &answer, err) : st;
}

enum wm_status
alert_deliver(struct wm_http *client, const struct wm_alert_config *config, const struct message *m,
    struct wm_error *err)
{
	return is_mail(config) ? send_mail(client, config, m, err) : post(client, config, m, err);
}

/* ---- checks ---- */

static void
destroyp(struct wm_http **client)
{
	wm_http_destroy(*client);
}

enum wm_status
wm_alert_reach(const struct wm_alert_config *receiver, struct wm_error *err)
{
	WM_AUTO(destroyp) struct wm_http *client = NULL;
	enum wm_status st = alert_client(receiver, NULL, &client, err);
	struct wm_mail mail;

	if (st != WM_OK)
		return st;
	if (!is_mail(receiver))
		return wm_http_reach(client, receiver->to, REACH_TIMEOUT, err);
	mail = mail_for(receiver);
	mail.timeout = REACH_TIMEOUT;
	return wm_mail_reach(client, &mail, err);
}

enum wm_status
wm_alert_test(const struct wm_alert_config *receiver, struct wm_error *err)
{
	static char object[] = "walmill", text[] = "This is a test of `walmill check --alerts`; nothing has happened.";
	const struct message m = { .state = MESSAGE_TEST, .object = object, .text = text };
	WM_AUTO(destroyp) struct wm_http *client = NULL;
	enum wm_status st = alert_client(receiver, NULL, &client, err);

	return st == WM_OK ? alert_deliver(client, receiver, &m, err) : st;
}
