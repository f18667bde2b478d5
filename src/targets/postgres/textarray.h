/* SPDX-License-Identifier: PostgreSQL */
/*
 * textarray.h - text[] in PostgreSQL's binary array format, for statement parameters.
 *
 * One dimension, lower bound 1, no escaping: each element is its length and its bytes.
 */
#ifndef WM_TEXTARRAY_H
#define WM_TEXTARRAY_H

#include <stddef.h>
#include <stdint.h>

#include "walmill/buf.h"
#include "walmill/model.h"

/* Bytes that an array has before its elements, and that an element has before its text. */
#define WM_TEXTARRAY_HEADER 20
#define WM_TEXTARRAY_ITEM 4

/* Empties b and begins an array. */
void wm_textarray_begin(struct wm_buf *b);
/* WM_VALUE_TEXT is added as it is; any other kind as NULL. */
void wm_textarray_add(struct wm_buf *b, const struct wm_value *v);
/* data NULL adds a NULL. */
void wm_textarray_add_bytes(struct wm_buf *b, const char *data, size_t len);
/* Enters the number of elements, at least one. */
void wm_textarray_end(struct wm_buf *b, uint32_t n);

#endif
