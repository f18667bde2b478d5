/* SPDX-License-Identifier: PostgreSQL */
/*
 * mail.c - one mail by SMTP.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "internal.h"
#include "walmill/mail.h"
#include "walmill/strutil.h"

struct rest {			/* of the message, that is yet to be sent */
	const char	*at;
	size_t		 len;
};

static size_t
read_rest(char *buf, size_t size, size_t n, void *arg)
{
	struct rest *r = arg;
	size_t take = r->len < size * n ? r->len : size * n;

	memcpy(buf, r->at, take);
	r->at += take;
	r->len -= take;
	return take;
}

static bool
recipients(const char *to, struct curl_slist **ret)
{
	while (*to != '\0') {
		size_t n = strcspn(to, ",");
		WM_AUTO(wm_freep) char *one = strndup(to, n);

		if (one == NULL || !transfer_add_line(ret, one))
			return false;
		to += n + (to[n] == ',');
	}
	return true;
}

/* what: "the mail" or "the connection". */
static enum wm_status
begin(struct wm_http *c, const struct wm_mail *m, const char *what, char **ret_what, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *origin = wm_http_origin(m->server);
	long tls = m->password == NULL ? CURLUSESSL_TRY : CURLUSESSL_ALL;

	if (origin == NULL || (strncasecmp(origin, "smtp://", 7) != 0 && strncasecmp(origin, "smtps://", 8) != 0))
		return wm_fail(err, WM_FATAL, "the address of the mail server is no smtp:// or smtps:// URL");
	*ret_what = wm_asprintf("%s to %s", what, origin);
	if (*ret_what == NULL)
		return wm_oom(err, "a mail");
	transfer_begin(c, m->server, "smtp,smtps", m->timeout, 0);
	curl_easy_setopt(c->easy, CURLOPT_USE_SSL, tls);
	/* One connection a mail: servers soon close those that idle. */
	curl_easy_setopt(c->easy, CURLOPT_FORBID_REUSE, 1L);
	if (m->user != NULL)
		curl_easy_setopt(c->easy, CURLOPT_USERNAME, m->user);
	if (m->password != NULL)
		curl_easy_setopt(c->easy, CURLOPT_PASSWORD, m->password);
	return WM_OK;
}

enum wm_status
wm_mail_send(struct wm_http *c, const struct wm_mail *m, struct wm_error *err)
{
	struct rest rest = { .at = m->text, .len = m->len };
	WM_AUTO(transfer_free_lines) struct curl_slist *to = NULL;
	WM_AUTO(wm_freep) char *what = NULL;
	enum wm_status st = begin(c, m, "the mail", &what, err);

	if (st != WM_OK)
		return st;
	if (!recipients(m->to, &to))
		return wm_oom(err, "a mail");
	curl_easy_setopt(c->easy, CURLOPT_MAIL_FROM, m->from);
	curl_easy_setopt(c->easy, CURLOPT_MAIL_RCPT, to);
	curl_easy_setopt(c->easy, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(c->easy, CURLOPT_READFUNCTION, read_rest);
	curl_easy_setopt(c->easy, CURLOPT_READDATA, &rest);
	st = transfer_run(c, what, err);
	curl_easy_reset(c->easy);
	return st;
}

static size_t
drop(char *data, size_t size, size_t n, void *arg)
{
	(void)data, (void)arg;
	return size * n;
}

enum wm_status
wm_mail_reach(struct wm_http *c, const struct wm_mail *m, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *what = NULL;
	enum wm_status st = begin(c, m, "the connection", &what, err);

	if (st != WM_OK)
		return st;
	curl_easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, "NOOP");
	curl_easy_setopt(c->easy, CURLOPT_NOBODY, 1L);
	curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, drop);
	st = transfer_run(c, what, err);
	curl_easy_reset(c->easy);
	return st;
}
