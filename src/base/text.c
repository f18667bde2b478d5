/* SPDX-License-Identifier: PostgreSQL */
/*
 * text.c - formatting of lines for people.
 */
#include "text.h"

#include <stdint.h>
#include <string.h>

#include "walmill/buf.h"
#include "walmill/log.h"

/* Other sides' messages come with newlines, and terminals obey what is in them. */
static void
flatten(char *s)
{
	size_t n = 0;

	for (; s[n] != '\0'; n++) {
		if ((unsigned char)s[n] < 0x20 || s[n] == 0x7f)
			s[n] = ' ';
	}
	while (n > 0 && s[n - 1] == ' ')
		n--;
	s[n] = '\0';
}

char *
wm_text_vline(const char *fmt, va_list ap)
{
	struct wm_buf b;
	char *line;

	wm_buf_init(&b, SIZE_MAX);
	wm_buf_vaddf(&b, fmt, ap);
	line = wm_buf_steal(&b);
	if (line == NULL)
		return NULL;
	/* First, because a secret may hold characters that flatten replaces. */
	wm_secret_scrub(line);
	flatten(line);
	return line;
}

size_t
wm_text_cut(const char *s, size_t max)
{
	size_t n = strnlen(s, max + 1);

	if (n <= max)
		return n;
	n = max;
	while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
		n--;
	return n;
}
