/* SPDX-License-Identifier: PostgreSQL */
/*
 * zoho_peer.c - the zoho_analytics target seen from outside: the server of tests/zoho, whose tables are SQLite's.
 */
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <sqlite3.h>

#include "walmill/buf.h"
#include "walmill/config.h"
#include "walmill/http.h"
#include "walmill/strutil.h"
#include "walmill/targets.h"

/* One server for all cases; it ends when its input does, that is with this process. */
static struct {
	char		 url[64];
	struct wm_http	*http;
	cJSON		*state;		/* of the last reset */
} server;

static const char *
unavailable(void)
{
	return getenv("WM_ZOHO_SERVER") != NULL ? NULL : "tests/conformance/run has not found its server";
}

static void
start_server(void)
{
	int in[2], out[2];
	char line[16] = "";

	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	if (fork() == 0) {
		(void)dup2(in[0], 0);
		(void)dup2(out[1], 1);
		(void)close(in[1]);
		(void)close(out[0]);
		(void)execl("/bin/sh", "sh", "-c", "cd \"$WM_ZOHO_SERVER\" && f=$(mktemp -d) && "
		    "/usr/bin/python3 -m server \"$f\"; rm -rf \"$f\"", (char *)NULL);
		_exit(127);
	}
	(void)close(in[0]);
	(void)close(out[1]);
	assert_true(read(out[0], line, sizeof(line) - 1) > 0);
	line[strcspn(line, "\n")] = '\0';
	snprintf(server.url, sizeof(server.url), "http://127.0.0.1:%s", line);
	OK(wm_http_create(&(struct wm_http_options){ 0 }, &server.http, &error));
}

static cJSON *
control(const char *method, const char *path, const char *body)
{
	char url[200];
	struct wm_http_response response = { 0 };
	const struct wm_http_request request = { .method = method, .url = url, .type = "application/json", .body = body,
		.len = body != NULL ? strlen(body) : 0, .timeout = 20 * WM_SEC, .max_response = 16 << 20 };
	cJSON *answer;

	snprintf(url, sizeof(url), "%s/_test/%s", server.url, path);
	OK(wm_http_send(server.http, &request, &response, &error));
	if (response.code != 200)
		fail_msg("%s %s: %s", method, path, response.body.data);
	answer = cJSON_Parse(response.body.data);
	wm_http_response_free(&response);
	return answer;
}

static const char *
text(const cJSON *o, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));
}

static void
set_option(struct fixture *f, const char *name, const char *value)
{
	for (const struct wm_option *o = f->peer->ops->options; o->name != NULL; o++)
		if (strcmp(o->name, name) == 0)
			OK(wm_option_set(o, value, f->target, &error));
}

static void
set_up(struct fixture *f)
{
	static const char *const names[] = { "org", "workspace", "client_id", "client_secret", "refresh_token" };
	static unsigned serial;
	char token[40], body[100];
	cJSON *fresh;

	if (server.http == NULL)
		start_server();
	cJSON_Delete(server.state);
	server.state = control("POST", "reset", "{\"settings\":{\"rate_bulk\":0,\"rate_dml\":0,\"rate_metadata\":0,"
	    "\"rate_overall\":0}}");
	OK(wm_target_create(f->peer->ops, "warehouse", &f->target, &error));
	for (size_t i = 0; i < WM_ARRAY_SIZE(names); i++)
		set_option(f, names[i], text(server.state, names[i]));
	/* An account of its own: the process remembers what it has learnt of one. */
	snprintf(body, sizeof(body), "{\"new\":{\"user\":\"user%u\"}}", ++serial);
	fresh = control("POST", "tokens", body);
	set_option(f, "refresh_token", text(fresh, "refresh_token"));
	cJSON_Delete(fresh);
	snprintf(token, sizeof(token), "%u", 1000000 + serial);
	set_option(f, "units_per_day", token);
	set_option(f, "api_url", server.url);
	set_option(f, "accounts_url", server.url);
	set_option(f, "imports_per_minute", "1000");
	set_option(f, "row_calls_per_minute", "1000");
	set_option(f, "metadata_calls_per_minute", "1000");
	set_option(f, "calls_per_minute", "1000");
}

