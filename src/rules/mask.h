/* SPDX-License-Identifier: PostgreSQL */
/*
 * mask.h - what hides or replaces one value: masks and value tables.
 *
 * Neither keeps or reports a value.  NULL and unchanged values stay what they are, but for the
 * mask null.
 */
#ifndef WM_RULES_MASK_H
#define WM_RULES_MASK_H

#include <stdbool.h>
#include <stddef.h>

#include "walmill/arena.h"
#include "walmill/model.h"
#include "walmill/rules.h"

enum wm_mask_kind {
	WM_MASK_NONE,
	WM_MASK_SHA256,		/* HMAC-SHA256 in hex: equal values stay equal */
	WM_MASK_REDACT,		/* "***" */
	WM_MASK_LAST,		/* all but the last characters turn into *; all of a value that is no longer */
	WM_MASK_NULL,
	WM_MASK_TEXT,		/* a fixed text */
};

struct wm_mask {
	enum wm_mask_kind	 kind;
	unsigned		 keep;	/* WM_MASK_LAST */
	const char		*text;	/* WM_MASK_TEXT: borrowed from the setting */
};

/* A rule's setting: "sha256", "redact", "last4", "null", or "=" and the fixed text. */
bool wm_mask_parse(const char *value, struct wm_mask *ret);
/* WM_FATAL: memory is out, or libcrypto failed. */
enum wm_status wm_mask_apply(const struct wm_mask *mask, const void *key, size_t key_len, const struct wm_value *in,
    struct wm_arena *arena, struct wm_value *ret, struct wm_error *err) WM_MUST_CHECK;

struct wm_lookup;		/* a value table, sorted */

/* boolean: "true" and "false" stand for PostgreSQL's t and f.  NULL: memory is out.  Borrows from table. */
struct wm_lookup *wm_lookup_create(const struct wm_translate *table, bool boolean);
void wm_lookup_free(struct wm_lookup *l);		/* NULL is a no-op */
/* The value that takes in's place; in itself when the table has none. */
struct wm_value wm_lookup_find(const struct wm_lookup *l, const struct wm_value *in);

#endif
