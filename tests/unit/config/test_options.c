/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_options.c - option tables: every kind, its default, its bounds and its errors.
 */
#include "walmill/config.h"

#include "expect.h"

enum colour { RED, GREEN };

struct thing {
	char		*name, *key, *path;
	bool		 on;
	int64_t		 workers, wait;
	uint64_t	 room;
	enum colour	 colour;
};

static const char *const colours[] = { "red", "green", NULL };

static const struct wm_option options[] = {
	{ .name = "name", .kind = WM_OPT_STRING, .offset = offsetof(struct thing, name), .required = true,
	    .help = "what it is called" },
	{ .name = "key", .kind = WM_OPT_SECRET, .offset = offsetof(struct thing, key) },
	{ .name = "path", .kind = WM_OPT_PATH, .offset = offsetof(struct thing, path), .fallback = "here" },
	{ .name = "on", .kind = WM_OPT_BOOL, .offset = offsetof(struct thing, on), .fallback = "true" },
	{ .name = "workers", .kind = WM_OPT_INT, .offset = offsetof(struct thing, workers), .fallback = "4",
	    .min = 1, .max = 64 },
	{ .name = "wait", .kind = WM_OPT_DURATION, .offset = offsetof(struct thing, wait), .fallback = "100ms",
	    .min = 1000, .max = 3600 * 1000000ll },
	{ .name = "room", .kind = WM_OPT_SIZE, .offset = offsetof(struct thing, room), .fallback = "8MiB",
	    .min = 1536, .max = INT64_MAX },
	{ .name = "colour", .kind = WM_OPT_ENUM, .offset = offsetof(struct thing, colour), .fallback = "green",
	    .words = colours },
	{ 0 },
};

static void
fill(const char *text, const char *const *also, struct thing *thing, const char *expected)
{
	struct wm_diags d = { 0 };
	struct wm_document *doc = wm_document_parse("/etc/t.yaml", text, strlen(text), &d);

	assert_non_null(doc);
	wm_options_fill(options, wm_document_root(doc), "thing \"t\"", also, thing, &d);
	wm_document_free(doc);
	expect_diags(&d, expected);
}

static void
refused(const char *text, const char *expected)
{
	struct thing thing = { 0 };

	fill(text, NULL, &thing, expected);
	wm_options_free(options, &thing);
	assert_null(thing.name);
}

static void
values_and_defaults(void **state WM_UNUSED)
{
	struct thing t = { 0 };

	fill("{name: n}\n", NULL, &t, "");
	assert_string_equal(t.name, "n");
	assert_null(t.key);
	assert_string_equal(t.path, "/etc/here");
	assert_true(t.on);
	assert_int_equal(t.workers, 4);
	assert_int_equal(t.wait, 100000);
	assert_int_equal(t.room, 8 << 20);
	assert_int_equal(t.colour, GREEN);
	fill(
	    "{name: 5, key: kkkk, path: a/b, on: off, workers: 64, wait: 1h, room: 2KiB, colour: red}\n",
	    NULL, &t, "");
	assert_string_equal(t.name, "5");
	assert_string_equal(t.key, "kkkk");
	assert_string_equal(t.path, "/etc/a/b");
	assert_false(t.on);
	assert_int_equal(t.workers, 64);
	assert_int_equal(t.wait, 3600 * 1000000ll);
	assert_int_equal(t.room, 2048);
	assert_int_equal(t.colour, RED);
	fill("{name: n, path: /abs, on: Yes}\n", NULL, &t, "");
	assert_string_equal(t.path, "/abs");
	assert_true(t.on);
	wm_options_free(options, &t);
}

static void
every_wrong_value_is_reported(void **state WM_UNUSED)
{
	refused("name: ''\n"
	    "key: ''\n"
	    "path: ''\n"
	    "on: maybe\n"
	    "workers: 65\n"
	    "wait: 5\n"
	    "room: 1KiB\n"
	    "colour: gren\n",
	    "/etc/t.yaml:1:7: \"name\" in thing \"t\" must not be empty\n"
	    "/etc/t.yaml:2:6: \"key\" in thing \"t\" must not be empty\n"
	    "/etc/t.yaml:3:7: \"path\" in thing \"t\" must not be empty\n"
	    "/etc/t.yaml:4:5: \"on\" in thing \"t\" must be true or false, not \"maybe\"\n"
	    "/etc/t.yaml:5:10: \"workers\" in thing \"t\" must be a whole number from 1 to 64, not \"65\"\n"
	    "/etc/t.yaml:6:7: \"wait\" in thing \"t\" must be a duration such as 100ms, 5s, 10min, 2h or 1d, "
	    "from 1ms to 1h, not \"5\"\n"
	    "/etc/t.yaml:7:7: \"room\" in thing \"t\" must be a size such as 512KiB, 8MiB or 10GiB, "
	    "of at least 1536 bytes, not \"1KiB\"\n"
	    "/etc/t.yaml:8:9: \"colour\" in thing \"t\" must be one of red, green, not \"gren\" "
	    "(did you mean \"green\"?)\n");
}

static void
a_refused_value_leaves_the_default(void **state WM_UNUSED)
{
	struct thing t = { 0 };

	fill("{name: n, workers: x}\n", NULL, &t,
	    "/etc/t.yaml:1:20: \"workers\" in thing \"t\" must be a whole number from 1 to 64, not \"x\"\n");
	assert_int_equal(t.workers, 4);
	wm_options_free(options, &t);
}

