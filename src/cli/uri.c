/* SPDX-License-Identifier: PostgreSQL */
/*
 * uri.c - what a database's URI says: where, which database, which password.
 */
#include "uri.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "walmill/buf.h"
#include "walmill/log.h"
#include "walmill/strutil.h"

#define TEXT_MAX 65536

bool
wm_uri_is_postgres(const char *uri)
{
	return strncmp(uri, "postgresql://", 13) == 0 || strncmp(uri, "postgres://", 11) == 0;
}

void
wm_uri_free(struct wm_uri *u)
{
	free(u->database);
	free(u->canonical);
	free(u->place);
	*u = (struct wm_uri){ 0 };
}

static void
conninfo_freep(PQconninfoOption **options)
{
	PQconninfoFree(*options);
}

/* What the URI, the environment or libpq itself says; NULL: none. */
static const char *
value_of(const PQconninfoOption *options, const PQconninfoOption *defaults, const char *keyword)
{
	for (; options->keyword != NULL; options++)
		if (strcmp(options->keyword, keyword) == 0 && options->val != NULL && options->val[0] != '\0')
			return options->val;
	for (; defaults != NULL && defaults->keyword != NULL; defaults++)
		if (strcmp(defaults->keyword, keyword) == 0 && defaults->val != NULL && defaults->val[0] != '\0')
			return defaults->val;
	return NULL;
}

/* libpq marks what must not be shown. */
static bool
is_secret(const PQconninfoOption *option)
{
	return strchr(option->dispchar, '*') != NULL;
}

static bool
register_secrets(const PQconninfoOption *options)
{
	bool any = false;

	for (; options->keyword != NULL; options++)
		if (is_secret(options) && options->val != NULL && options->val[0] != '\0') {
			wm_secret_register(options->val);
			any = true;
		}
	return any;
}

static char *
canonical(const PQconninfoOption *options)
{
	struct wm_buf b;

	wm_buf_init(&b, TEXT_MAX);
	for (; options->keyword != NULL; options++)
		if (options->val != NULL && !is_secret(options))
			wm_buf_addf(&b, "%s=%s\n", options->keyword, options->val);
	return wm_buf_steal(&b);
}

/*
 * libpq takes "me:pa/ss@db/shop" for host "me", port "pa" and database "ss@db/shop": a password
 * that was not encoded, which would go on to stand in names and messages.
 */
static bool
is_torn(const char *uri, const PQconninfoOption *options)
{
	const char *database = value_of(options, NULL, "dbname"), *port = value_of(options, NULL, "port");

	if (port != NULL && port[strspn(port, "0123456789,")] != '\0')
		return true;
	return strstr(uri, "://") != NULL && database != NULL && strchr(database, '@') != NULL;
}

enum wm_status
wm_uri_parse(const char *uri, const char *what, struct wm_uri *ret, struct wm_error *err)
{
	WM_AUTO(conninfo_freep) PQconninfoOption *options = NULL;
	WM_AUTO(conninfo_freep) PQconninfoOption *defaults = PQconndefaults();
	WM_AUTO(wm_uri_free) struct wm_uri u = { 0 };
	const char *database, *host;
	char *message = NULL;

	options = PQconninfoParse(uri, &message);
	PQfreemem(message);		/* it repeats parts of the URI, a password perhaps */
	if (options == NULL || is_torn(uri, options))
		return wm_fail(err, WM_FATAL,
		    "the %s URI cannot be read: write postgresql://USER@HOST:PORT/DATABASE; a "
		    "password's special characters must be %%-encoded (@ is %%40, / is %%2F)",
		    what);
	u.has_password = register_secrets(options);
	database = value_of(options, defaults, "dbname");
	if (database == NULL)
		database = value_of(options, defaults, "user");
	host = value_of(options, defaults, "host");
	u.database = strdup(database == NULL ? "postgres" : database);
	u.canonical = canonical(options);
	u.place = wm_asprintf("%s:%s/%s", host == NULL ? "" : host, value_of(options, defaults, "port"), u.database);
	if (u.database == NULL || u.canonical == NULL || u.place == NULL)
		return wm_oom(err, "a URI");
	*ret = u;
	u = (struct wm_uri){ 0 };
	return WM_OK;
}
