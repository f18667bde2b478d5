/* SPDX-License-Identifier: PostgreSQL */
/*
 * type.c - Zoho's column types by name, and which one a column of the source gets.
 */
#include "cell.h"

#include <string.h>
#include <strings.h>

/* varchar(n) up to this is PLAIN; how much a PLAIN column takes is not documented. */
#define PLAIN_MAX 250
#define VARCHAR_OID 1043

static const struct {
	enum wm_zoho_type	 type;
	const char		*name, *shown;
} types[] = {
	{ WM_ZOHO_PLAIN, "PLAIN", "Plain Text" },
	{ WM_ZOHO_MULTI_LINE, "MULTI_LINE", "Multi Line Text" },
	{ WM_ZOHO_EMAIL, "EMAIL", "E-Mail" },
	{ WM_ZOHO_URL, "URL", "URL" },
	{ WM_ZOHO_GEO, "GEO", "Geo Location" },
	{ WM_ZOHO_DURATION, "DURATION", "Duration" },
	{ WM_ZOHO_NUMBER, "NUMBER", "Number" },
	{ WM_ZOHO_POSITIVE_NUMBER, "POSITIVE_NUMBER", "Positive Number" },
	{ WM_ZOHO_AUTO_NUMBER, "AUTO_NUMBER", "Auto Number" },
	{ WM_ZOHO_DECIMAL_NUMBER, "DECIMAL_NUMBER", "Decimal Number" },
	{ WM_ZOHO_CURRENCY, "CURRENCY", "Currency" },
	{ WM_ZOHO_PERCENT, "PERCENT", "Percentage" },
	{ WM_ZOHO_BOOLEAN, "BOOLEAN", "Yes/No Decision" },
	{ WM_ZOHO_BOOLEAN, "BOOLEAN", "Decision Box" },
	{ WM_ZOHO_EMAIL, "EMAIL", "Email" },
	{ WM_ZOHO_PERCENT, "PERCENT", "Percent" },
	{ WM_ZOHO_GEO, "GEO", "Geo" },
	{ WM_ZOHO_DATE, "DATE", "Date and Time" },
	{ WM_ZOHO_DATE, "DATE", "Date" },
	{ WM_ZOHO_DATE_AS_DATE, "DATE_AS_DATE", "Date As Date" },
	{ WM_ZOHO_TIME, "TIME", "Time" },
};

enum wm_zoho_type
wm_zoho_type_named(const char *name)
{
	for (size_t i = 0; i < WM_ARRAY_SIZE(types); i++)
		if (strcasecmp(types[i].name, name) == 0 || strcasecmp(types[i].shown, name) == 0)
			return types[i].type;
	return WM_ZOHO_UNKNOWN;
}

const char *
wm_zoho_type_name(enum wm_zoho_type type)
{
	for (size_t i = 0; i < WM_ARRAY_SIZE(types); i++)
		if (types[i].type == type)
			return types[i].name;
	return "PLAIN";
}

static enum wm_zoho_type
type_of_text(const struct wm_type *type, bool key)
{
	bool is_short = type->oid == VARCHAR_OID && type->typmod > 4 && type->typmod - 4 <= PLAIN_MAX;

	/* Keys are matched and filtered by, which long texts are not made for. */
	return key || is_short ? WM_ZOHO_PLAIN : WM_ZOHO_MULTI_LINE;
}

static enum wm_zoho_type
type_of(const struct wm_type *type, bool key)
{
	switch (type->class) {
	case WM_TYPE_BOOL:
		return WM_ZOHO_BOOLEAN;
	case WM_TYPE_INT:
		return WM_ZOHO_NUMBER;
	case WM_TYPE_FLOAT:
	case WM_TYPE_NUMERIC:
		return WM_ZOHO_DECIMAL_NUMBER;
	case WM_TYPE_DATE:
		return WM_ZOHO_DATE_AS_DATE;
	case WM_TYPE_TIMESTAMP:
	case WM_TYPE_TIMESTAMPTZ:
		return WM_ZOHO_DATE;
	case WM_TYPE_TIME:
		return WM_ZOHO_TIME;
	case WM_TYPE_TIMETZ:
	case WM_TYPE_INTERVAL:
	case WM_TYPE_UUID:
	case WM_TYPE_ENUM:
		return WM_ZOHO_PLAIN;
	default:
		return type_of_text(type, key);
	}
}

bool
wm_zoho_type_known(const struct wm_view_column *column)
{
	struct wm_type named;

	if (column->override == NULL || wm_zoho_type_named(column->override) != WM_ZOHO_UNKNOWN)
		return true;
	wm_type_named(column->override, &named);
	return named.builtin;
}

enum wm_zoho_type
wm_zoho_type_for(const struct wm_view_column *column)
{
	struct wm_type named;
	enum wm_zoho_type type;

	if (column->override == NULL)
		return type_of(&column->type, column->key);
	type = wm_zoho_type_named(column->override);
	if (type != WM_ZOHO_UNKNOWN)
		return type;
	wm_type_named(column->override, &named);
	return type_of(&named, column->key);
}

bool
wm_zoho_type_is_number(enum wm_zoho_type type)
{
	return type >= WM_ZOHO_NUMBER && type <= WM_ZOHO_PERCENT;
}

bool
wm_zoho_type_is_text(enum wm_zoho_type type)
{
	return type <= WM_ZOHO_DURATION;
}

bool
wm_zoho_type_takes(enum wm_zoho_type have, enum wm_zoho_type wanted)
{
	if (wm_zoho_type_is_text(have) || have == wanted)
		return true;
	if (have >= WM_ZOHO_DECIMAL_NUMBER && have <= WM_ZOHO_PERCENT)
		return wm_zoho_type_is_number(wanted);
	if (wm_zoho_type_is_number(have))
		return wanted == WM_ZOHO_NUMBER || wanted == WM_ZOHO_POSITIVE_NUMBER;
	return have == WM_ZOHO_DATE && wanted == WM_ZOHO_DATE_AS_DATE;
}
