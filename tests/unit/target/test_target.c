/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_target.c - finding, making, copying and destroying instances of back-ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "walmill/config.h"
#include "walmill/target.h"

struct fake {
	struct wm_target	 base;
	char			*address;
	int64_t			 wait;
	bool			 loud;
};

static unsigned closed;

static void
fake_close(struct wm_target *t WM_UNUSED)
{
	closed++;
}

static const struct wm_option options[] = {
	{ .name = "address", .kind = WM_OPT_STRING, .offset = offsetof(struct fake, address), .required = true },
	{ .name = "wait", .kind = WM_OPT_DURATION, .offset = offsetof(struct fake, wait), .fallback = "5s" },
	{ .name = "loud", .kind = WM_OPT_BOOL, .offset = offsetof(struct fake, loud) },
	{ .name = NULL },
};

static const char *const file_schemes[] = { "file", NULL };
static const char *const net_schemes[] = { "net", "nets", NULL };

static const struct wm_target_ops file_ops = {
	.type = "file",
	.schemes = file_schemes,
	.uri_option = "address",
	.uri_strip = true,
	.size = sizeof(struct fake),
	.options = options,
	.close = fake_close,
};
static const struct wm_target_ops net_ops = {
	.type = "net",
	.schemes = net_schemes,
	.uri_option = "address",
	.size = sizeof(struct fake),
	.options = options,
	.close = fake_close,
};
static const struct wm_target_ops *const list[] = { &file_ops, &net_ops, NULL };

static struct fake *
fake(struct wm_target *t)
{
	return (struct fake *)t;
}

static void
finds_by_type(void **state WM_UNUSED)
{
	assert_ptr_equal(wm_target_find(list, "net"), &net_ops);
	assert_ptr_equal(wm_target_find(list, "file"), &file_ops);
	assert_null(wm_target_find(list, "nets"));
	assert_null(wm_target_find(list, ""));
}

static void
creates_with_defaults_and_closes_at_the_end(void **state WM_UNUSED)
{
	struct wm_target *t = NULL;
	struct wm_error err;

	assert_int_equal(wm_target_create(&net_ops, "reports", &t, &err), WM_OK);
	assert_ptr_equal(t->ops, &net_ops);
	assert_string_equal(t->name, "reports");
	assert_null(fake(t)->address);
	assert_int_equal(fake(t)->wait, 5000000);
	closed = 0;
	wm_target_destroy(t);
	assert_int_equal(closed, 1);
	wm_target_destroy(NULL);
	assert_int_equal(closed, 1);
}

static void
a_clone_has_its_own_options(void **state WM_UNUSED)
{
	struct wm_target *t, *clone = NULL;
	struct wm_error err;

	assert_int_equal(wm_target_from_uri(list, "net://host/x", "reports", &t, &err), WM_OK);
	fake(t)->wait = 7;
	fake(t)->loud = true;
	assert_int_equal(wm_target_clone(t, &clone, &err), WM_OK);
	assert_ptr_not_equal(clone, t);
	assert_ptr_not_equal(fake(clone)->address, fake(t)->address);
	wm_target_destroy(t);
	assert_ptr_equal(clone->ops, &net_ops);
	assert_string_equal(clone->name, "reports");
	assert_string_equal(fake(clone)->address, "net://host/x");
	assert_int_equal(fake(clone)->wait, 7);
	assert_true(fake(clone)->loud);
	wm_target_destroy(clone);
}

static void
assert_from_uri(const char *uri, const struct wm_target_ops *ops, const char *address)
{
	struct wm_target *t = NULL;
	struct wm_error err;

	assert_int_equal(wm_target_from_uri(list, uri, "warehouse", &t, &err), WM_OK);
	assert_ptr_equal(t->ops, ops);
	assert_string_equal(t->name, "warehouse");
	assert_string_equal(fake(t)->address, address);
	assert_int_equal(fake(t)->wait, 5000000);
	wm_target_destroy(t);
}

static void
a_uri_fills_its_option(void **state WM_UNUSED)
{
	assert_from_uri("file:/var/x:y.db", &file_ops, "/var/x:y.db");
	assert_from_uri("file:x", &file_ops, "x");
	assert_from_uri("FILE:x", &file_ops, "x");
	assert_from_uri("net://u:p@h/x", &net_ops, "net://u:p@h/x");
	assert_from_uri("nets://h", &net_ops, "nets://h");
}

static void
assert_refused(const char *uri, const char *text)
{
	struct wm_target *t = NULL;
	struct wm_error err;

	assert_int_equal(wm_target_from_uri(list, uri, "warehouse", &t, &err), WM_FATAL);
	assert_null(t);
	assert_string_equal(err.text, text);
}

static void
an_unknown_uri_is_refused_with_the_schemes(void **state WM_UNUSED)
{
	assert_refused("ftp://user:secret@host/x",
	    "no target takes a URI that begins with \"ftp:\": use one of file:, net:, nets:");
	assert_refused("netx:y", "no target takes a URI that begins with \"netx:\": use one of file:, net:, nets:");
	assert_refused("/var/secret",
	    "the target URI names no kind of target: begin it with one of file:, net:, nets:");
	assert_refused("", "the target URI names no kind of target: begin it with one of file:, net:, nets:");
	assert_refused(":x", "the target URI names no kind of target: begin it with one of file:, net:, nets:");
	assert_refused("a secret/b:c",
	    "the target URI names no kind of target: begin it with one of file:, net:, nets:");
	assert_refused("file:", "the target URI \"file:\" says nothing behind its scheme");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_by_type),
		cmocka_unit_test(creates_with_defaults_and_closes_at_the_end),
		cmocka_unit_test(a_clone_has_its_own_options),
		cmocka_unit_test(a_uri_fills_its_option),
		cmocka_unit_test(an_unknown_uri_is_refused_with_the_schemes),
	};

	return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
