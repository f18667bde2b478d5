/* SPDX-License-Identifier: PostgreSQL */
/*
 * storage.c - PostgreSQL's types and values as SQLite keeps them; docs/types.md is the same table.
 *
 * The rule behind the table: whoever reads the file gets every value exactly, as a number where
 * SQLite's 64-bit integer or double holds it without loss, as PostgreSQL's text where not.
 */
#include "sqlite.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "walmill/strutil.h"

#define NUMBER_LEN 64		/* longer numbers stay text */
#define EXACT_DIGITS 15		/* significant decimal digits that a double keeps */

static const struct {
	const char		*declared;
	enum wm_sqlite_storage	 storage;
} by_class[] = {
	[WM_TYPE_UNKNOWN] = { "TEXT", WM_SQLITE_AS_TEXT },
	[WM_TYPE_BOOL] = { "BOOLEAN", WM_SQLITE_AS_BOOL },
	[WM_TYPE_INT] = { "INTEGER", WM_SQLITE_AS_INTEGER },
	[WM_TYPE_FLOAT] = { "REAL", WM_SQLITE_AS_REAL },
	[WM_TYPE_NUMERIC] = { "NUMERIC", WM_SQLITE_AS_DECIMAL },	/* but see exact_numeric */
	[WM_TYPE_TEXT] = { "TEXT", WM_SQLITE_AS_TEXT },
	[WM_TYPE_BYTES] = { "BLOB", WM_SQLITE_AS_BLOB },
	[WM_TYPE_DATE] = { "TEXT", WM_SQLITE_AS_TEXT },
	[WM_TYPE_TIME] = { "TEXT", WM_SQLITE_AS_TEXT },
	[WM_TYPE_TIMETZ] = { "TEXT", WM_SQLITE_AS_TEXT },
	[WM_TYPE_TIMESTAMP] = { "TEXT", WM_SQLITE_AS_TEXT },
	[WM_TYPE_TIMESTAMPTZ] = { "TEXT", WM_SQLITE_AS_TEXT },
	[WM_TYPE_INTERVAL] = { "TEXT", WM_SQLITE_AS_TEXT },
	[WM_TYPE_UUID] = { "TEXT", WM_SQLITE_AS_TEXT },
	[WM_TYPE_JSON] = { "TEXT", WM_SQLITE_AS_TEXT },
	[WM_TYPE_ARRAY] = { "TEXT", WM_SQLITE_AS_TEXT },
	[WM_TYPE_RANGE] = { "TEXT", WM_SQLITE_AS_TEXT },
	[WM_TYPE_ENUM] = { "TEXT", WM_SQLITE_AS_TEXT },
	[WM_TYPE_COMPOSITE] = { "TEXT", WM_SQLITE_AS_TEXT },
	[WM_TYPE_OTHER] = { "TEXT", WM_SQLITE_AS_TEXT },
	[WM_TYPE_DYNAMIC] = { "", WM_SQLITE_AS_COMPUTED },
};

/* ---- types ---- */

static bool
mentions(const char *declared, const char *const *words)
{
	for (; *words != NULL; words++)
		for (const char *p = declared; *p != '\0'; p++)
			if (sqlite3_strnicmp(p, *words, (int)strlen(*words)) == 0)
				return true;
	return false;
}

/* The rules of https://www.sqlite.org/datatype3.html, section 3.1, in their order. */
enum wm_sqlite_affinity
wm_sqlite_affinity(const char *declared)
{
	static const char *const integer[] = { "INT", NULL };
	static const char *const text[] = { "CHAR", "CLOB", "TEXT", NULL };
	static const char *const blob[] = { "BLOB", NULL };
	static const char *const real[] = { "REAL", "FLOA", "DOUB", NULL };

	if (mentions(declared, integer))
		return WM_SQLITE_INTEGER;
	if (mentions(declared, text))
		return WM_SQLITE_TEXT;
	if (declared[0] == '\0' || mentions(declared, blob))
		return WM_SQLITE_BLOB;
	return mentions(declared, real) ? WM_SQLITE_REAL : WM_SQLITE_NUMERIC;
}

