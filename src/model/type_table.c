/* SPDX-License-Identifier: PostgreSQL */
/*
 * type_table.c - PostgreSQL's built-in types, sorted by OID.
 *
 * As in pg_type of PostgreSQL 15, named as its format_type does for typmod -1: bpchar and the
 * quoted "bit" have any length, while character and bit mean a length of one.  OIDs of built-in
 * types never change.  A column cannot have a pseudo-type; cstring is here for its array.
 * A row named "text" with another type beside it: that type has no input function, so a column
 * of it could be created but never filled.
 */
#include "type_table.h"

#include <stddef.h>
#include <string.h>

#include "walmill/compiler.h"

static const struct wm_type_row rows[] = {
	{ 16, WM_TYPE_BOOL, "boolean", 0 },
	{ 17, WM_TYPE_BYTES, "bytea", 0 },
	{ 18, WM_TYPE_TEXT, "\"char\"", 0 },
	{ 19, WM_TYPE_TEXT, "name", 0 },
	{ 20, WM_TYPE_INT, "bigint", 0 },
	{ 21, WM_TYPE_INT, "smallint", 0 },
	{ 22, WM_TYPE_OTHER, "int2vector", 0 },
	{ 23, WM_TYPE_INT, "integer", 0 },
	{ 24, WM_TYPE_OTHER, "regproc", 0 },
	{ 25, WM_TYPE_TEXT, "text", 0 },
	{ 26, WM_TYPE_INT, "oid", 0 },
	{ 27, WM_TYPE_OTHER, "tid", 0 },
	{ 28, WM_TYPE_OTHER, "xid", 0 },
	{ 29, WM_TYPE_OTHER, "cid", 0 },
	{ 30, WM_TYPE_OTHER, "oidvector", 0 },
	{ 114, WM_TYPE_JSON, "json", 0 },
	{ 142, WM_TYPE_TEXT, "xml", 0 },
	{ 143, WM_TYPE_ARRAY, NULL, 142 },
	{ 194, WM_TYPE_OTHER, "text", 0 },	/* pg_node_tree */
	{ 199, WM_TYPE_ARRAY, NULL, 114 },
	{ 271, WM_TYPE_ARRAY, NULL, 5069 },
	{ 600, WM_TYPE_OTHER, "point", 0 },
	{ 601, WM_TYPE_OTHER, "lseg", 0 },
	{ 602, WM_TYPE_OTHER, "path", 0 },
	{ 603, WM_TYPE_OTHER, "box", 0 },
	{ 604, WM_TYPE_OTHER, "polygon", 0 },
	{ 628, WM_TYPE_OTHER, "line", 0 },
	{ 629, WM_TYPE_ARRAY, NULL, 628 },
	{ 650, WM_TYPE_OTHER, "cidr", 0 },
	{ 651, WM_TYPE_ARRAY, NULL, 650 },
	{ 700, WM_TYPE_FLOAT, "real", 0 },
	{ 701, WM_TYPE_FLOAT, "double precision", 0 },
	{ 718, WM_TYPE_OTHER, "circle", 0 },
	{ 719, WM_TYPE_ARRAY, NULL, 718 },
	{ 774, WM_TYPE_OTHER, "macaddr8", 0 },
	{ 775, WM_TYPE_ARRAY, NULL, 774 },
	{ 790, WM_TYPE_OTHER, "money", 0 },
	{ 791, WM_TYPE_ARRAY, NULL, 790 },
	{ 829, WM_TYPE_OTHER, "macaddr", 0 },
	{ 869, WM_TYPE_OTHER, "inet", 0 },
	{ 1000, WM_TYPE_ARRAY, NULL, 16 },
	{ 1001, WM_TYPE_ARRAY, NULL, 17 },
	{ 1002, WM_TYPE_ARRAY, NULL, 18 },
	{ 1003, WM_TYPE_ARRAY, NULL, 19 },
	{ 1005, WM_TYPE_ARRAY, NULL, 21 },
	{ 1006, WM_TYPE_ARRAY, NULL, 22 },
	{ 1007, WM_TYPE_ARRAY, NULL, 23 },
	{ 1008, WM_TYPE_ARRAY, NULL, 24 },
	{ 1009, WM_TYPE_ARRAY, NULL, 25 },
	{ 1010, WM_TYPE_ARRAY, NULL, 27 },
	{ 1011, WM_TYPE_ARRAY, NULL, 28 },
	{ 1012, WM_TYPE_ARRAY, NULL, 29 },
	{ 1013, WM_TYPE_ARRAY, NULL, 30 },
	{ 1014, WM_TYPE_ARRAY, NULL, 1042 },
	{ 1015, WM_TYPE_ARRAY, NULL, 1043 },
	{ 1016, WM_TYPE_ARRAY, NULL, 20 },
	{ 1017, WM_TYPE_ARRAY, NULL, 600 },
	{ 1018, WM_TYPE_ARRAY, NULL, 601 },
	{ 1019, WM_TYPE_ARRAY, NULL, 602 },
	{ 1020, WM_TYPE_ARRAY, NULL, 603 },
	{ 1021, WM_TYPE_ARRAY, NULL, 700 },
	{ 1022, WM_TYPE_ARRAY, NULL, 701 },
	{ 1027, WM_TYPE_ARRAY, NULL, 604 },
	{ 1028, WM_TYPE_ARRAY, NULL, 26 },
	{ 1033, WM_TYPE_OTHER, "aclitem", 0 },
	{ 1034, WM_TYPE_ARRAY, NULL, 1033 },
	{ 1040, WM_TYPE_ARRAY, NULL, 829 },
	{ 1041, WM_TYPE_ARRAY, NULL, 869 },
	{ 1042, WM_TYPE_TEXT, "bpchar", 0 },
	{ 1043, WM_TYPE_TEXT, "character varying", 0 },
	{ 1082, WM_TYPE_DATE, "date", 0 },
	{ 1083, WM_TYPE_TIME, "time without time zone", 0 },
	{ 1114, WM_TYPE_TIMESTAMP, "timestamp without time zone", 0 },
	{ 1115, WM_TYPE_ARRAY, NULL, 1114 },
	{ 1182, WM_TYPE_ARRAY, NULL, 1082 },
	{ 1183, WM_TYPE_ARRAY, NULL, 1083 },
	{ 1184, WM_TYPE_TIMESTAMPTZ, "timestamp with time zone", 0 },
	{ 1185, WM_TYPE_ARRAY, NULL, 1184 },
	{ 1186, WM_TYPE_INTERVAL, "interval", 0 },
	{ 1187, WM_TYPE_ARRAY, NULL, 1186 },
	{ 1231, WM_TYPE_ARRAY, NULL, 1700 },
	{ 1263, WM_TYPE_ARRAY, NULL, 2275 },
	{ 1266, WM_TYPE_TIMETZ, "time with time zone", 0 },
	{ 1270, WM_TYPE_ARRAY, NULL, 1266 },
	{ 1560, WM_TYPE_OTHER, "\"bit\"", 0 },
	{ 1561, WM_TYPE_ARRAY, NULL, 1560 },
	{ 1562, WM_TYPE_OTHER, "bit varying", 0 },
	{ 1563, WM_TYPE_ARRAY, NULL, 1562 },
	{ 1700, WM_TYPE_NUMERIC, "numeric", 0 },
	{ 1790, WM_TYPE_TEXT, "refcursor", 0 },
	{ 2201, WM_TYPE_ARRAY, NULL, 1790 },
	{ 2202, WM_TYPE_OTHER, "regprocedure", 0 },
	{ 2203, WM_TYPE_OTHER, "regoper", 0 },
	{ 2204, WM_TYPE_OTHER, "regoperator", 0 },
	{ 2205, WM_TYPE_OTHER, "regclass", 0 },
	{ 2206, WM_TYPE_OTHER, "regtype", 0 },
	{ 2207, WM_TYPE_ARRAY, NULL, 2202 },
	{ 2208, WM_TYPE_ARRAY, NULL, 2203 },
	{ 2209, WM_TYPE_ARRAY, NULL, 2204 },
	{ 2210, WM_TYPE_ARRAY, NULL, 2205 },
	{ 2211, WM_TYPE_ARRAY, NULL, 2206 },
	{ 2275, WM_TYPE_TEXT, "cstring", 0 },
	{ 2949, WM_TYPE_ARRAY, NULL, 2970 },
	{ 2950, WM_TYPE_UUID, "uuid", 0 },
	{ 2951, WM_TYPE_ARRAY, NULL, 2950 },
	{ 2970, WM_TYPE_OTHER, "txid_snapshot", 0 },
	{ 3220, WM_TYPE_OTHER, "pg_lsn", 0 },
	{ 3221, WM_TYPE_ARRAY, NULL, 3220 },
	{ 3361, WM_TYPE_OTHER, "text", 0 },	/* pg_ndistinct */
	{ 3402, WM_TYPE_OTHER, "text", 0 },	/* pg_dependencies */
	{ 3614, WM_TYPE_OTHER, "tsvector", 0 },
	{ 3615, WM_TYPE_OTHER, "tsquery", 0 },
	{ 3642, WM_TYPE_OTHER, "text", 0 },	/* gtsvector */
	{ 3643, WM_TYPE_ARRAY, NULL, 3614 },
	{ 3644, WM_TYPE_ARRAY, NULL, 3642 },
	{ 3645, WM_TYPE_ARRAY, NULL, 3615 },
	{ 3734, WM_TYPE_OTHER, "regconfig", 0 },
	{ 3735, WM_TYPE_ARRAY, NULL, 3734 },
	{ 3769, WM_TYPE_OTHER, "regdictionary", 0 },
	{ 3770, WM_TYPE_ARRAY, NULL, 3769 },
	{ 3802, WM_TYPE_JSON, "jsonb", 0 },
	{ 3807, WM_TYPE_ARRAY, NULL, 3802 },
	{ 3904, WM_TYPE_RANGE, "int4range", 0 },
	{ 3905, WM_TYPE_ARRAY, NULL, 3904 },
	{ 3906, WM_TYPE_RANGE, "numrange", 0 },
	{ 3907, WM_TYPE_ARRAY, NULL, 3906 },
	{ 3908, WM_TYPE_RANGE, "tsrange", 0 },
	{ 3909, WM_TYPE_ARRAY, NULL, 3908 },
	{ 3910, WM_TYPE_RANGE, "tstzrange", 0 },
	{ 3911, WM_TYPE_ARRAY, NULL, 3910 },
	{ 3912, WM_TYPE_RANGE, "daterange", 0 },
	{ 3913, WM_TYPE_ARRAY, NULL, 3912 },
	{ 3926, WM_TYPE_RANGE, "int8range", 0 },
	{ 3927, WM_TYPE_ARRAY, NULL, 3926 },
	{ 4072, WM_TYPE_OTHER, "jsonpath", 0 },
	{ 4073, WM_TYPE_ARRAY, NULL, 4072 },
	{ 4089, WM_TYPE_OTHER, "regnamespace", 0 },
	{ 4090, WM_TYPE_ARRAY, NULL, 4089 },
	{ 4096, WM_TYPE_OTHER, "regrole", 0 },
	{ 4097, WM_TYPE_ARRAY, NULL, 4096 },
	{ 4191, WM_TYPE_OTHER, "regcollation", 0 },
	{ 4192, WM_TYPE_ARRAY, NULL, 4191 },
	{ 4451, WM_TYPE_RANGE, "int4multirange", 0 },
	{ 4532, WM_TYPE_RANGE, "nummultirange", 0 },
	{ 4533, WM_TYPE_RANGE, "tsmultirange", 0 },
	{ 4534, WM_TYPE_RANGE, "tstzmultirange", 0 },
	{ 4535, WM_TYPE_RANGE, "datemultirange", 0 },
	{ 4536, WM_TYPE_RANGE, "int8multirange", 0 },
	{ 4600, WM_TYPE_OTHER, "text", 0 },	/* pg_brin_bloom_summary */
	{ 4601, WM_TYPE_OTHER, "text", 0 },	/* pg_brin_minmax_multi_summary */
	{ 5017, WM_TYPE_OTHER, "text", 0 },	/* pg_mcv_list */
	{ 5038, WM_TYPE_OTHER, "pg_snapshot", 0 },
	{ 5039, WM_TYPE_ARRAY, NULL, 5038 },
	{ 5069, WM_TYPE_OTHER, "xid8", 0 },
	{ 6150, WM_TYPE_ARRAY, NULL, 4451 },
	{ 6151, WM_TYPE_ARRAY, NULL, 4532 },
	{ 6152, WM_TYPE_ARRAY, NULL, 4533 },
	{ 6153, WM_TYPE_ARRAY, NULL, 4534 },
	{ 6155, WM_TYPE_ARRAY, NULL, 4535 },
	{ 6157, WM_TYPE_ARRAY, NULL, 4536 },
};

const struct wm_type_row *
wm_type_row(uint32_t oid)
{
	size_t low = 0, high = WM_ARRAY_SIZE(rows);

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (rows[middle].oid == oid)
			return &rows[middle];
		if (rows[middle].oid < oid)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const struct wm_type_row *
wm_type_row_named(const char *name)
{
	for (size_t i = 0; i < WM_ARRAY_SIZE(rows); i++) {
		if (rows[i].name != NULL && strcmp(rows[i].name, name) == 0)
			return &rows[i];
	}
	return NULL;
}

const struct wm_type_row *
wm_type_row_array(uint32_t element)
{
	for (size_t i = 0; i < WM_ARRAY_SIZE(rows); i++) {
		if (rows[i].element == element)
			return &rows[i];
	}
	return NULL;
}
