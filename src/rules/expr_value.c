/* SPDX-License-Identifier: PostgreSQL */
/*
 * expr_value.c - values of a row as SQLite's, and back.
 *
 * A boolean is 0 or 1, an integer a number, bytea a blob, all else text (char(n) without the blanks
 * that fill it up); floats and numerics are made numbers by the statement itself.
 */
#include "expr_value.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "walmill/strutil.h"

/* ---- binding ---- */

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int
bind_text(sqlite3_stmt *stmt, int at, const char *text, size_t len)
{
	return sqlite3_bind_text64(stmt, at, len > 0 ? text : "", len, SQLITE_STATIC, SQLITE_UTF8);
}

static int
bind_int(sqlite3_stmt *stmt, int at, const struct wm_value *v)
{
	char text[24];
	int64_t number;

	if (v->len >= sizeof(text))
		return bind_text(stmt, at, v->data, v->len);
	memcpy(text, v->data, v->len);
	text[v->len] = '\0';
	if (!wm_parse_i64(text, &number))
		return bind_text(stmt, at, v->data, v->len);
	return sqlite3_bind_int64(stmt, at, number);
}

/* "...+00" gets the minutes that SQLite's date functions expect. */
static int
bind_timestamptz(sqlite3_stmt *stmt, int at, const struct wm_value *v, struct wm_arena *arena)
{
	char *text;

	if (v->len < 3 || memcmp(v->data + v->len - 3, "+00", 3) != 0)
		return bind_text(stmt, at, v->data, v->len);
	text = wm_arena_alloc(arena, v->len + 3);
	if (text == NULL)
		return SQLITE_NOMEM;
	memcpy(text, v->data, v->len);
	memcpy(text + v->len, ":00", 3);
	return bind_text(stmt, at, text, v->len + 3);
}

/* \x and pairs of hex digits; anything else stays text. */
static int
bind_bytes(sqlite3_stmt *stmt, int at, const struct wm_value *v, struct wm_arena *arena)
{
	size_t n = v->len / 2;
	unsigned char *bytes;

	if (v->len < 2 || v->len % 2 != 0 || v->data[0] != '\\' || v->data[1] != 'x')
		return bind_text(stmt, at, v->data, v->len);
	bytes = wm_arena_alloc(arena, n);
	if (bytes == NULL)
		return SQLITE_NOMEM;
	for (size_t i = 1; i < n; i++) {
		int high = hex_digit(v->data[2 * i]), low = hex_digit(v->data[2 * i + 1]);

		if (high < 0 || low < 0)
			return bind_text(stmt, at, v->data, v->len);
		bytes[i - 1] = (unsigned char)(high << 4 | low);
	}
	return sqlite3_bind_blob64(stmt, at, bytes, n - 1, SQLITE_STATIC);
}

int
wm_expr_bind(sqlite3_stmt *stmt, int at, const struct wm_value *v, const struct wm_type *type, struct wm_arena *arena)
{
	if (v->kind == WM_VALUE_BINARY)
		return sqlite3_bind_blob64(stmt, at, v->len > 0 ? v->data : "", v->len, SQLITE_STATIC);
	if (v->kind != WM_VALUE_TEXT)
		return sqlite3_bind_null(stmt, at);
	switch (type->class) {
	case WM_TYPE_BOOL:
		return sqlite3_bind_int(stmt, at, v->len == 1 && v->data[0] == 't');
	case WM_TYPE_INT:
		return bind_int(stmt, at, v);
	case WM_TYPE_TIMESTAMPTZ:
		return bind_timestamptz(stmt, at, v, arena);
	case WM_TYPE_BYTES:
		return bind_bytes(stmt, at, v, arena);
	case WM_TYPE_TEXT:
		return bind_text(stmt, at, v->data,
		    wm_type_is_padded(type) ? wm_type_unpadded(v->data, v->len) : v->len);
	default:
		return bind_text(stmt, at, v->data, v->len);
	}
}

/* ---- results ---- */

/* The shortest text that reads back as the same number. */
static size_t
format_real(double real, char *text, size_t size)
{
	for (int digits = 15; digits < 17; digits++) {
		double back;
		int n = snprintf(text, size, "%.*g", digits, real);

		if (sscanf(text, "%lf", &back) == 1 && !islessgreater(back, real))
			return (size_t)n;
	}
	return (size_t)snprintf(text, size, "%.17g", real);
}

static void
format_hex(const unsigned char *bytes, size_t n, char *text)
{
	static const char digits[] = "0123456789abcdef";

	memcpy(text, "\\x", 2);
	for (size_t i = 0; i < n; i++) {
		text[2 * i + 2] = digits[bytes[i] >> 4];
		text[2 * i + 3] = digits[bytes[i] & 15];
	}
}

static bool
number_result(sqlite3_stmt *stmt, int i, struct wm_arena *arena, struct wm_value *ret)
{
	bool integer = sqlite3_column_type(stmt, i) == SQLITE_INTEGER;
	double real = integer ? 0 : sqlite3_column_double(stmt, i);
	char text[40];
	size_t len;
	char *copy;

	if (integer)
		len = (size_t)snprintf(text, sizeof(text), "%" PRId64, (int64_t)sqlite3_column_int64(stmt, i));
	else if (isinf(real))
		len = (size_t)snprintf(text, sizeof(text), "%sInfinity", real < 0 ? "-" : "");
	else
		len = format_real(real, text, sizeof(text));
	copy = wm_arena_dup(arena, text, len);
	*ret = (struct wm_value){ .data = copy,
		.len = (uint32_t)len,
		.kind = WM_VALUE_TEXT,
		.number = integer || isfinite(real) };
	return copy != NULL;
}

bool
wm_expr_result(sqlite3_stmt *stmt, int i, struct wm_arena *arena, struct wm_value *ret)
{
	const void *bytes;
	size_t len;
	char *copy;

	switch (sqlite3_column_type(stmt, i)) {
	case SQLITE_NULL:
		*ret = (struct wm_value){ .kind = WM_VALUE_NULL };
		return true;
	case SQLITE_INTEGER:
	case SQLITE_FLOAT:
		return number_result(stmt, i, arena, ret);
	case SQLITE_TEXT:
		bytes = sqlite3_column_text(stmt, i);
		len = (size_t)sqlite3_column_bytes(stmt, i);
		copy = bytes != NULL ? wm_arena_dup(arena, bytes, len) : NULL;
		break;
	default:
		bytes = sqlite3_column_blob(stmt, i);
		len = (size_t)sqlite3_column_bytes(stmt, i);
		copy = wm_arena_alloc(arena, 2 * len + 2);
		if (copy != NULL)
			format_hex(bytes, len, copy);
		len = 2 * len + 2;
		break;
	}
	*ret = (struct wm_value){ .data = copy, .len = (uint32_t)len, .kind = WM_VALUE_TEXT };
	return copy != NULL;
}