/* True when every value of the type, but for NaN and the infinities, is exact as a double. */
static bool
exact_numeric(const struct wm_type *type)
{
	int precision, scale;

	return wm_type_numeric_precision(type->typmod, &precision, &scale) && precision <= EXACT_DIGITS;
}

const char *
wm_sqlite_declared(const struct wm_view_column *column)
{
	if (column->override != NULL)
		return column->override;
	assert((unsigned)column->type.class < WM_ARRAY_SIZE(by_class));
	if (column->type.class == WM_TYPE_NUMERIC && !exact_numeric(&column->type))
		return "TEXT";
	return by_class[column->type.class].declared;
}

enum wm_sqlite_storage
wm_sqlite_storage(const struct wm_view_column *column)
{
	enum wm_sqlite_affinity affinity = wm_sqlite_affinity(wm_sqlite_declared(column));

	/* A number would get SQLite's text form, with 15 digits, not PostgreSQL's. */
	if (affinity == WM_SQLITE_TEXT && column->type.class != WM_TYPE_BYTES)
		return WM_SQLITE_AS_TEXT;
	return by_class[column->type.class].storage;
}

/* ---- values ---- */

/* Copies a number's text where a NUL can follow; false when it is too long or not one. */
static bool
number_text(const struct wm_value *value, char *buf)
{
	const char *p = value->data;

	if (value->len == 0 || value->len >= NUMBER_LEN)
		return false;
	memcpy(buf, p, value->len);
	buf[value->len] = '\0';
	/* Not the words for infinity and NaN, nor hexadecimal. */
	return strspn(buf, "0123456789+-.eE") == value->len;
}

static bool
parse_real(const char *text, double *ret)
{
	double v;
	int used = 0;

	if (sscanf(text, "%lf%n", &v, &used) != 1 || text[used] != '\0' || !isfinite(v))
		return false;
	*ret = v;
	return true;
}

static void
set_text(const struct wm_value *value, struct wm_sqlite_cell *ret)
{
	ret->type = SQLITE_TEXT;
	ret->data = value->len > 0 ? value->data : "";
	ret->len = value->len;
}

static void
set_integer(const struct wm_value *value, struct wm_sqlite_cell *ret)
{
	char buf[NUMBER_LEN];

	if (number_text(value, buf) && wm_parse_i64(buf, &ret->integer))
		ret->type = SQLITE_INTEGER;
	else
		set_text(value, ret);
}

static void
set_real(const struct wm_value *value, struct wm_sqlite_cell *ret)
{
	char buf[NUMBER_LEN];

	if (number_text(value, buf) && parse_real(buf, &ret->real))
		ret->type = SQLITE_FLOAT;
	else
		set_text(value, ret);
}

/* Digits from the first to the last that is not 0. */
static size_t
significant_digits(const struct wm_value *value)
{
	size_t n = 0, upto = 0;

	for (size_t i = 0; i < value->len; i++) {
		char c = value->data[i];

		if (c < '0' || c > '9' || (c == '0' && n == 0))
			continue;
		n++;
		if (c != '0')
			upto = n;
	}
	return upto;
}

/* Integer where it is one, real where that keeps every digit. */
static void
set_decimal(const struct wm_value *value, struct wm_sqlite_cell *ret)
{
	set_integer(value, ret);
	if (ret->type != SQLITE_INTEGER && significant_digits(value) <= EXACT_DIGITS)
		set_real(value, ret);
}

