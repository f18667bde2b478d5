/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_type.c - built-in types by OID and by name; expectations are what PostgreSQL 15 said.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "walmill/compiler.h"
#include "walmill/type.h"

struct named {
	uint32_t	 oid;
	int32_t		 typmod;
	const char	*name;
};

/* atttypid, atttypmod and format_type of both, for columns of a table. */
static const struct named columns[] = {
	{ 1700, 655366, "numeric(10,2)" },
	{ 1700, 329730, "numeric(5,-2)" },
	{ 1700, 65537004, "numeric(1000,1000)" },
	{ 1700, 196617, "numeric(3,5)" },
	{ 1700, 458756, "numeric(7,0)" },
	{ 1700, -1, "numeric" },
	{ 1231, 655366, "numeric(10,2)[]" },
	{ 1700, 65537052, "numeric(1000,-1000)" },
	{ 1043, 5, "character varying(1)" },
	{ 1043, 10485764, "character varying(10485760)" },
	{ 1043, -1, "character varying" },
	{ 1015, 14, "character varying(10)[]" },
	{ 1042, 5, "character(1)" },
	{ 1042, 11, "character(7)" },
	{ 1042, -1, "bpchar" },
	{ 1014, 7, "character(3)[]" },
	{ 18, -1, "\"char\"" },
	{ 1560, 1, "bit(1)" },
	{ 1560, 5, "bit(5)" },
	{ 1562, -1, "bit varying" },
	{ 1562, 9, "bit varying(9)" },
	{ 1561, 2, "bit(2)[]" },
	{ 1563, 3, "bit varying(3)[]" },
	{ 1560, -1, "\"bit\"" },
	{ 1114, -1, "timestamp without time zone" },
	{ 1114, 0, "timestamp(0) without time zone" },
	{ 1184, -1, "timestamp with time zone" },
	{ 1184, 3, "timestamp(3) with time zone" },
	{ 1083, -1, "time without time zone" },
	{ 1083, 6, "time(6) without time zone" },
	{ 1266, -1, "time with time zone" },
	{ 1266, 1, "time(1) with time zone" },
	{ 1185, 3, "timestamp(3) with time zone[]" },
	{ 1115, 2, "timestamp(2) without time zone[]" },
	{ 1183, 4, "time(4) without time zone[]" },
	{ 1270, 2, "time(2) with time zone[]" },
	{ 1186, -1, "interval" },
	{ 1186, 327679, "interval year" },
	{ 1186, 196607, "interval month" },
	{ 1186, 589823, "interval day" },
	{ 1186, 67174399, "interval hour" },
	{ 1186, 134283263, "interval minute" },
	{ 1186, 268500991, "interval second" },
	{ 1186, 458751, "interval year to month" },
	{ 1186, 67698687, "interval day to hour" },
	{ 1186, 201916415, "interval day to minute" },
	{ 1186, 470351871, "interval day to second" },
	{ 1186, 201392127, "interval hour to minute" },
	{ 1186, 469827583, "interval hour to second" },
	{ 1186, 402718719, "interval minute to second" },
	{ 1186, 2147418112, "interval(0)" },
	{ 1186, 268435459, "interval second(3)" },
	{ 1186, 470286342, "interval day to second(6)" },
	{ 1187, 2147418114, "interval(2)[]" },
	{ 1187, 469762049, "interval hour to second(1)[]" },
	{ 23, -1, "integer" },
	{ 1007, -1, "integer[]" },
	{ 1009, -1, "text[]" },
	{ 3807, -1, "jsonb[]" },
	{ 1020, -1, "box[]" },
	{ 3905, -1, "int4range[]" },
	{ 4451, -1, "int4multirange" },
	{ 1002, -1, "\"char\"[]" },
	{ 1014, -1, "bpchar[]" },
};

static void
names_are_those_of_format_type(void **unused WM_UNUSED)
{
	for (size_t i = 0; i < WM_ARRAY_SIZE(columns); i++) {
		struct wm_type type;

		assert_true(wm_type_builtin(columns[i].oid, columns[i].typmod, &type));
		assert_string_equal(type.name, columns[i].name);
		assert_int_equal(type.oid, columns[i].oid);
		assert_int_equal(type.typmod, columns[i].typmod);
		assert_true(type.builtin);
	}
}

/* A stream may bring any number; those that say nothing do not show. */
static void
negative_typmods_are_none(void **unused WM_UNUSED)
{
	for (size_t i = 0; i < WM_ARRAY_SIZE(columns); i++) {
		struct wm_type type, plain;

		assert_true(wm_type_builtin(columns[i].oid, -1, &plain));
		assert_true(wm_type_builtin(columns[i].oid, INT32_MIN, &type));
		assert_string_equal(type.name, plain.name);
		assert_int_equal(type.typmod, INT32_MIN);
	}
}

