/* SPDX-License-Identifier: PostgreSQL */
/*
 * type.h - PostgreSQL's types as walmill sees them.
 *
 * Built-in types come from a static table.  User-defined ones (enums, domains, composites,
 * extensions) are resolved by pg/catalog: a domain turns into its base type, an enum, a
 * composite and anything else into its text form.
 */
#ifndef WM_TYPE_H
#define WM_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wm_type_class {
	WM_TYPE_UNKNOWN,		/* not resolved yet */
	WM_TYPE_BOOL,			/* t, f */
	WM_TYPE_INT,			/* int2, int4, int8, oid: fits 64 bits signed */
	WM_TYPE_FLOAT,			/* float4, float8: also NaN, Infinity, -Infinity */
	WM_TYPE_NUMERIC,		/* arbitrary precision: also NaN, Infinity, -Infinity */
	WM_TYPE_TEXT,			/* text, varchar, char(n), name, "char", xml, ... */
	WM_TYPE_BYTES,			/* bytea: text form is \x and hex */
	WM_TYPE_DATE,
	WM_TYPE_TIME,
	WM_TYPE_TIMETZ,
	WM_TYPE_TIMESTAMP,		/* also infinity, -infinity, years over 9999, BC */
	WM_TYPE_TIMESTAMPTZ,		/* rendered in UTC: "...+00" */
	WM_TYPE_INTERVAL,
	WM_TYPE_UUID,
	WM_TYPE_JSON,			/* json, jsonb */
	WM_TYPE_ARRAY,			/* text form {a,b} */
	WM_TYPE_RANGE,			/* ranges and multiranges */
	WM_TYPE_ENUM,
	WM_TYPE_COMPOSITE,
	WM_TYPE_OTHER,			/* inet, geometry, bit, tsvector, money, extensions: text form */
	WM_TYPE_DYNAMIC,		/* result of a compute expression without `type:` */
};

#define WM_TYPE_NAMELEN 128

struct wm_type {
	uint32_t		oid;	/* as the stream names it (a domain's own OID) */
	int32_t			typmod;	/* -1: none; of a domain, the one that it gives its base type */
	enum wm_type_class	class;
	bool			builtin; /* name is valid on every PostgreSQL server */
	/* What CREATE TABLE takes at a PostgreSQL target: "numeric(10,2)", "integer[]", "text". */
	char			name[WM_TYPE_NAMELEN];
};

/* Fills *ret for a built-in OID (class, name with typmod); false when oid is not built in. */
bool wm_type_builtin(uint32_t oid, int32_t typmod, struct wm_type *ret);
/* A type given by its SQL name, as `type:` in a rule does ("numeric(10,2)", "bigint"): class by its name. */
void wm_type_named(const char *name, struct wm_type *ret);
/* numeric(p,s) carried in a typmod; false when it has none. */
bool wm_type_numeric_precision(int32_t typmod, int *ret_precision, int *ret_scale);
/* char(n), whose values are filled up with blanks. */
bool wm_type_is_padded(const struct wm_type *type);
/* The length of such a value without them, as PostgreSQL itself compares and casts it. */
size_t wm_type_unpadded(const char *text, size_t len);
const char *wm_type_class_name(enum wm_type_class class);

#endif
