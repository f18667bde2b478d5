/* SPDX-License-Identifier: PostgreSQL */
/*
 * uri.h - what a database's URI says: where, which database, which password.
 */
#ifndef WM_CLI_URI_H
#define WM_CLI_URI_H

#include <stdbool.h>

#include "walmill/error.h"

struct wm_uri {
	char	*database;	/* its name, by libpq's defaults */
	char	*canonical;	/* all that it says but passwords, always in the same order */
	char	*place;		/* host, port and database: two that are equal are one database */
	bool	 has_password;
};

/* A libpq URI or keyword string; its password is registered as a secret.  No text of it in err. */
enum wm_status wm_uri_parse(const char *uri, const char *what, struct wm_uri *ret, struct wm_error *err) WM_MUST_CHECK;
void wm_uri_free(struct wm_uri *u);
/* postgresql:// or postgres://. */
bool wm_uri_is_postgres(const char *uri);

#endif
