/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_yaml.c - YAML documents: marks, values, and everything that is refused.
 */
#include "walmill/config.h"

#include "expect.h"

static struct wm_document *
parse(const char *text, struct wm_diags *d)
{
	return wm_document_parse("t.yaml", text, strlen(text), d);
}

static void
refused(const char *text, const char *expected)
{
	struct wm_diags d = { 0 };

	assert_null(parse(text, &d));
	assert_int_not_equal(d.errors, 0);
	expect_diags(&d, expected);
}

static struct wm_document *
accepted(const char *text)
{
	struct wm_diags d = { 0 };
	struct wm_document *doc = parse(text, &d);

	expect_diags(&d, "");
	assert_non_null(doc);
	return doc;
}

static void
assert_mark(struct wm_mark mark, unsigned line, unsigned column)
{
	assert_string_equal(mark.file, "t.yaml");
	assert_int_equal(mark.line, line);
	assert_int_equal(mark.column, column);
}

static void
every_value_keeps_its_place(void **state WM_UNUSED)
{
	struct wm_document *doc = accepted("# comment\na: 1\nb:\n  - x\n  - {c: 'd'}\n");
	const struct wm_node *root = wm_document_root(doc), *list = wm_node_get(root, "b"), *inner;

	assert_int_equal(root->kind, WM_NODE_MAP);
	assert_int_equal(root->n, 2);
	assert_mark(root->mark, 2, 1);
	assert_mark(wm_node_get(root, "a")->mark, 2, 4);
	assert_string_equal(wm_node_get(root, "a")->text, "1");
	assert_string_equal(root->pairs[1].key, "b");
	assert_mark(root->pairs[1].mark, 3, 1);
	assert_int_equal(list->kind, WM_NODE_LIST);
	assert_int_equal(list->n, 2);
	assert_mark(list->items[0]->mark, 4, 5);
	inner = wm_node_get(list->items[1], "c");
	assert_mark(list->items[1]->mark, 5, 5);
	assert_mark(inner->mark, 5, 9);
	assert_string_equal(inner->text, "d");
	wm_document_free(doc);
}

static void
columns_count_characters(void **state WM_UNUSED)
{
	struct wm_document *doc = accepted("{\"\xc3\xa4\xe2\x82\xac\": x, b: y}\n");

	assert_mark(wm_node_get(wm_document_root(doc), "b")->mark, 1, 14);
	wm_document_free(doc);
}

static void
a_missing_value_stands_at_its_key(void **state WM_UNUSED)
{
	struct wm_document *doc = accepted("a:\n\n\nb: 1\n");

	assert_mark(wm_node_get(wm_document_root(doc), "a")->mark, 1, 1);
	wm_document_free(doc);
}

static void
quotes_decide_what_is_plain(void **state WM_UNUSED)
{
	struct wm_document *doc = accepted("- null\n- ~\n-\n- NULL\n- 'null'\n- \"\"\n- |\n  null\n- nil\n- {}\n");
	const struct wm_node *list = wm_document_root(doc);

	assert_int_equal(list->n, 9);
	for (size_t i = 0; i < list->n; i++)
		assert_int_equal(wm_node_is_null(list->items[i]), i < 4);
	assert_true(list->items[0]->plain);
	assert_false(list->items[4]->plain);
	wm_document_free(doc);
}

static void
get_finds_nothing_in_what_is_no_map(void **state WM_UNUSED)
{
	struct wm_document *doc = accepted("[a]\n");

	assert_null(wm_node_get(wm_document_root(doc), "a"));
	assert_null(wm_node_get(NULL, "a"));
	wm_document_free(doc);
}

static void
an_empty_file_has_no_root(void **state WM_UNUSED)
{
	struct wm_document *doc = accepted("# nothing\n");

	assert_null(wm_document_root(doc));
	wm_document_free(doc);
}

static void
aliases_repeat_a_value(void **state WM_UNUSED)
{
	struct wm_document *doc = accepted("a: &x {k: [1, 2]}\nb: *x\n");
	const struct wm_node *b = wm_node_get(wm_document_root(doc), "b");

	assert_int_equal(wm_node_get(b, "k")->n, 2);
	assert_string_equal(wm_node_get(b, "k")->items[1]->text, "2");
	wm_document_free(doc);
}

