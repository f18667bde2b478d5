/* SPDX-License-Identifier: PostgreSQL */
/*
 * type.c - built-in types by OID, and their names with a typmod.
 */
#include "walmill/type.h"

#include <stdio.h>
#include <string.h>

#include "type_table.h"
#include "walmill/compiler.h"

/* A bit for each field: month 1, year 2, day 3, hour 10, minute 11, second 12. */
const struct wm_type_interval wm_type_intervals[] = {
	{ 1 << 2, "year" },
	{ 1 << 1, "month" },
	{ 1 << 3, "day" },
	{ 1 << 10, "hour" },
	{ 1 << 11, "minute" },
	{ 1 << 12, "second" },
	{ 1 << 2 | 1 << 1, "year to month" },
	{ 1 << 3 | 1 << 10, "day to hour" },
	{ 1 << 3 | 1 << 10 | 1 << 11, "day to minute" },
	{ 1 << 3 | 1 << 10 | 1 << 11 | 1 << 12, "day to second" },
	{ 1 << 10 | 1 << 11, "hour to minute" },
	{ 1 << 10 | 1 << 11 | 1 << 12, "hour to second" },
	{ 1 << 11 | 1 << 12, "minute to second" },
	{ 0, NULL },
};

bool
wm_type_numeric_precision(int32_t typmod, int *ret_precision, int *ret_scale)
{
	uint32_t bits = (uint32_t)typmod - TYPMOD_OFFSET;

	if (typmod < TYPMOD_OFFSET)
		return false;
	*ret_precision = (int)(bits >> 16 & 0xffff);
	/* Eleven bits, signed since PostgreSQL 15. */
	*ret_scale = (int)((bits & 0x7ff) ^ 0x400) - 0x400;
	return true;
}

static void
format_interval(uint32_t typmod, char *name)
{
	uint32_t fields = typmod >> 16 & INTERVAL_ALL_FIELDS, precision = typmod & 0xffff;
	const char *words = "";
	int n;

	for (const struct wm_type_interval *i = wm_type_intervals; i->words != NULL; i++) {
		if (i->fields == fields)
			words = i->words;
	}
	n = snprintf(name, WM_TYPE_NAMELEN, "interval%s%s", words[0] != '\0' ? " " : "", words);
	if (precision != INTERVAL_ANY_PRECISION)
		snprintf(name + n, WM_TYPE_NAMELEN - (size_t)n, "(%u)", precision);
}

/* name has room for WM_TYPE_NAMELEN bytes. */
static void
format_name(const struct wm_type_row *row, int32_t typmod, char *name)
{
	int precision, scale;

	snprintf(name, WM_TYPE_NAMELEN, "%s", row->name);
	if (typmod < 0)
		return;
	switch (row->oid) {
	case BPCHAR_OID:
		if (typmod > TYPMOD_OFFSET)
			snprintf(name, WM_TYPE_NAMELEN, "character(%d)", typmod - TYPMOD_OFFSET);
		break;
	case VARCHAR_OID:
		if (typmod > TYPMOD_OFFSET)
			snprintf(name, WM_TYPE_NAMELEN, "character varying(%d)", typmod - TYPMOD_OFFSET);
		break;
	case NUMERIC_OID:
		if (wm_type_numeric_precision(typmod, &precision, &scale))
			snprintf(name, WM_TYPE_NAMELEN, "numeric(%d,%d)", precision, scale);
		break;
	case BIT_OID:
		snprintf(name, WM_TYPE_NAMELEN, "bit(%d)", typmod);
		break;
	case VARBIT_OID:
		snprintf(name, WM_TYPE_NAMELEN, "bit varying(%d)", typmod);
		break;
	case TIME_OID:
		snprintf(name, WM_TYPE_NAMELEN, "time(%d) without time zone", typmod);
		break;
	case TIMETZ_OID:
		snprintf(name, WM_TYPE_NAMELEN, "time(%d) with time zone", typmod);
		break;
	case TIMESTAMP_OID:
		snprintf(name, WM_TYPE_NAMELEN, "timestamp(%d) without time zone", typmod);
		break;
	case TIMESTAMPTZ_OID:
		snprintf(name, WM_TYPE_NAMELEN, "timestamp(%d) with time zone", typmod);
		break;
	case INTERVAL_OID:
		format_interval((uint32_t)typmod, name);
		break;
	default:
		break;
	}
}

bool
wm_type_builtin(uint32_t oid, int32_t typmod, struct wm_type *ret)
{
	const struct wm_type_row *row = wm_type_row(oid);
	struct wm_type type = { .oid = oid, .typmod = typmod, .builtin = true };
	size_t n;

	if (row == NULL)
		return false;
	type.class = row->class;
	format_name(row->element != 0 ? wm_type_row(row->element) : row, typmod, type.name);
	n = strlen(type.name);
	if (row->element != 0)
		snprintf(type.name + n, sizeof(type.name) - n, "[]");
	*ret = type;
	return true;
}

const char *
wm_type_class_name(enum wm_type_class class)
{
	static const char *const names[] = {
		[WM_TYPE_UNKNOWN] = "unknown",
		[WM_TYPE_BOOL] = "boolean",
		[WM_TYPE_INT] = "integer",
		[WM_TYPE_FLOAT] = "float",
		[WM_TYPE_NUMERIC] = "numeric",
		[WM_TYPE_TEXT] = "text",
		[WM_TYPE_BYTES] = "bytes",
		[WM_TYPE_DATE] = "date",
		[WM_TYPE_TIME] = "time",
		[WM_TYPE_TIMETZ] = "timetz",
		[WM_TYPE_TIMESTAMP] = "timestamp",
		[WM_TYPE_TIMESTAMPTZ] = "timestamptz",
		[WM_TYPE_INTERVAL] = "interval",
		[WM_TYPE_UUID] = "uuid",
		[WM_TYPE_JSON] = "json",
		[WM_TYPE_ARRAY] = "array",
		[WM_TYPE_RANGE] = "range",
		[WM_TYPE_ENUM] = "enum",
		[WM_TYPE_COMPOSITE] = "composite",
		[WM_TYPE_OTHER] = "other",
		[WM_TYPE_DYNAMIC] = "dynamic",
	};

	return (size_t)class < WM_ARRAY_SIZE(names) ? names[class] : "unknown";
}

bool
wm_type_is_padded(const struct wm_type *type)
{
	return type->class == WM_TYPE_TEXT &&
	    (strncmp(type->name, "character(", 10) == 0 || strcmp(type->name, "bpchar") == 0);
}

size_t
wm_type_unpadded(const char *text, size_t len)
{
	while (len > 0 && text[len - 1] == ' ')
		len--;
	return len;
}
