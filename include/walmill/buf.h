/* SPDX-License-Identifier: PostgreSQL */
/*
 * buf.h - a growing byte buffer with a maximum size.
 *
 * data is always NUL-terminated (never NULL).  When the maximum is passed or memory runs
 * out the buffer turns failed, keeps what it had and ignores further additions, so that
 * call sites stay flat and check `failed` once at the end.
 */
#ifndef WM_BUF_H
#define WM_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "walmill/compiler.h"

struct wm_buf {
	char	*data;
	size_t	 len;			/* bytes, without the NUL */
	size_t	 size;			/* bytes allocated; 0 while data points to a constant */
	size_t	 max;			/* bytes len may reach */
	bool	 failed;
};

void wm_buf_init(struct wm_buf *b, size_t max);
void wm_buf_free(struct wm_buf *b);		/* leaves an empty, usable buffer */
void wm_buf_reset(struct wm_buf *b);		/* len 0, not failed, memory kept */
void wm_buf_truncate(struct wm_buf *b, size_t len);	/* drops what stands behind len */
void wm_buf_add(struct wm_buf *b, const void *p, size_t n);
void wm_buf_adds(struct wm_buf *b, const char *s);
void wm_buf_addc(struct wm_buf *b, char c);
void wm_buf_addf(struct wm_buf *b, const char *fmt, ...) WM_PRINTF(2, 3);
void wm_buf_vaddf(struct wm_buf *b, const char *fmt, va_list ap) WM_PRINTF(2, 0);
/* s as a JSON string; false when bytes that are no UTF-8 were replaced. */
bool wm_buf_add_json(struct wm_buf *b, const char *s, size_t n);
/* Makes room for n more bytes and returns where they go (advance len yourself); NULL when failed. */
char *wm_buf_reserve(struct wm_buf *b, size_t n);
/* Hands the string over to the caller (free()); the buffer is empty afterwards.  NULL when failed. */
char *wm_buf_steal(struct wm_buf *b);

#endif
