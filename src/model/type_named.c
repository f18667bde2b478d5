/* SPDX-License-Identifier: PostgreSQL */
/*
 * type_named.c - types by their SQL name.
 *
 * What is not understood is kept as written, for the target to judge.
 */
#include <stdio.h>
#include <string.h>

#include "type_table.h"
#include "walmill/compiler.h"
#include "walmill/type.h"

/* A name taken apart: "Timestamp (3) with time  zone[]" is "timestamp with time zone", 3, array. */
struct spelling {
	char	base[WM_TYPE_NAMELEN];	/* lower case, single blanks; quoted parts as written */
	size_t	len;
	int32_t	args[2];
	int	nargs;
	bool	array;
};

struct alias {
	const char	*name;
	uint32_t	 oid;
	int32_t		 fallback;	/* typmod when no argument is given */
};

/* Names that format_type does not use. */
static const struct alias aliases[] = {
	{ "bit", BIT_OID, 1 },
	{ "blob", 17, -1 },
	{ "bool", 16, -1 },
	{ "char", BPCHAR_OID, 1 + TYPMOD_OFFSET },
	{ "char varying", VARCHAR_OID, -1 },
	{ "character", BPCHAR_OID, 1 + TYPMOD_OFFSET },
	{ "datetime", TIMESTAMP_OID, -1 },
	{ "dec", NUMERIC_OID, -1 },
	{ "decimal", NUMERIC_OID, -1 },
	{ "double", 701, -1 },
	{ "float4", 700, -1 },
	{ "float8", 701, -1 },
	{ "int", 23, -1 },
	{ "int2", 21, -1 },
	{ "int4", 23, -1 },
	{ "int8", 20, -1 },
	{ "string", 25, -1 },
	{ "time", TIME_OID, -1 },
	{ "timestamp", TIMESTAMP_OID, -1 },
	{ "timestamptz", TIMESTAMPTZ_OID, -1 },
	{ "timetz", TIMETZ_OID, -1 },
	{ "varbit", VARBIT_OID, -1 },
	{ "varchar", VARCHAR_OID, -1 },
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *
skip_blanks(const char *s)
{
	while (is_blank(*s))
		s++;
	return s;
}

/* Reads "10" or " -2 "; no argument of a type has more than eight digits. */
static const char *
parse_arg(const char *s, int32_t *ret)
{
	bool negative;
	int32_t v = 0;
	int digits = 0;

	s = skip_blanks(s);
	negative = *s == '-';
	s += negative;
	for (; *s >= '0' && *s <= '9'; s++) {
		if (++digits > 8)
			return NULL;
		v = v * 10 + (*s - '0');
	}
	*ret = negative ? -v : v;
	return digits > 0 ? skip_blanks(s) : NULL;
}

/* s stands behind the opening parenthesis; returns what follows the closing one, or NULL. */
static const char *
parse_args(const char *s, struct spelling *sp)
{
	if (sp->nargs > 0)
		return NULL;
	do {
		if (sp->nargs == (int)WM_ARRAY_SIZE(sp->args))
			return NULL;
		s = parse_arg(s, &sp->args[sp->nargs++]);
	} while (s != NULL && *s++ == ',');
	return s != NULL && s[-1] == ')' ? s : NULL;
}

/* s stands behind the opening bracket. */
static const char *
parse_bracket(const char *s, struct spelling *sp)
{
	int32_t bound;

	s = skip_blanks(s);
	if (*s != ']')
		s = parse_arg(s, &bound);
	sp->array = true;
	return s != NULL && *s == ']' ? s + 1 : NULL;
}

static bool
add_char(struct spelling *sp, char c)
{
	if (sp->len + 1 >= sizeof(sp->base))
		return false;
	sp->base[sp->len++] = c;
	return true;
}

static bool
take_apart(const char *s, struct spelling *sp)
{
	bool quoted = false, gap = false;

	while (s != NULL && *s != '\0') {
		if (!quoted && is_blank(*s)) {
			gap = true;
			s++;
		} else if (!quoted && *s == '[') {
			s = parse_bracket(s + 1, sp);
		} else if (sp->array) {
			return false;
		} else if (!quoted && *s == '(') {
			s = parse_args(s + 1, sp);
			gap = true;
		} else {
			char c = *s++;

			if (c == '"')
				quoted = !quoted;
			else if (!quoted && c >= 'A' && c <= 'Z')
				c = (char)(c - 'A' + 'a');
			if ((gap && sp->len > 0 && !add_char(sp, ' ')) || !add_char(sp, c))
				return false;
			gap = false;
		}
	}
	return s != NULL && sp->len > 0 && !quoted;
}

/* The only argument as a typmod; fallback when there is none. */
static bool
one_arg(const struct spelling *sp, int32_t min, int32_t max, int32_t offset, int32_t fallback,
    int32_t *ret)
{
	if (sp->nargs == 0) {
		*ret = fallback;
		return true;
	}
	if (sp->nargs > 1 || sp->args[0] < min || sp->args[0] > max)
		return false;
	*ret = sp->args[0] + offset;
	return true;
}

static bool
numeric_typmod(const struct spelling *sp, int32_t *ret)
{
	int32_t precision = sp->args[0], scale = sp->nargs > 1 ? sp->args[1] : 0;

	*ret = -1;
	if (sp->nargs == 0)
		return true;
	if (precision < 1 || precision > 1000 || scale < -1000 || scale > 1000)
		return false;
	*ret = (int32_t)((uint32_t)precision << 16 | ((uint32_t)scale & 0x7ff)) + TYPMOD_OFFSET;
	return true;
}

/* words is what stands behind "interval": nothing, or a blank and fields. */
static bool
interval_typmod(const struct spelling *sp, const char *words, int32_t *ret)
{
	const uint32_t second = 1 << 12;
	uint32_t fields = INTERVAL_ALL_FIELDS;
	int32_t precision;

	if (words[0] == ' ') {
		const struct wm_type_interval *i = wm_type_intervals;

		while (i->words != NULL && strcmp(i->words, words + 1) != 0)
			i++;
		fields = i->fields;
	}
	if (fields == 0 || !one_arg(sp, 0, 6, 0, INTERVAL_ANY_PRECISION, &precision))
		return false;
	if (sp->nargs > 0 && (fields & second) == 0)
		return false;
	*ret = -1;
	if (fields != INTERVAL_ALL_FIELDS || sp->nargs > 0)
		*ret = (int32_t)(fields << 16 | (uint32_t)precision);
	return true;
}

static bool
typmod_of(uint32_t oid, const struct spelling *sp, int32_t fallback, int32_t *ret)
{
	switch (oid) {
	case NUMERIC_OID:
		return numeric_typmod(sp, ret);
	case BPCHAR_OID:
	case VARCHAR_OID:
		return one_arg(sp, 1, 10485760, TYPMOD_OFFSET, fallback, ret);
	case BIT_OID:
	case VARBIT_OID:
		return one_arg(sp, 1, 83886080, 0, fallback, ret);
	case TIME_OID:
	case TIMETZ_OID:
	case TIMESTAMP_OID:
	case TIMESTAMPTZ_OID:
		return one_arg(sp, 0, 6, 0, fallback, ret);
	default:
		*ret = -1;
		return sp->nargs == 0;
	}
}

/* Finds the element type, without "[]".  *ret_oid is set as soon as the base name is known. */
static bool
resolve(const struct spelling *sp, uint32_t *ret_oid, int32_t *ret_typmod)
{
	static const char catalog[] = "pg_catalog.", interval[] = "interval";
	const char *base = sp->base;
	const struct wm_type_row *row;
	int32_t bits;

	if (strncmp(base, catalog, sizeof(catalog) - 1) == 0)
		base += sizeof(catalog) - 1;
	if (strcmp(base, "float") == 0) {
		*ret_oid = 701;
		*ret_typmod = -1;
		if (!one_arg(sp, 1, 53, 0, 53, &bits))
			return false;
		*ret_oid = bits <= 24 ? 700 : 701;
		return true;
	}
	if (strncmp(base, interval, sizeof(interval) - 1) == 0 &&
	    (base[sizeof(interval) - 1] == '\0' || base[sizeof(interval) - 1] == ' ')) {
		*ret_oid = INTERVAL_OID;
		return interval_typmod(sp, base + sizeof(interval) - 1, ret_typmod);
	}
	for (size_t i = 0; i < WM_ARRAY_SIZE(aliases); i++) {
		if (strcmp(aliases[i].name, base) == 0) {
			*ret_oid = aliases[i].oid;
			return typmod_of(*ret_oid, sp, aliases[i].fallback, ret_typmod);
		}
	}
	row = wm_type_row_named(base);
	if (row == NULL)
		return false;
	*ret_oid = row->oid;
	return typmod_of(*ret_oid, sp, -1, ret_typmod);
}

static void
keep_name(const char *name, struct wm_type *type)
{
	size_t n;

	name = skip_blanks(name);
	snprintf(type->name, sizeof(type->name), "%s", name);
	n = strlen(type->name);
	while (n > 0 && is_blank(type->name[n - 1]))
		type->name[--n] = '\0';
}

void
wm_type_named(const char *name, struct wm_type *ret)
{
	struct wm_type type = { .typmod = -1, .class = WM_TYPE_OTHER };
	struct spelling sp = { .len = 0 };
	const struct wm_type_row *row;
	uint32_t oid = 0;
	int32_t typmod;

	if (take_apart(name, &sp)) {
		bool known = resolve(&sp, &oid, &typmod);

		row = sp.array && oid != 0 ? wm_type_row_array(oid) : wm_type_row(oid);
		if (known && row != NULL && wm_type_builtin(row->oid, typmod, ret))
			return;
		if (sp.array)
			type.class = WM_TYPE_ARRAY;
		else if (row != NULL)
			type.class = row->class;
	}
	keep_name(name, &type);
	*ret = type;
}
