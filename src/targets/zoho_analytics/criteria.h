/* SPDX-License-Identifier: PostgreSQL */
/*
 * criteria.h - which rows a row call is about, exactly.
 */
#ifndef WM_ZOHO_CRITERIA_H
#define WM_ZOHO_CRITERIA_H

#include "cell.h"

/* How a double quote within a name is written is not documented: such names are refused. */
bool wm_zoho_criteria_name(const char *column);
/*
 * Adds the value as a criterion has it: numbers bare, text in single quotes.  False for null, which no criterion of
 * this kind finds.
 */
bool wm_zoho_criteria_value(struct wm_buf *b, enum wm_zoho_type type, const struct wm_zoho_cell *cell);

/* A list of keys: `"id" in (1,2)`, or `("a"=1 and "b"='x') or (...)` for keys of several columns. */
struct wm_zoho_criteria {
	struct wm_buf		 text;
	unsigned		 nkeys;		/* columns of a key */
	const char *const	*names;
	const enum wm_zoho_type	*types;
	size_t			 n;		/* keys so far */
};

void wm_zoho_criteria_init(struct wm_zoho_criteria *c, size_t max, unsigned nkeys, const char *const *names,
    const enum wm_zoho_type *types);
void wm_zoho_criteria_free(struct wm_zoho_criteria *c);
void wm_zoho_criteria_reset(struct wm_zoho_criteria *c);
/* False when a value is null. */
bool wm_zoho_criteria_add(struct wm_zoho_criteria *c, const struct wm_zoho_cell *key);
/* The text, ended; the list takes nothing more until it is reset. */
const char *wm_zoho_criteria_end(struct wm_zoho_criteria *c);

#endif
