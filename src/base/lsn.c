/* SPDX-License-Identifier: PostgreSQL */
/*
 * lsn.c - text form of WAL positions.
 */
#include "walmill/lsn.h"

#include <stdio.h>

char *
wm_lsn_format(wm_lsn lsn, char *buf)
{
	snprintf(buf, WM_LSN_STRLEN, WM_LSN_FMT, WM_LSN_ARGS(lsn));
	return buf;
}

/* Reads one to eight hexadecimal digits; returns what follows them, or NULL. */
static const char *
parse_half(const char *s, uint32_t *ret)
{
	uint32_t v = 0;
	int digits = 0;

	for (; *s != '\0'; s++, digits++) {
		unsigned digit;

		if (*s >= '0' && *s <= '9')
			digit = (unsigned)(*s - '0');
		else if (*s >= 'a' && *s <= 'f')
			digit = (unsigned)(*s - 'a') + 10;
		else if (*s >= 'A' && *s <= 'F')
			digit = (unsigned)(*s - 'A') + 10;
		else
			break;
		if (digits == 8)
			return NULL;
		v = v << 4 | digit;
	}
	if (digits == 0)
		return NULL;
	*ret = v;
	return s;
}

bool
wm_lsn_parse(const char *text, wm_lsn *ret_lsn)
{
	uint32_t high, low;

	text = parse_half(text, &high);
	if (text == NULL || *text != '/')
		return false;
	text = parse_half(text + 1, &low);
	if (text == NULL || *text != '\0')
		return false;
	*ret_lsn = (wm_lsn)high << 32 | low;
	return true;
}