/* The way back: what the server calls a type is understood as that type. */
static void
names_of_format_type_are_understood(void **unused WM_UNUSED)
{
	for (size_t i = 0; i < WM_ARRAY_SIZE(columns); i++) {
		struct wm_type type, direct;

		wm_type_named(columns[i].name, &type);
		assert_true(wm_type_builtin(columns[i].oid, columns[i].typmod, &direct));
		assert_string_equal(type.name, columns[i].name);
		assert_int_equal(type.oid, columns[i].oid);
		assert_int_equal(type.typmod, columns[i].typmod);
		assert_int_equal(type.class, direct.class);
		assert_true(type.builtin);
	}
}

static void
every_real_type_is_there(void **unused WM_UNUSED)
{
	/* pg_type with oid < 10000 and typtype b, r or m, but for arrays of composites. */
	static const uint32_t oids[] = {
		16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 114, 142, 143, 194,
		199, 271, 600, 601, 602, 603, 604, 628, 629, 650, 651, 700, 701, 718, 719, 774,
		775, 790, 791, 829, 869, 1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009,
		1010, 1011, 1012, 1013, 1014, 1015, 1016, 1017, 1018, 1019, 1020, 1021, 1022,
		1027, 1028, 1033, 1034, 1040, 1041, 1042, 1043, 1082, 1083, 1114, 1115, 1182,
		1183, 1184, 1185, 1186, 1187, 1231, 1263, 1266, 1270, 1560, 1561, 1562, 1563,
		1700, 1790, 2201, 2202, 2203, 2204, 2205, 2206, 2207, 2208, 2209, 2210, 2211,
		2949, 2950, 2951, 2970, 3220, 3221, 3361, 3402, 3614, 3615, 3642, 3643, 3644,
		3645, 3734, 3735, 3769, 3770, 3802, 3807, 3904, 3905, 3906, 3907, 3908, 3909,
		3910, 3911, 3912, 3913, 3926, 3927, 4072, 4073, 4089, 4090, 4096, 4097, 4191,
		4192, 4451, 4532, 4533, 4534, 4535, 4536, 4600, 4601, 5017, 5038, 5039, 5069,
		6150, 6151, 6152, 6153, 6155, 6157,
	};
	struct wm_type type;

	for (size_t i = 0; i < WM_ARRAY_SIZE(oids); i++) {
		if (!wm_type_builtin(oids[i], -1, &type))
			fail_msg("type %u is missing", oids[i]);
		assert_true(type.class > WM_TYPE_UNKNOWN && type.class < WM_TYPE_DYNAMIC);
		assert_true(strlen(type.name) > 0);
	}
}

static void
others_are_not_built_in(void **unused WM_UNUSED)
{
	/* none, before the first, pg_type's own row type, "any", between, user-defined */
	static const uint32_t oids[] = { 0, 1, 71, 2276, 6156, 9999, 16384, UINT32_MAX };
	struct wm_type type = { .oid = 42 };

	for (size_t i = 0; i < WM_ARRAY_SIZE(oids); i++)
		assert_false(wm_type_builtin(oids[i], -1, &type));
	assert_int_equal(type.oid, 42);
}

static void
classes_say_what_the_text_is(void **unused WM_UNUSED)
{
	static const struct {
		uint32_t		oid;
		enum wm_type_class	class;
	} cases[] = {
		{ 16, WM_TYPE_BOOL }, { 20, WM_TYPE_INT }, { 21, WM_TYPE_INT }, { 23, WM_TYPE_INT },
		{ 26, WM_TYPE_INT }, { 700, WM_TYPE_FLOAT }, { 701, WM_TYPE_FLOAT },
		{ 1700, WM_TYPE_NUMERIC }, { 25, WM_TYPE_TEXT }, { 18, WM_TYPE_TEXT },
		{ 19, WM_TYPE_TEXT }, { 1042, WM_TYPE_TEXT }, { 1043, WM_TYPE_TEXT },
		{ 142, WM_TYPE_TEXT }, { 17, WM_TYPE_BYTES }, { 1082, WM_TYPE_DATE },
		{ 1083, WM_TYPE_TIME }, { 1266, WM_TYPE_TIMETZ }, { 1114, WM_TYPE_TIMESTAMP },
		{ 1184, WM_TYPE_TIMESTAMPTZ }, { 1186, WM_TYPE_INTERVAL }, { 2950, WM_TYPE_UUID },
		{ 114, WM_TYPE_JSON }, { 3802, WM_TYPE_JSON }, { 1007, WM_TYPE_ARRAY },
		{ 3807, WM_TYPE_ARRAY }, { 3905, WM_TYPE_ARRAY }, { 3904, WM_TYPE_RANGE },
		{ 4532, WM_TYPE_RANGE }, { 869, WM_TYPE_OTHER }, { 790, WM_TYPE_OTHER },
		{ 1560, WM_TYPE_OTHER }, { 600, WM_TYPE_OTHER }, { 3614, WM_TYPE_OTHER },
		/* Their text is "1 2", not "{1,2}"; and xid8 does not fit 63 bits. */
		{ 22, WM_TYPE_OTHER }, { 30, WM_TYPE_OTHER }, { 5069, WM_TYPE_OTHER },
	};
	struct wm_type type;

	for (size_t i = 0; i < WM_ARRAY_SIZE(cases); i++) {
		assert_true(wm_type_builtin(cases[i].oid, -1, &type));
		if (type.class != cases[i].class)
			fail_msg("%s is %s", type.name, wm_type_class_name(type.class));
	}
}