static void
tear_down(struct fixture *f)
{
	cJSON *state = control("GET", "state", NULL);
	const cJSON *failures = cJSON_GetObjectItemCaseSensitive(state, "failures");

	(void)f;
	if (cJSON_GetArraySize(failures) > 0)
		fail_msg("the server failed: %s", cJSON_GetStringValue(cJSON_GetArrayItem(failures, 0)));
	cJSON_Delete(state);
}

/* The server's tables under their own names, as far as SQLite can have those. */
static void
name_tables(sqlite3 *db)
{
	cJSON *tables = control("GET", "tables", NULL);
	const cJSON *table, *column;
	struct wm_buf sql;

	wm_buf_init(&sql, 1 << 20);
	cJSON_ArrayForEach(table, tables) {
		const char *between = "";

		wm_buf_addf(&sql, "CREATE TEMP VIEW \"%s\" AS SELECT ", table->string);
		cJSON_ArrayForEach(column, cJSON_GetObjectItemCaseSensitive(table, "columns")) {
			wm_buf_addf(&sql, "%s%s AS \"%s\"", between, text(column, "sql"), text(column, "name"));
			between = ", ";
		}
		wm_buf_addf(&sql, " FROM main.%s;", text(table, "sql"));
	}
	if (sqlite3_exec(db, sql.data, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql.data, sqlite3_errmsg(db));
	wm_buf_free(&sql);
	cJSON_Delete(tables);
}

/* The server orders decimals by value; here nothing is ordered by one. */
static int
by_bytes(void *arg, int n, const void *a, int m, const void *b)
{
	int order = memcmp(a, b, (size_t)(n < m ? n : m));

	(void)arg;
	return order != 0 ? order : n - m;
}

static const char *
query(struct fixture *f, const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *stmt;
	struct wm_buf b;
	const char *rows;

	assert_int_equal(sqlite3_open(text(server.state, "path"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_create_collation(db, "DECIMAL", SQLITE_UTF8, NULL, by_bytes), SQLITE_OK);
	name_tables(db);
	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	wm_buf_init(&b, 64 << 20);
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		wm_buf_adds(&b, b.len > 0 ? "\n" : "");
		for (int i = 0; i < sqlite3_column_count(stmt); i++) {
			const char *cell = (const char *)sqlite3_column_text(stmt, i);

			wm_buf_addf(&b, "%s%s", i > 0 ? "|" : "", cell != NULL ? cell : "<null>");
		}
	}
	assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	rows = wm_arena_dup(f->arena, b.data, b.len);
	wm_buf_free(&b);
	return rows;
}

/* Every call ends in an error of the server's. */
static void
lock(struct fixture *f, const char *table)
{
	(void)f;
	(void)table;
	cJSON_Delete(control("POST", "faults", "{\"call\":\"*\",\"do\":\"error\",\"code\":7005,\"times\":0}"));
}

static void
unlock(struct fixture *f)
{
	(void)f;
	cJSON_Delete(control("DELETE", "faults", NULL));
}

static bool
has_table(struct fixture *f, const char *table)
{
	cJSON *tables = control("GET", "tables", NULL);
	bool found = cJSON_GetObjectItemCaseSensitive(tables, table) != NULL;

	(void)f;
	cJSON_Delete(tables);
	return found;
}

/* Longer than a column of the type takes. */
#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

const struct peer zoho_peer = {
	.name = "zoho_analytics",
	.picky_type = "PLAIN",
	.picky_value = HUNDRED HUNDRED HUNDRED,
	.ops = &wm_target_zoho_analytics_ops,
	.unavailable = unavailable,
	.set_up = set_up,
	.tear_down = tear_down,
	.query = query,
	.lock = lock,
	.unlock = unlock,
	.has_table = has_table,
};
