/* SPDX-License-Identifier: PostgreSQL */
/*
 * mail.h - one mail by SMTP, with the client of http.h: the same time limits, the same cancelling.
 *
 * smtps:// is TLS from the start; smtp:// goes over to TLS when the server offers it, and must do so before a
 * password is sent.
 */
#ifndef WM_MAIL_H
#define WM_MAIL_H

#include "walmill/http.h"

struct wm_mail {			/* all borrowed */
	const char	*server;	/* smtp://host:port or smtps://host:port */
	const char	*user, *password;	/* NULL: none */
	const char	*from;		/* address alone */
	const char	*to;		/* addresses, with commas between */
	const char	*text;		/* the whole message, RFC 5322, lines end in CR LF */
	size_t		 len;
	wm_usec		 timeout;
};

/* WM_OK: the server has taken it.  WM_RETRY: it has not; WM_FATAL: the server's address is none. */
enum wm_status wm_mail_send(struct wm_http *c, const struct wm_mail *mail, struct wm_error *err) WM_MUST_CHECK;
/* Greets the server, and logs in when there is a user; sends nothing. */
enum wm_status wm_mail_reach(struct wm_http *c, const struct wm_mail *mail, struct wm_error *err) WM_MUST_CHECK;

#endif
