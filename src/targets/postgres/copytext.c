/* SPDX-License-Identifier: PostgreSQL */
/*
 * copytext.c - escapes what COPY would take for the end of a value or of a row, and backslashes.
 *
 * All of them are ASCII, which in UTF-8 is never a part of another character.
 */
#include "copytext.h"

#include <stdbool.h>

static bool
is_special(char c)
{
	return c == '\\' || c == '\t' || c == '\n' || c == '\r';
}

static char
letter(char c)
{
	switch (c) {
	case '\t': return 't';
	case '\n': return 'n';
	case '\r': return 'r';
	default: return c;
	}
}

void
wm_copytext_add(struct wm_buf *b, const char *data, size_t len)
{
	size_t from = 0;

	for (size_t i = 0; i < len; i++) {
		if (!is_special(data[i]))
			continue;
		wm_buf_add(b, data + from, i - from);
		wm_buf_addc(b, '\\');
		wm_buf_addc(b, letter(data[i]));
		from = i + 1;
	}
	if (from < len)
		wm_buf_add(b, data + from, len - from);
}
