/* SPDX-License-Identifier: PostgreSQL */
/*
 * text.h - what every line meant for a person goes through: formatting, scrubbing, one line.
 */
#ifndef WM_TEXT_H
#define WM_TEXT_H

#include <stdarg.h>
#include <stddef.h>

#include "walmill/compiler.h"

/*
 * malloc'd printf without registered secrets and control characters, trailing blanks cut off.
 * NULL when memory is out.  Nothing may be truncated before this: half a secret is not found.
 */
char *wm_text_vline(const char *fmt, va_list ap) WM_PRINTF(1, 0);
/* How many bytes of s to keep so that at most max remain and no UTF-8 character is cut. */
size_t wm_text_cut(const char *s, size_t max);

#endif
