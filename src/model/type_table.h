/* SPDX-License-Identifier: PostgreSQL */
/*
 * type_table.h - PostgreSQL's built-in types, and the OIDs that carry a typmod.
 */
#ifndef WM_TYPE_TABLE_H
#define WM_TYPE_TABLE_H

#include <stdint.h>

#include "walmill/type.h"

#define BPCHAR_OID 1042
#define VARCHAR_OID 1043
#define TIME_OID 1083
#define TIMESTAMP_OID 1114
#define TIMESTAMPTZ_OID 1184
#define INTERVAL_OID 1186
#define TIMETZ_OID 1266
#define BIT_OID 1560
#define VARBIT_OID 1562
#define NUMERIC_OID 1700

/* Lengths and numeric's precision are stored with the size of a varlena header added. */
#define TYPMOD_OFFSET 4
/* An interval's typmod: fields in the upper half, precision in the lower one. */
#define INTERVAL_ALL_FIELDS 0x7fff
#define INTERVAL_ANY_PRECISION 0xffff

struct wm_type_row {
	uint32_t		 oid;
	enum wm_type_class	 class;
	const char		*name;		/* NULL: the element's name and "[]" */
	uint32_t		 element;	/* of an array; else 0 */
};

struct wm_type_interval {
	uint32_t	 fields;
	const char	*words;
};

/* NULL when there is none. */
const struct wm_type_row *wm_type_row(uint32_t oid);
const struct wm_type_row *wm_type_row_named(const char *name);
const struct wm_type_row *wm_type_row_array(uint32_t element);
/* The restrictions of an interval ("day to second"); words is NULL at the end. */
extern const struct wm_type_interval wm_type_intervals[];

#endif