/* A column of such a type could be created at a target, but no value is ever accepted. */
static void
types_without_input_become_text(void **unused WM_UNUSED)
{
	struct wm_type type;

	assert_true(wm_type_builtin(194, -1, &type));	/* pg_node_tree */
	assert_string_equal(type.name, "text");
	assert_true(wm_type_builtin(3644, -1, &type));	/* gtsvector[] */
	assert_string_equal(type.name, "text[]");
}

static void
numeric_precision_and_scale(void **unused WM_UNUSED)
{
	int precision = 0, scale = 0;

	assert_true(wm_type_numeric_precision(655366, &precision, &scale));
	assert_int_equal(precision, 10);
	assert_int_equal(scale, 2);
	assert_true(wm_type_numeric_precision(329730, &precision, &scale));
	assert_int_equal(precision, 5);
	assert_int_equal(scale, -2);
	assert_true(wm_type_numeric_precision(65537052, &precision, &scale));
	assert_int_equal(precision, 1000);
	assert_int_equal(scale, -1000);
	assert_true(wm_type_numeric_precision(65537004, &precision, &scale));
	assert_int_equal(scale, 1000);
	precision = 42;
	assert_false(wm_type_numeric_precision(-1, &precision, &scale));
	assert_false(wm_type_numeric_precision(0, &precision, &scale));
	assert_false(wm_type_numeric_precision(INT32_MIN, &precision, &scale));
	assert_int_equal(precision, 42);
}

static void
common_sql_names(void **unused WM_UNUSED)
{
	static const struct {
		const char	*given, *name;
		uint32_t	 oid;
	} cases[] = {
		{ "int", "integer", 23 },
		{ "INT4", "integer", 23 },
		{ "int8", "bigint", 20 },
		{ "int2", "smallint", 21 },
		{ "decimal", "numeric", 1700 },
		{ "decimal(10, 2)", "numeric(10,2)", 1700 },
		{ "NUMERIC (7)", "numeric(7,0)", 1700 },
		{ "numeric(5,-2)", "numeric(5,-2)", 1700 },
		{ "float", "double precision", 701 },
		{ "float(24)", "real", 700 },
		{ "float(25)", "double precision", 701 },
		{ "float4", "real", 700 },
		{ "double", "double precision", 701 },
		{ "double  precision", "double precision", 701 },
		{ " text ", "text", 25 },
		{ "varchar(20)", "character varying(20)", 1043 },
		{ "char", "character(1)", 1042 },
		{ "char(3)", "character(3)", 1042 },
		{ "character varying ( 5 )", "character varying(5)", 1043 },
		{ "\"char\"", "\"char\"", 18 },
		{ "bool", "boolean", 16 },
		{ "blob", "bytea", 17 },
		{ "bit", "bit(1)", 1560 },
		{ "varbit(9)", "bit varying(9)", 1562 },
		{ "timestamp", "timestamp without time zone", 1114 },
		{ "Timestamp(3) With Time Zone", "timestamp(3) with time zone", 1184 },
		{ "timestamptz(3)", "timestamp(3) with time zone", 1184 },
		{ "time", "time without time zone", 1083 },
		{ "timetz", "time with time zone", 1266 },
		{ "interval second (3)", "interval second(3)", 1186 },
		{ "interval(2)", "interval(2)", 1186 },
		{ "pg_catalog.int4", "integer", 23 },
		{ "int[]", "integer[]", 1007 },
		{ "int[3][3]", "integer[]", 1007 },
		{ "varchar(10)[]", "character varying(10)[]", 1015 },
		{ "jsonb", "jsonb", 3802 },
		{ "uuid []", "uuid[]", 2951 },
	};

	for (size_t i = 0; i < WM_ARRAY_SIZE(cases); i++) {
		struct wm_type type;

		wm_type_named(cases[i].given, &type);
		if (type.oid != cases[i].oid || strcmp(type.name, cases[i].name) != 0)
			fail_msg("\"%s\" was understood as %s (%u)", cases[i].given, type.name,
			    type.oid);
		assert_true(type.builtin);
	}
}

