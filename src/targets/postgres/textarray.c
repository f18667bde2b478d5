/* SPDX-License-Identifier: PostgreSQL */
/*
 * textarray.c - builds text[] in PostgreSQL's binary array format.
 *
 *	int32 dimensions (1), int32 has-nulls flag, uint32 element type (25, text),
 *	int32 number of elements, int32 lower bound (1),
 *	then for each element: int32 length (-1: NULL), bytes.  All big-endian.
 */
#include "textarray.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

enum { TEXT_OID = 25, COUNT_AT = 12 };

static void
add_u32(struct wm_buf *b, uint32_t v)
{
	uint32_t wire = htonl(v);

	wm_buf_add(b, &wire, sizeof(wire));
}

void
wm_textarray_begin(struct wm_buf *b)
{
	wm_buf_reset(b);
	add_u32(b, 1);
	add_u32(b, 1); /* the server counts the NULLs itself */
	add_u32(b, TEXT_OID);
	add_u32(b, 0);
	add_u32(b, 1);
}

void
wm_textarray_add(struct wm_buf *b, const struct wm_value *v)
{
	/* An empty text may come without data. */
	const char *text = v->data == NULL ? "" : v->data;

	wm_textarray_add_bytes(b, v->kind == WM_VALUE_TEXT ? text : NULL, v->len);
}

void
wm_textarray_add_bytes(struct wm_buf *b, const char *data, size_t len)
{
	if (data == NULL) {
		add_u32(b, UINT32_MAX);
		return;
	}
	add_u32(b, (uint32_t)len);
	wm_buf_add(b, data, len);
}

void
wm_textarray_end(struct wm_buf *b, uint32_t n)
{
	uint32_t wire = htonl(n);

	assert(n > 0);
	if (b->failed)
		return;
	memcpy(b->data + COUNT_AT, &wire, sizeof(wire));
}
