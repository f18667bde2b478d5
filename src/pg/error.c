/* SPDX-License-Identifier: PostgreSQL */
/*
 * error.c - what PostgreSQL's errors mean for the caller.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

/*
 * By the beginning of the SQLSTATE, the first that fits wins; what is not here is WM_FATAL.
 * Among those: 0A not supported, 25006 read-only transaction, 28 wrong credentials,
 * 3D no such database, 42 syntax, missing object or privilege, 55000 wrong state (a lost slot).
 */
static const struct {
	const char	*prefix;
	enum wm_status	 status;
} classes[] = {
	{ "08", WM_RETRY },	/* connection exception */
	{ "22", WM_REJECT },	/* data exception: this value */
	{ "23", WM_REJECT },	/* constraint violation: this row */
	{ "25P03", WM_RETRY },	/* idle in transaction time-out */
	{ "25P04", WM_RETRY },	/* transaction time-out */
	{ "40", WM_RETRY },	/* serialisation failure, deadlock */
	{ "44", WM_REJECT },	/* WITH CHECK OPTION violation: this row */
	{ "53", WM_RETRY },	/* out of disk, memory, connections */
	{ "54000", WM_REJECT },	/* row or index entry too large */
	{ "55006", WM_RETRY },	/* object in use: the slot is still active */
	{ "55P03", WM_RETRY },	/* lock not available */
	{ "57014", WM_RETRY },	/* query cancelled */
	{ "57P04", WM_FATAL },	/* the database was dropped */
	{ "57P0", WM_RETRY },	/* shutdown, crash, starting up, idle time-out */
	{ "58030", WM_RETRY },	/* I/O error */
	{ "72", WM_RETRY },	/* snapshot too old */
	{ "P0", WM_REJECT },	/* an exception that a trigger raised: this row */
};

enum wm_status
wm_pg_classify(const char *sqlstate)
{
	/* libpq gives none when the connection was lost. */
	if (sqlstate == NULL || sqlstate[0] == '\0')
		return WM_RETRY;
	for (size_t i = 0; i < WM_ARRAY_SIZE(classes); i++) {
		if (strncmp(sqlstate, classes[i].prefix, strlen(classes[i].prefix)) == 0)
			return classes[i].status;
	}
	return WM_FATAL;
}

bool
wm_pg_find_sqlstate(const char *text, char ret_code[6])
{
	for (const char *p = strstr(text, ":  "); p != NULL; p = strstr(p + 1, ":  ")) {
		const char *code = p + 3;
		size_t n = 0;

		while (
		    n < 5 && (isdigit((unsigned char)code[n]) || isupper((unsigned char)code[n])))
			n++;
		if (n == 5 && code[5] == ':') {
			memcpy(ret_code, code, 5);
			ret_code[5] = '\0';
			return true;
		}
	}
	return false;
}

/*
 * The message without the value that data exceptions quote (class 22): all between the outer
 * quotes.  22023, invalid parameter, quotes names and settings.
 */
static void
add_message(struct wm_buf *b, const char *sqlstate, const char *message)
{
	const char *first = strchr(message, '"'), *last = strrchr(message, '"');

	/* "invalid byte sequence for encoding "UTF8": 0xff" shows the value behind the name */
	if (strcmp(sqlstate, "22021") == 0) {
		wm_buf_adds(b, "the value is not valid in the server's encoding");
	} else if (strncmp(sqlstate, "22", 2) == 0 && strcmp(sqlstate, "22023") != 0 &&
	    first != last) {
		wm_buf_add(b, message, (size_t)(first - message));
		wm_buf_adds(b, "\"...\"");
		wm_buf_adds(b, last + 1);
	} else {
		wm_buf_adds(b, message);
	}
}

enum wm_status
wm_pg_fail(struct wm_pg *c, const PGresult *res, struct wm_error *err, const char *what, ...)
{
	const char *code = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);
	enum wm_status status = wm_pg_classify(code);
	WM_AUTO(wm_buf_free) struct wm_buf text;
	va_list ap;

	if (message == NULL)
		message = c->given_up[0] != '\0' ? c->given_up : PQerrorMessage(c->pq);
	if (code == NULL)
		code = "";
	wm_buf_init(&text, 4096);
	va_start(ap, what);
	wm_buf_vaddf(&text, what, ap);
	va_end(ap);
	wm_buf_adds(&text, ": ");
	add_message(&text, code, message[0] != '\0' ? message : "the server gave no reason");
	if (hint != NULL)
		wm_buf_addf(&text, " (%s)", hint);
	return wm_fail_code(err, status, code, "%s", text.data);
}
