/* SPDX-License-Identifier: PostgreSQL */
/*
 * fixture.h - rules, relations and changes written as short texts, and rows shown as such.
 */
#ifndef WM_TEST_RULES_FIXTURE_H
#define WM_TEST_RULES_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four above */
#include <cmocka.h>

#include "walmill/arena.h"
#include "walmill/config.h"
#include "walmill/rules.h"

struct fixture {
	struct wm_config	*config;
	struct wm_diags		 diags;
	struct wm_ruleset	*set;
	struct wm_relation	*rel;
	struct wm_plan		*plan;
	struct wm_arena		*arena;
	struct wm_plan_rows	 rows;
	struct wm_error		 err;
	char			 text[4096];	/* of the last fx_rows */
};

/* One row's values in column order: NULL is NULL, TOAST an unchanged value. */
#define ROW(...) (const char *const[]){ __VA_ARGS__ }
extern const char TOAST[];

extern const char MASK_KEY[];		/* of the plans' sha256 masks */

/* Reads rules (YAML list items in one text, of one source and one target) into fx->set, NULL after errors. */
void fx_load(struct fixture *fx, const char *rules);
/* The same, from a whole walmill.yaml. */
void fx_load_config(struct fixture *fx, const char *yaml);
/* Fails the test unless one of the diagnostics is "place: text". */
void fx_assert_diag(struct fixture *fx, const char *expected);
/*
 * "public.t d id!^:integer name:text": schema.table, replica identity (d, n, f, i), columns with ! when part of
 * the identity and ^ when part of the primary key.
 */
void fx_relation(struct fixture *fx, const char *spec);
/* fx_load of one rule, fx_relation, and the plan, which must compile. */
void fx_open(struct fixture *fx, const char *rule, const char *spec);
/* The same for a plan that must be refused; the text is in fx->err. */
void fx_open_refused(struct fixture *fx, const char *rule, const char *spec);
void fx_close(struct fixture *fx);

/* after and before may be NULL; full: before is the whole old row. */
enum wm_outcome fx_apply(struct fixture *fx, enum wm_event_kind kind, const char *const *before, bool full,
    const char *const *after, unsigned flags);
enum wm_outcome fx_vanished(struct fixture *fx, enum wm_event_kind kind, const char *const *before, bool full,
    const char *const *after);
/* The last outcome's rows: "delete 1|-; upsert 2|x", "-" for NULL, "~" for unchanged, " was KEY" for an old key. */
const char *fx_rows(struct fixture *fx);
/* The view's columns: "id*:integer name:text", * for the key. */
const char *fx_view(struct fixture *fx);

#define assert_rows(fx, outcome, expected) \
	do { \
		assert_int_equal(outcome, WM_PLAN_ROWS); \
		assert_string_equal(fx_rows(fx), expected); \
	} while (0)

#endif
