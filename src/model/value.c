/* SPDX-License-Identifier: PostgreSQL */
/*
 * value.c - comparing values.
 */
#include <string.h>

#include "walmill/model.h"

bool
wm_value_equal(const struct wm_value *a, const struct wm_value *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == WM_VALUE_NULL || a->kind == WM_VALUE_UNCHANGED)
		return true;
	return a->number == b->number && a->len == b->len &&
	    (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}
