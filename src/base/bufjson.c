/* SPDX-License-Identifier: PostgreSQL */
/*
 * bufjson.c - text as a JSON string.
 */
#include "walmill/buf.h"

/* Length of the well-formed UTF-8 character at s (RFC 3629), or 0. */
static size_t
utf8_length(const unsigned char *s, size_t left)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (s[0] == 0xe0)		/* overlong */
		low = 0xa0;
	else if (s[0] == 0xed)		/* surrogates */
		high = 0x9f;
	else if (s[0] == 0xf0)		/* overlong */
		low = 0x90;
	else if (s[0] == 0xf4)		/* over U+10FFFF */
		high = 0x8f;
	if (n > left)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if (s[i] < low || s[i] > high)
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return n;
}

bool
wm_buf_add_json(struct wm_buf *b, const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	bool exact = true;
	size_t step;

	wm_buf_addc(b, '"');
	for (size_t i = 0; i < n; i += step) {
		step = utf8_length(p + i, n - i);
		if (step == 0) {
			wm_buf_adds(b, "\\ufffd");
			step = 1;
			exact = false;
		} else if (p[i] == '"' || p[i] == '\\') {
			wm_buf_addc(b, '\\');
			wm_buf_addc(b, (char)p[i]);
		} else if (p[i] < 0x20) {
			wm_buf_addf(b, "\\u%04x", p[i]);
		} else {
			wm_buf_add(b, p + i, step);
		}
	}
	wm_buf_addc(b, '"');
	return exact;
}
