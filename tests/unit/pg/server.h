/* SPDX-License-Identifier: PostgreSQL */
/*
 * server.h - the real server that tests of this folder run on.
 *
 * They are skipped unless WM_TEST_PG_URI names a database of a server with wal_level=logical
 * where they may do anything as a superuser; they use schemas "wm_test*" and roles of that name.
 */
#ifndef WM_TEST_PG_SERVER_H
#define WM_TEST_PG_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "walmill/pg.h"

extern struct wm_pg *sql;		/* a session whose search_path is schema wm_test; new for each test */

/* cmocka's set-up of a test (empty schema wm_test), and tear-down of the group. */
int clean(void **state);
int finish(void **state);
void needs_server(void);		/* skips the test when there is none */

/* What goes wrong in these fails the test. */
void run(const char *statement);
void run_on(struct wm_pg *c, const char *statement);
struct wm_pg *connect_as(const char *more, enum wm_pg_kind kind);
void uri_with(const char *more, char *text, size_t size);
const char *ask(struct wm_pg *c, const char *query);	/* one field; valid until the next call */
uint32_t oid_as(const char *kind, const char *name);	/* kind: regclass, regtype */
uint32_t oid_of(const char *table);

#endif