/* Unquoted, an exclusion is YAML for a tag. */
static void
an_exclusion_needs_no_quotes(void **state WM_UNUSED)
{
	struct wm_document *doc = accepted("table:\n  - public.*\n  - !public.tmp_*\nb: [!x, y]\n");
	const struct wm_node *list = wm_node_get(wm_document_root(doc), "table");

	assert_string_equal(list->items[1]->text, "!public.tmp_*");
	assert_false(wm_node_is_null(list->items[1]));
	assert_string_equal(wm_node_get(wm_document_root(doc), "b")->items[0]->text, "!x");
	wm_document_free(doc);
}

static void
standard_tags_are_taken(void **state WM_UNUSED)
{
	struct wm_document *doc = accepted("a: !!str 5\nb: !!map {c: !!int 1}\n");

	assert_string_equal(wm_node_get(wm_document_root(doc), "a")->text, "5");
	wm_document_free(doc);
}

static void
duplicate_keys(void **state WM_UNUSED)
{
	refused("b: 1\na:\n  x: 1\n  y: 2\n  x: 3\n  x: 4\nb: 2\n",
	    "t.yaml:5:3: duplicate key \"x\" (first in line 3)\n"
	    "t.yaml:6:3: duplicate key \"x\" (first in line 3)\n"
	    "t.yaml:7:1: duplicate key \"b\" (first in line 1)\n");
	refused("{\"a\": 1, a: 2}\n", "t.yaml:1:10: duplicate key \"a\" (first in line 1)\n");
}

static void
keys_that_are_no_text(void **state WM_UNUSED)
{
	refused("a: 1\n? [x, y]\n: 1\n? {m: 1}\n: 2\n",
	    "t.yaml:2:3: a key must be a text, not a list\n"
	    "t.yaml:4:3: a key must be a text, not a map\n");
}

static void
several_documents(void **state WM_UNUSED)
{
	refused("a: 1\n---\nb: 2\n---\nc: 3\n",
	    "t.yaml:2:1: a second document begins here: put it into a file of its own\n");
}

static void
unknown_tags(void **state WM_UNUSED)
{
	refused("a: !vault x\nb: !include y\n",
	    "t.yaml:1:4: unknown YAML tag \"!vault\": quote a value that begins with \"!\"\n"
	    "t.yaml:2:4: unknown YAML tag \"!include\": quote a value that begins with \"!\"\n");
}

static void
syntax_errors(void **state WM_UNUSED)
{
	refused("a: [1, 2\nb: 3\n",
	    "t.yaml:2:2: not valid YAML: did not find expected ',' or ']', "
	    "while parsing a flow sequence that begins in line 1\n");
	refused("a:\n  b: 1\n c: 2\n",
	    "t.yaml:3:2: not valid YAML: did not find expected key, "
	    "while parsing a block mapping that begins in line 1\n");
	refused("a: \"x\n",
	    "t.yaml:2:1: not valid YAML: found unexpected end of stream, "
	    "while scanning a quoted scalar that begins in line 1\n");
	refused("a:\n\tb: 1\n",
	    "t.yaml:2:1: not valid YAML: found character that cannot start any token, "
	    "while scanning for the next token: indent with spaces, not tabs\n");
	refused("table: *.orders\n",
	    "t.yaml:1:8: not valid YAML: did not find expected alphabetic or numeric character, "
	    "while scanning an alias: quote a value that begins with \"!\" or \"*\"\n");
	refused("table: *orders\n",
	    "t.yaml:1:8: not valid YAML: found undefined alias: quote a value that begins with \"!\" or \"*\"\n");
	refused("table: [a, !public.tmp_*]\n",
	    "t.yaml:1:12: not valid YAML: did not find expected whitespace or line break, "
	    "while scanning a tag: quote a value that begins with \"!\" or \"*\"\n");
}

static void
bytes_that_are_no_text(void **state WM_UNUSED)
{
	struct wm_diags d = { 0 };

	refused("a: 1\nb: \xff\n",
	    "t.yaml:2:4: not valid YAML: invalid leading UTF-8 octet (a file must be UTF-8 text)\n");
	refused("a: \"x\\0y\"\n", "t.yaml:1:4: a value must not hold a NUL character\n");
	assert_null(wm_document_parse("t.yaml", "a: b\0c", 6, &d));
	expect_diags(&d, "t.yaml:1:5: not valid YAML: control characters are not allowed "
	    "(a file must be UTF-8 text)\n");
}