static void
wrong_types_and_missing_values(void **state WM_UNUSED)
{
	refused("name: [a]\non: {a: b}\nworkers:\nkey: ~\n",
	    "/etc/t.yaml:1:7: \"name\" in thing \"t\" must be a text, not a list\n"
	    "/etc/t.yaml:4:1: \"key\" in thing \"t\" has no value: give one or leave the key out\n"
	    "/etc/t.yaml:2:5: \"on\" in thing \"t\" must be true or false, not a map\n"
	    "/etc/t.yaml:3:1: \"workers\" in thing \"t\" has no value: give one or leave the key out\n");
	refused("{on: true}\n", "/etc/t.yaml:1:1: thing \"t\" lacks \"name\" (what it is called)\n");
	refused("~\n", "/etc/t.yaml:1:1: thing \"t\" lacks \"name\" (what it is called)\n");
	refused("[a]\n", "/etc/t.yaml:1:1: thing \"t\" must be a map of options, not a list\n");
	refused("a\n", "/etc/t.yaml:1:1: thing \"t\" must be a map of options, not a text\n");
}

static void
unknown_keys(void **state WM_UNUSED)
{
	static const char *const also[] = { "columns", NULL };
	struct thing t = { 0 };

	fill("name: n\ncolums: 1\ncolumns: 1\n  \nworker: 1\nxyz: 1\n", also, &t,
	    "/etc/t.yaml:2:1: unknown key \"colums\" in thing \"t\" (did you mean \"columns\"?)\n"
	    "/etc/t.yaml:5:1: unknown key \"worker\" in thing \"t\" (did you mean \"workers\"?)\n"
	    "/etc/t.yaml:6:1: unknown key \"xyz\" in thing \"t\" (known keys: name, key, path, on, workers, wait, room, "
	    "colour, columns)\n");
	wm_options_free(options, &t);
}

static void
a_secret_is_not_repeated(void **state WM_UNUSED)
{
	setenv("WM_TEST_TINY", "abc", 1);
	refused("{name: n, workers: \"${env:WM_TEST_TINY}\", colour: \"${env:WM_TEST_TINY}\"}\n",
	    "/etc/t.yaml:1:20: \"workers\" in thing \"t\" must be a whole number from 1 to 64\n"
	    "/etc/t.yaml:1:51: \"colour\" in thing \"t\" must be one of red, green\n");
	unsetenv("WM_TEST_TINY");
}

static void
without_a_map_there_are_defaults(void **state)
{
	struct thing t = { 0 };
	struct wm_diags d = { 0 };
	char expected[1000];

	wm_options_fill(options, NULL, "thing", NULL, &t, &d);
	assert_int_equal(t.workers, 4);
	snprintf(expected, sizeof(expected), "%s/here", (char *)*state);
	assert_string_equal(t.path, expected);
	expect_diags(&d, "(no place): thing lacks \"name\" (what it is called)\n");
	wm_options_free(options, &t);
}

static void
one_option_from_a_text(void **state)
{
	struct thing t = { 0 };
	struct wm_error err;
	char expected[1000];

	assert_int_equal(wm_option_set(&options[2], "a.db", &t, &err), WM_OK);
	snprintf(expected, sizeof(expected), "%s/a.db", (char *)*state);
	assert_string_equal(t.path, expected);
	assert_int_equal(wm_option_set(&options[2], "./b.db", &t, &err), WM_OK);
	snprintf(expected, sizeof(expected), "%s/b.db", (char *)*state);
	assert_string_equal(t.path, expected);
	assert_int_equal(wm_option_set(&options[4], "9", &t, &err), WM_OK);
	assert_int_equal(t.workers, 9);
	assert_int_equal(wm_option_set(&options[4], "0", &t, &err), WM_FATAL);
	assert_string_equal(err.text, "\"workers\" must be a whole number from 1 to 64, not \"0\"");
	assert_int_equal(t.workers, 9);
	assert_int_equal(wm_option_set(&options[2], "", &t, &err), WM_FATAL);
	assert_string_equal(err.text, "\"path\" must not be empty");
	wm_options_free(options, &t);
}

static void
a_copy_owns_its_strings(void **state WM_UNUSED)
{
	struct thing a = { 0 }, b = { 0 };

	fill("{name: n, workers: 7, colour: red, room: 1TiB, on: no}\n", NULL, &a, "");
	fill("{name: old, key: kkkk}\n", NULL, &b, "");
	assert_int_equal(wm_options_copy(options, &a, &b, NULL), WM_OK);
	assert_ptr_not_equal(a.name, b.name);
	wm_options_free(options, &a);
	assert_string_equal(b.name, "n");
	assert_null(b.key);
	assert_int_equal(b.workers, 7);
	assert_int_equal(b.colour, RED);
	assert_int_equal(b.room, 1ll << 40);
	assert_false(b.on);
	wm_options_free(options, &b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_and_defaults),
		cmocka_unit_test(every_wrong_value_is_reported),
		cmocka_unit_test(a_refused_value_leaves_the_default),
		cmocka_unit_test(wrong_types_and_missing_values),
		cmocka_unit_test(unknown_keys),
		cmocka_unit_test(a_secret_is_not_repeated),
		cmocka_unit_test_setup_teardown(without_a_map_there_are_defaults, enter_folder, leave_folder),
		cmocka_unit_test_setup_teardown(one_option_from_a_text, enter_folder, leave_folder),
		cmocka_unit_test(a_copy_owns_its_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
