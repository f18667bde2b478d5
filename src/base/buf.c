/* SPDX-License-Identifier: PostgreSQL */
/*
 * buf.c - a growing byte buffer with a maximum size.
 *
 * While size is 0, data points to nothing_yet, which is shared and never written.
 */
#include "walmill/buf.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 64

static char nothing_yet[1];

void
wm_buf_init(struct wm_buf *b, size_t max)
{
	/* One byte more is needed for the NUL. */
	*b = (struct wm_buf){ .data = nothing_yet, .max = max < SIZE_MAX ? max : SIZE_MAX - 1 };
}

void
wm_buf_free(struct wm_buf *b)
{
	if (b->size > 0)
		free(b->data);
	wm_buf_init(b, b->max);
}

void
wm_buf_reset(struct wm_buf *b)
{
	b->failed = false;
	wm_buf_truncate(b, 0);
}

void
wm_buf_truncate(struct wm_buf *b, size_t len)
{
	assert(len <= b->len);
	b->len = len;
	if (b->size > 0)
		b->data[len] = '\0';
}

char *
wm_buf_reserve(struct wm_buf *b, size_t n)
{
	size_t need, size;
	char *data;

	if (b->failed || n > b->max - b->len) {
		b->failed = true;
		return NULL;
	}
	need = b->len + n + 1;
	if (need > b->size) {
		size = b->size > SIZE_MAX / 2 ? need : b->size * 2;
		if (size < FIRST_SIZE)
			size = FIRST_SIZE;
		if (size > b->max + 1)
			size = b->max + 1;
		if (size < need)
			size = need;
		data = realloc(b->size > 0 ? b->data : NULL, size);
		if (data == NULL) {
			b->failed = true;
			return NULL;
		}
		data[b->len] = '\0';
		b->data = data;
		b->size = size;
	}
	/* Terminates for a caller that fills all of it. */
	b->data[b->len + n] = '\0';
	return b->data + b->len;
}

void
wm_buf_add(struct wm_buf *b, const void *p, size_t n)
{
	char *to;

	if (n == 0)
		return;
	to = wm_buf_reserve(b, n);
	if (to == NULL)
		return;
	memcpy(to, p, n);
	b->len += n;
}

void
wm_buf_adds(struct wm_buf *b, const char *s)
{
	wm_buf_add(b, s, strlen(s));
}

void
wm_buf_addc(struct wm_buf *b, char c)
{
	wm_buf_add(b, &c, 1);
}

void
wm_buf_addf(struct wm_buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	wm_buf_vaddf(b, fmt, ap);
	va_end(ap);
}

void
wm_buf_vaddf(struct wm_buf *b, const char *fmt, va_list ap)
{
	size_t room = b->size > 0 ? b->size - b->len : 0;
	va_list again;
	char *to;
	int n;

	if (b->failed)
		return;
	va_copy(again, ap);
	n = vsnprintf(room > 0 ? b->data + b->len : NULL, room, fmt, ap);
	if (n >= 0 && (size_t)n < room) {
		b->len += (size_t)n;
	} else if (n > 0) {
		to = wm_buf_reserve(b, (size_t)n);
		if (to != NULL) {
			vsnprintf(to, (size_t)n + 1, fmt, again);
			b->len += (size_t)n;
		}
	} else if (n < 0) {
		b->failed = true;
	}
	va_end(again);
	/* A first try that did not fit has left its beginning behind len. */
	if (b->failed)
		wm_buf_truncate(b, b->len);
}

char *
wm_buf_steal(struct wm_buf *b)
{
	char *data = NULL;

	if (!b->failed && wm_buf_reserve(b, 0) != NULL) {
		data = b->data;
		b->size = 0;
	}
	wm_buf_free(b);
	return data;
}