static void
deep_nesting(void **state WM_UNUSED)
{
	char text[200001];
	struct wm_document *doc;

	memset(text, '[', 200000);
	text[200000] = '\0';
	refused(text, "t.yaml:1:65: maps and lists are nested deeper than 64 levels here\n");
	memset(text + 64, ']', 64);
	text[128] = '\0';
	doc = accepted(text);
	wm_document_free(doc);
	refused("a: &a [1, *a]\n",
	    "t.yaml:1:8: aliases nest maps and lists deeper than 64 levels here (one that holds itself?)\n");
}

/* Nine aliases to nine aliases to ...: a billion texts from half a kilobyte. */
static void
aliases_that_multiply(void **state WM_UNUSED)
{
	WM_AUTO(wm_buf_free) struct wm_buf b;

	wm_buf_init(&b, 1 << 20);
	wm_buf_adds(&b, "l0: &l0 lol\n");
	for (int i = 1; i < 10; i++) {
		wm_buf_addf(&b, "l%d: &l%d [", i, i);
		for (int j = 0; j < 9; j++)
			wm_buf_addf(&b, "%s*l%d", j > 0 ? "," : "", i - 1);
		wm_buf_adds(&b, "]\n");
	}
	refused(b.data, "t.yaml:1:5: the file grows beyond 64 MiB when its aliases are expanded\n");
}

static void
too_many_anchors(void **state WM_UNUSED)
{
	WM_AUTO(wm_buf_free) struct wm_buf b;

	wm_buf_init(&b, 1 << 20);
	for (int i = 0; i <= 1000; i++)
		wm_buf_addf(&b, "- &a%d 1\n", i);
	refused(b.data, "t.yaml:1001:3: there are more than 1000 anchors\n");
}

static void
files_that_cannot_be_read(void **state WM_UNUSED)
{
	struct wm_diags d = { 0 };

	assert_null(wm_document_load("missing.yaml", &d));
	assert_string_equal(d.list[0].fix, "name the file with -c, or let walmill init write one");
	expect_diags(&d, "missing.yaml: this file cannot be read: No such file or directory\n");
	assert_null(wm_document_load("/", &d));
	expect_diags(&d, "/: this file cannot be read: it is a folder, not a regular file\n");
	assert_null(wm_document_load("/dev/zero", &d));
	expect_diags(&d, "/dev/zero: this file cannot be read: it is a device, socket or pipe, not a regular file\n");
}

static void
a_file_is_read_and_knows_its_folder(void **state)
{
	struct wm_diags d = { 0 };
	struct wm_document *doc;
	char *folder = *state;

	make_folder("sub");
	put_file("sub/a.yaml", "a: [1\n");
	assert_null(wm_document_load("sub/a.yaml", &d));
	expect_diags(&d, "sub/a.yaml:2:1: not valid YAML: did not find expected ',' or ']', "
	    "while parsing a flow sequence that begins in line 1\n");
	put_file("sub/a.yaml", "a: 1\n");
	doc = wm_document_load("sub/a.yaml", &d);
	expect_diags(&d, "");
	assert_string_equal(wm_document_root(doc)->mark.file, "sub/a.yaml");
	assert_memory_equal(wm_document_root(doc)->folder, folder, strlen(folder));
	assert_string_equal(wm_document_root(doc)->folder + strlen(folder), "/sub");
	wm_document_free(doc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_value_keeps_its_place),
		cmocka_unit_test(columns_count_characters),
		cmocka_unit_test(a_missing_value_stands_at_its_key),
		cmocka_unit_test(quotes_decide_what_is_plain),
		cmocka_unit_test(get_finds_nothing_in_what_is_no_map),
		cmocka_unit_test(an_empty_file_has_no_root),
		cmocka_unit_test(aliases_repeat_a_value),
		cmocka_unit_test(an_exclusion_needs_no_quotes),
		cmocka_unit_test(standard_tags_are_taken),
		cmocka_unit_test(duplicate_keys),
		cmocka_unit_test(keys_that_are_no_text),
		cmocka_unit_test(several_documents),
		cmocka_unit_test(unknown_tags),
		cmocka_unit_test(syntax_errors),
		cmocka_unit_test(bytes_that_are_no_text),
		cmocka_unit_test(deep_nesting),
		cmocka_unit_test(aliases_that_multiply),
		cmocka_unit_test(too_many_anchors),
		cmocka_unit_test(files_that_cannot_be_read),
		cmocka_unit_test_setup_teardown(a_file_is_read_and_knows_its_folder, enter_folder, leave_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