static void
other_names_are_kept(void **unused WM_UNUSED)
{
	static const struct {
		const char		*given, *kept;
		enum wm_type_class	 class;
	} cases[] = {
		{ "geometry(Point,4326)", "geometry(Point,4326)", WM_TYPE_OTHER },
		{ " \"My Type\" ", "\"My Type\"", WM_TYPE_OTHER },
		{ "LowCardinality(String)", "LowCardinality(String)", WM_TYPE_OTHER },
		{ "mood[]", "mood[]", WM_TYPE_ARRAY },
		{ "", "", WM_TYPE_OTHER },
		{ "intervals", "intervals", WM_TYPE_OTHER },
		{ "text)", "text)", WM_TYPE_OTHER },
		{ "(3)", "(3)", WM_TYPE_OTHER },
		{ "numeric(1", "numeric(1", WM_TYPE_OTHER },
		{ "numeric(1,2,3)", "numeric(1,2,3)", WM_TYPE_OTHER },
		{ "varchar(99999999999)", "varchar(99999999999)", WM_TYPE_OTHER },
		{ "\"text", "\"text", WM_TYPE_OTHER },
		{ "int[] x", "int[] x", WM_TYPE_OTHER },
		/* The base is known, its arguments are not taken: the target will say so. */
		{ "numeric(1001)", "numeric(1001)", WM_TYPE_NUMERIC },
		{ "numeric(5,1001)", "numeric(5,1001)", WM_TYPE_NUMERIC },
		{ "varchar(0)", "varchar(0)", WM_TYPE_TEXT },
		{ "text(5)", "text(5)", WM_TYPE_TEXT },
		{ "timestamp(7)", "timestamp(7)", WM_TYPE_TIMESTAMP },
		{ "interval year(3)", "interval year(3)", WM_TYPE_INTERVAL },
		{ "interval second to day", "interval second to day", WM_TYPE_INTERVAL },
		{ "float(54)", "float(54)", WM_TYPE_FLOAT },
	};

	for (size_t i = 0; i < WM_ARRAY_SIZE(cases); i++) {
		struct wm_type type;

		wm_type_named(cases[i].given, &type);
		assert_string_equal(type.name, cases[i].kept);
		if (type.class != cases[i].class)
			fail_msg("\"%s\" is %s", cases[i].given, wm_type_class_name(type.class));
		assert_int_equal(type.oid, 0);
		assert_int_equal(type.typmod, -1);
		assert_false(type.builtin);
	}
}

static void
endless_name_is_cut(void **unused WM_UNUSED)
{
	struct wm_type type;
	char name[400];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	wm_type_named(name, &type);
	assert_int_equal(type.class, WM_TYPE_OTHER);
	assert_int_equal(strlen(type.name), WM_TYPE_NAMELEN - 1);
}

static void
classes_have_names(void **unused WM_UNUSED)
{
	assert_string_equal(wm_type_class_name(WM_TYPE_UNKNOWN), "unknown");
	assert_string_equal(wm_type_class_name(WM_TYPE_TIMESTAMPTZ), "timestamptz");
	assert_string_equal(wm_type_class_name(WM_TYPE_DYNAMIC), "dynamic");
	for (int c = WM_TYPE_UNKNOWN; c <= WM_TYPE_DYNAMIC; c++)
		assert_non_null(wm_type_class_name((enum wm_type_class)c));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_those_of_format_type),
		cmocka_unit_test(negative_typmods_are_none),
		cmocka_unit_test(names_of_format_type_are_understood),
		cmocka_unit_test(every_real_type_is_there),
		cmocka_unit_test(others_are_not_built_in),
		cmocka_unit_test(classes_say_what_the_text_is),
		cmocka_unit_test(types_without_input_become_text),
		cmocka_unit_test(numeric_precision_and_scale),
		cmocka_unit_test(common_sql_names),
		cmocka_unit_test(other_names_are_kept),
		cmocka_unit_test(endless_name_is_cut),
		cmocka_unit_test(classes_have_names),
	};

	return cmocka_run_group_tests_name("type", tests, NULL, NULL);
}
