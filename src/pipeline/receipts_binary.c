/* SPDX-License-Identifier: PostgreSQL */
/*
 * receipts_binary.c - the key of a row in COPY's binary form, as text would have it.
 *
 * Format: PostgreSQL documentation, "COPY", Binary Format: the number of fields in two bytes, then each with its
 * length in four.  Only for types that keys are commonly made of, and whose binary form is plain.
 */
#include <inttypes.h>
#include <stdio.h>

#include "receipts.h"
#include "walmill/receipts.h"

enum { T_BOOL = 16, T_NAME = 19, T_INT8 = 20, T_INT2 = 21, T_INT4 = 23, T_TEXT = 25, T_OID = 26, T_BPCHAR = 1042,
	T_VARCHAR = 1043, T_UUID = 2950 };

bool
receipts_binary_can(const struct wm_view *view)
{
	for (unsigned i = 0; i < view->nkeys; i++)
		switch (view->columns[view->keys[i]].type.oid) {
		case T_BOOL:
		case T_NAME:
		case T_INT8:
		case T_INT2:
		case T_INT4:
		case T_TEXT:
		case T_OID:
		case T_BPCHAR:
		case T_VARCHAR:
		case T_UUID:
			break;
		default:
			return false;
		}
	return true;
}

static uint64_t
number(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

static size_t
uuid_text(const uint8_t *p, char *out)
{
	size_t n = 0;

	for (int i = 0; i < 16; i++)
		n += (size_t)snprintf(out + n, 48 - n, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", p[i]);
	return n;
}

/* In text when it is not itself; returns the length. */
static size_t
value_text(uint32_t type, const uint8_t *p, size_t len, const char **ret, char text[48])
{
	int n = -1;

	*ret = text;
	if (type == T_INT8 && len == 8)
		n = snprintf(text, 48, "%" PRId64, (int64_t)number(p, len));
	else if (type == T_INT4 && len == 4)
		n = snprintf(text, 48, "%" PRId32, (int32_t)number(p, len));
	else if (type == T_INT2 && len == 2)
		n = snprintf(text, 48, "%d", (int16_t)number(p, len));
	else if (type == T_OID && len == 4)
		n = snprintf(text, 48, "%" PRIu64, number(p, len));
	else if (type == T_BOOL && len == 1)
		n = snprintf(text, 48, "%c", *p != 0 ? 't' : 'f');
	else if (type == T_UUID && len == 16)
		n = (int)uuid_text(p, text);
	if (n >= 0)
		return (size_t)n;
	*ret = (const char *)p;
	return len;
}

uint64_t
receipts_binary_key(const struct wm_view *view, const char *row, size_t len)
{
	const uint8_t *p = (const uint8_t *)row + 2, *end = (const uint8_t *)row + len;
	uint64_t key = 0;
	unsigned found = 0;

	for (unsigned i = 0; i < view->ncolumns && found < view->nkeys && end - p >= 4; i++) {
		uint32_t n = (uint32_t)number(p, 4);
		const char *value;
		char text[48];
		size_t size;

		p += 4;
		if (n == UINT32_MAX)
			n = 0;
		else if (n > (size_t)(end - p))
			break;
		else if (view->columns[i].key) {
			size = value_text(view->columns[i].type.oid, p, n, &value, text);
			key += wm_receipt_key(view->columns[i].name, value, size);
		}
		found += view->columns[i].key;
		p += n;
	}
	return key;
}
