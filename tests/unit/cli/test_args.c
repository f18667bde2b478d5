/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_args.c - option tables: every kind of value, help, and what is said of mistakes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../../../src/cli/args.h"
#include "capture.h"
#include "walmill/clock.h"
#include "walmill/compiler.h"
#include "walmill/lsn.h"

struct values {
	const char		*config;
	bool			 json;
	struct wm_flag_list	 tables;
	int64_t			 limit;
	wm_usec			 timeout;
	wm_lsn			 lsn;
	int			 code, first;
	char			 out[4096], err[4096];
};

/* Parses words (NULL-terminated, the command first) with at most max arguments. */
static struct values
parse(int min, int max, const char *const *words)
{
	struct values v = { 0 };
	const struct wm_flag flags[] = {
		{ "config", 'c', WM_FLAG_TEXT, &v.config, "FILE", "configuration" },
		{ "json", 0, WM_FLAG_SWITCH, &v.json, NULL, "print JSON" },
		{ "table", 0, WM_FLAG_LIST, &v.tables, "GLOB", "tables" },
		{ "limit", 0, WM_FLAG_NUMBER, &v.limit, "N", "how many" },
		{ "timeout", 0, WM_FLAG_SECONDS, &v.timeout, "SECONDS", "how long" },
		{ "lsn", 0, WM_FLAG_LSN, &v.lsn, "LSN", "how far" },
		WM_FLAG_END,
	};
	const struct wm_usage usage = { "thing", max > 0 ? "RULE" : "", "Does a thing.", min, max };
	char *argv[16];
	int argc = 0;
	struct capture out = capture_begin(stdout), err = capture_begin(stderr);

	for (; words[argc] != NULL; argc++)
		argv[argc] = strdup(words[argc]);
	argv[argc] = NULL;
	v.code = wm_args_parse(&usage, flags, argc, argv, &v.first);
	capture_end(&err, v.err, sizeof(v.err));
	capture_end(&out, v.out, sizeof(v.out));
	/* What is borrowed from argv is compared by the caller through words of the same text. */
	for (int i = 0; i < argc; i++) {
		for (int k = 0; k < argc; k++)
			if (v.config == argv[i] && strcmp(words[k], argv[i]) == 0)
				v.config = words[k];
		for (size_t n = 0; n < v.tables.n; n++)
			for (int k = 0; k < argc; k++)
				if (v.tables.list[n] == argv[i] && strcmp(words[k], argv[i]) == 0)
					v.tables.list[n] = words[k];
		free(argv[i]);
	}
	return v;
}

#define PARSE(min, max, ...) parse(min, max, (const char *const[]){ "thing", __VA_ARGS__, NULL })

static void
every_kind_of_value_is_read(void **state)
{
	struct values v = PARSE(1, 1, "--config", "a.yaml", "--json", "--table", "x.*", "orders",
	    "--table", "!y.*", "--limit", "7", "--timeout", "1.5", "--lsn", "16/B374D848");

	(void)state;
	assert_int_equal(v.code, -1);
	assert_string_equal(v.err, "");
	assert_string_equal(v.config, "a.yaml");
	assert_true(v.json);
	assert_int_equal(v.tables.n, 2);
	assert_string_equal(v.tables.list[0], "x.*");
	assert_string_equal(v.tables.list[1], "!y.*");
	assert_int_equal(v.limit, 7);
	assert_int_equal(v.timeout, 1500000);
	assert_true(v.lsn == 0x16B374D848);
	/* Arguments come last, wherever they stood. */
	assert_int_equal(v.first, 14);
	free(v.tables.list);
}

static void
letters_work_in_both_forms(void **state)
{
	(void)state;
	assert_string_equal(PARSE(0, 0, "-c", "b.yaml").config, "b.yaml");
	assert_int_equal(PARSE(0, 0, "-cb.yaml").code, -1);
	assert_int_equal(PARSE(0, 0, "--config=b.yaml").code, -1);
}

static void
assert_mistake(const struct values *v, const char *text)
{
	assert_int_equal(v->code, 2);
	assert_string_equal(v->out, "");
	if (strncmp(v->err, text, strlen(text)) != 0)
		fail_msg("\"%s\" does not begin with \"%s\"", v->err, text);
	assert_non_null(strstr(v->err, "Try \"walmill thing --help\".\n"));
}

static void
mistakes_name_the_option_and_the_nearest(void **state)
{
	static const struct {
		const char	*words[4], *text;
	} cases[] = {
		{ { "thing", "--tabel", "x" }, "walmill thing: unknown option \"--tabel\" (did you mean \"--table\"?)\n" },
		{ { "thing", "--tabel=x" }, "walmill thing: unknown option \"--tabel\" (did you mean \"--table\"?)\n" },
		{ { "thing", "--zzzzzz" }, "walmill thing: unknown option \"--zzzzzz\"\n" },
		{ { "thing", "-x" }, "walmill thing: unknown option \"-x\"\n" },
		{ { "thing", "--limit" }, "walmill thing: option --limit needs a value: N\n" },
		{ { "thing", "-c" }, "walmill thing: option --config needs a value: FILE\n" },
		{ { "thing", "--json=yes" }, "walmill thing: option --json takes no value\n" },
		{ { "thing", "--limit", "many" }, "walmill thing: option --limit: \"many\" is not a whole number\n" },
		{ { "thing", "--limit", "-1" }, "walmill thing: option --limit: \"-1\" is not a whole number\n" },
		{ { "thing", "--timeout", "1s" }, "walmill thing: option --timeout: \"1s\" is not a number of seconds\n" },
		{ { "thing", "--timeout", "1e9" }, "walmill thing: option --timeout: \"1e9\" is not a number" },
		{ { "thing", "--lsn", "x" }, "walmill thing: option --lsn: \"x\" is not a position such as 16/B374D848\n" },
		{ { "thing", "--config", "" }, "walmill thing: option --config: \"\" is not something\n" },
		{ { "thing", "orders" }, "walmill thing: unexpected argument \"orders\"\n" },
	};

	(void)state;
	for (size_t i = 0; i < WM_ARRAY_SIZE(cases); i++) {
		struct values v = parse(0, 0, cases[i].words);

		assert_mistake(&v, cases[i].text);
		free(v.tables.list);
	}
}

static void
missing_arguments_are_named(void **state)
{
	struct values v = PARSE(1, 1, "--json");

	(void)state;
	assert_mistake(&v, "walmill thing: RULE is missing\n");
}

static void
help_goes_to_stdout(void **state)
{
	struct values v = PARSE(1, 1, "--help");

	(void)state;
	assert_int_equal(v.code, 0);
	assert_string_equal(v.err, "");
	assert_non_null(strstr(v.out, "Usage: walmill thing [OPTION]... RULE\n\nDoes a thing.\n"));
	assert_non_null(strstr(v.out, "  -c, --config FILE"));
	assert_non_null(strstr(v.out, "      --table GLOB"));
	assert_non_null(strstr(v.out, "  -h, --help "));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_value_is_read),
		cmocka_unit_test(letters_work_in_both_forms),
		cmocka_unit_test(mistakes_name_the_option_and_the_nearest),
		cmocka_unit_test(missing_arguments_are_named),
		cmocka_unit_test(help_goes_to_stdout),
	};

	return cmocka_run_group_tests_name("cli_args", tests, NULL, NULL);
}