static void
set_bool(const struct wm_value *value, struct wm_sqlite_cell *ret)
{
	if (value->len == 1 && (value->data[0] == 't' || value->data[0] == 'f')) {
		ret->type = SQLITE_INTEGER;
		ret->integer = value->data[0] == 't';
	} else
		set_text(value, ret);
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static enum wm_status
set_blob(const struct wm_value *value, struct wm_sqlite_cell *ret, struct wm_error *err)
{
	size_t n = value->len / 2;
	unsigned char *bytes;

	if (value->len < 2 || value->len % 2 != 0 || memcmp(value->data, "\\x", 2) != 0)
		return wm_fail(err, WM_REJECT, "a bytea value is not in hex form (bytea_output = hex)");
	n--;
	ret->type = SQLITE_BLOB;
	ret->data = NULL;
	ret->len = n;
	if (n == 0)
		return WM_OK;
	bytes = sqlite3_malloc64(n);
	if (bytes == NULL)
		return wm_oom(err, "a bytea value");
	for (size_t i = 0; i < n; i++) {
		int high = hex_digit(value->data[2 + 2 * i]), low = hex_digit(value->data[3 + 2 * i]);

		if (high < 0 || low < 0) {
			sqlite3_free(bytes);
			return wm_fail(err, WM_REJECT, "a bytea value has something else than hex digits");
		}
		bytes[i] = (unsigned char)(high << 4 | low);
	}
	ret->data = (const char *)bytes;
	return WM_OK;
}

static void
set_computed(const struct wm_value *value, struct wm_sqlite_cell *ret)
{
	if (!value->number) {
		set_text(value, ret);
		return;
	}
	set_integer(value, ret);
	if (ret->type != SQLITE_INTEGER)
		set_real(value, ret);
}

enum wm_status
wm_sqlite_cell(enum wm_sqlite_storage storage, const struct wm_value *value, struct wm_sqlite_cell *ret,
    struct wm_error *err)
{
	static void (*const set[])(const struct wm_value *, struct wm_sqlite_cell *) = {
		[WM_SQLITE_AS_TEXT] = set_text,
		[WM_SQLITE_AS_BOOL] = set_bool,
		[WM_SQLITE_AS_INTEGER] = set_integer,
		[WM_SQLITE_AS_REAL] = set_real,
		[WM_SQLITE_AS_DECIMAL] = set_decimal,
		[WM_SQLITE_AS_COMPUTED] = set_computed,
	};
	struct wm_sqlite_cell cell = { .type = SQLITE_NULL };
	enum wm_status status;

	if (value->kind == WM_VALUE_BINARY)
		return wm_fail(err, WM_FATAL, "binary value: the sqlite target takes text values only");
	assert(value->kind != WM_VALUE_UNCHANGED);
	if (value->kind == WM_VALUE_TEXT && storage == WM_SQLITE_AS_BLOB) {
		status = set_blob(value, &cell, err);
		if (status != WM_OK)
			return status;
	} else if (value->kind == WM_VALUE_TEXT)
		set[storage](value, &cell);
	*ret = cell;
	return WM_OK;
}

/* ---- reals as text ---- */

/* All digits of "-1.25e+20" and the zeros behind them. */
static void
integer_text(const char *digits, int zeros, char *buf)
{
	for (; *digits != 'e'; digits++)
		if (*digits != '.')
			*buf++ = *digits;
	memset(buf, '0', (size_t)zeros);
	buf[zeros] = '\0';
}

void
wm_sqlite_real_text(double value, bool decimal, char *buf, size_t size)
{
	char digits[40];
	double back;
	int decimals, exponent = 0;

	assert(size >= WM_SQLITE_REAL_LEN);
	if (!isfinite(value)) {
		(void)snprintf(buf, size, "%s", isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
		return;
	}
	for (decimals = 0;; decimals++) {
		(void)snprintf(digits, sizeof(digits), "%.*e", decimals, value);
		if (decimals == 16 || (parse_real(digits, &back) && back == value))
			break;
	}
	(void)sscanf(strchr(digits, 'e') + 1, "%d", &exponent);
	/* float8out turns to an exponent at these bounds. */
	if (!decimal && (exponent < -4 || exponent >= EXACT_DIGITS))
		(void)snprintf(buf, size, "%s", digits);
	else if (decimals > exponent)
		(void)snprintf(buf, size, "%.*f", decimals - exponent, value);
	else
		integer_text(digits, exponent - decimals, buf);
}
