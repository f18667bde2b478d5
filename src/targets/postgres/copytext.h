/* SPDX-License-Identifier: PostgreSQL */
/*
 * copytext.h - values in the text format of COPY: columns end with a tab, rows with a line feed.
 */
#ifndef WM_COPYTEXT_H
#define WM_COPYTEXT_H

#include <stddef.h>

#include "walmill/buf.h"

#define WM_COPYTEXT_NULL "\\N"

/* A value, or a piece of one, escaped: at most twice its length. */
void wm_copytext_add(struct wm_buf *b, const char *data, size_t len);

#endif
