/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_secrets.c - ${...} in texts: what is filled in, what is refused, what is kept secret.
 */
#include "walmill/config.h"
#include "walmill/log.h"

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
	expect_diags(&d, expected);
}

/* What the key "a" holds, after warnings. */
static void
becomes(const char *text, const char *value, bool secret, const char *warnings)
{
	struct wm_diags d = { 0 };
	struct wm_document *doc = parse(text, &d);
	const struct wm_node *node;

	expect_diags(&d, warnings);
	assert_non_null(doc);
	node = wm_node_get(wm_document_root(doc), "a");
	assert_string_equal(node->text, value);
	assert_int_equal(node->secret, secret);
	wm_document_free(doc);
}

static void
assert_scrubbed(const char *text, const char *expected)
{
	char *copy = strdup(text);

	assert_non_null(copy);
	wm_secret_scrub(copy);
	assert_string_equal(copy, expected);
	free(copy);
}

static void
from_the_environment(void **state WM_UNUSED)
{
	setenv("WM_TEST_ONE", "first-secret", 1);
	setenv("WM_TEST_TWO", "${env:WM_TEST_ONE}", 1);
	becomes("a: ${env:WM_TEST_ONE}\n", "first-secret", true, "");
	becomes("a: \"x ${env:WM_TEST_ONE}-${env:WM_TEST_ONE} y\"\n", "x first-secret-first-secret y", true, "");
	/* What was filled in is not looked at again. */
	becomes("a: ${env:WM_TEST_TWO}\n", "${env:WM_TEST_ONE}", true, "");
	assert_scrubbed("got first-secret", "got ***");
	unsetenv("WM_TEST_ONE");
	refused("a:\n  - ${env:WM_TEST_ONE}\n",
	    "t.yaml:2:5: environment variable \"WM_TEST_ONE\" is not set: set it (under systemd with "
	    "EnvironmentFile= in the unit), or use ${file:PATH}\n");
}

/* "null" out of a secret is a text. */
static void
a_secret_is_never_null(void **state WM_UNUSED)
{
	struct wm_diags d = { 0 };
	struct wm_document *doc;

	setenv("WM_TEST_ONE", "null", 1);
	doc = parse("a: ${env:WM_TEST_ONE}\n", &d);
	expect_diags(&d, "");
	assert_false(wm_node_is_null(wm_node_get(wm_document_root(doc), "a")));
	wm_document_free(doc);
	unsetenv("WM_TEST_ONE");
}

static void
from_a_file(void **state)
{
	char expected[1000];

	make_folder("sub");
	put_file("sub/token", "file-secret\n");
	put_file("windows", "dos-secret\r\n");
	put_file("two", "line one\n\n");
	becomes("a: ${file:sub/token}\n", "file-secret", true, "");
	becomes("a: ${file:windows}\n", "dos-secret", true, "");
	becomes("a: ${file:two}\n", "line one\n", true, "");
	snprintf(expected, sizeof(expected), "a: ${file:%s/sub/token}\n", (char *)*state);
	becomes(expected, "file-secret", true, "");
	assert_scrubbed("a file-secret", "a ***");
	assert_int_equal(chmod("sub/token", 0644), 0);
	snprintf(expected, sizeof(expected), "warning: t.yaml:1:4: secret file \"%s/sub/token\" can be read by every "
	    "user: run chmod o-r on it\n", (char *)*state);
	becomes("a: ${file:sub/token}\n", "file-secret", true, expected);
	snprintf(expected, sizeof(expected),
	    "t.yaml:1:4: secret file \"%s/none\" cannot be read: No such file or directory: "
	    "make it a file that walmill's user can read\n"
	    "t.yaml:2:4: secret file \"%s/sub\" cannot be read: it is a folder, not a regular file: "
	    "make it a file that walmill's user can read\n", (char *)*state, (char *)*state);
	refused("a: ${file:none}\nb: ${file:sub}\n", expected);
}

/* Files named in a file of another folder start at that folder. */
static void
from_a_file_beside_the_document(void **state WM_UNUSED)
{
	struct wm_diags d = { 0 };
	struct wm_document *doc;

	make_folder("etc");
	put_file("etc/token", "beside-secret");
	put_file("etc/t.yaml", "a: ${file:token}\n");
	doc = wm_document_load("etc/t.yaml", &d);
	expect_diags(&d, "");
	assert_string_equal(wm_node_get(wm_document_root(doc), "a")->text, "beside-secret");
	wm_document_free(doc);
}

static void
files_that_hold_no_text(void **state)
{
	char expected[1000], *big = malloc(65538);
	FILE *f = fopen("zero", "w");

	assert_non_null(f);
	assert_int_equal(fwrite("a\0b", 1, 3, f), 3);
	fclose(f);
	assert_non_null(big);
	memset(big, 'x', 65537);
	big[65537] = '\0';
	put_file("big", big);
	free(big);
	snprintf(expected, sizeof(expected),
	    "t.yaml:1:4: secret file \"%s/zero\" holds a NUL byte: store it as text\n"
	    "t.yaml:2:4: secret file \"%s/big\" cannot be read: it is larger than 65536 bytes: "
	    "make it a file that walmill's user can read\n", (char *)*state, (char *)*state);
	refused("a: ${file:zero}\nb: ${file:big}\n", expected);
}

static void
from_a_credential(void **state)
{
	char expected[1000];

	unsetenv("CREDENTIALS_DIRECTORY");
	refused("a: ${credential:token}\n",
	    "t.yaml:1:4: credential \"token\" has no folder to come from, as $CREDENTIALS_DIRECTORY is not set: put "
	    "LoadCredential=token:/PATH into the systemd unit, or set CREDENTIALS_DIRECTORY to the folder that holds it\n");
	make_folder("credentials");
	put_file("credentials/token", "credential-secret\n");
	assert_int_equal(chmod("credentials/token", 0444), 0);
	snprintf(expected, sizeof(expected), "%s/credentials", (char *)*state);
	setenv("CREDENTIALS_DIRECTORY", expected, 1);
	becomes("a: ${credential:token}\n", "credential-secret", true, "");
	assert_scrubbed("a credential-secret", "a ***");
	snprintf(expected, sizeof(expected),
	    "t.yaml:1:4: credential \"%s/credentials/other\" cannot be read: No such file or directory: put "
	    "LoadCredential=other:/PATH into the systemd unit\n"
	    "t.yaml:2:4: credential \"../token\" must be a name, not a path: use ${file:PATH} for a file\n",
	    (char *)*state);
	refused("a: ${credential:other}\nb: ${credential:../token}\n", expected);
	unsetenv("CREDENTIALS_DIRECTORY");
}

static void
dollars_that_are_no_reference(void **state WM_UNUSED)
{
	becomes("a: $${env:HOME}\n", "${env:HOME}", false, "");
	becomes("a: x$${$${y\n", "x${${y", false, "");
	becomes("a: $5 and $$ and 100$\n", "$5 and $$ and 100$", false, "");
	becomes("a: ^a$\n", "^a$", false, "");
}

static void
references_that_mean_nothing(void **state WM_UNUSED)
{
	refused("a: ${vault:secret/x#key}\nb: ${aws-secret:x#y}\n",
	    "t.yaml:1:4: ${vault:...} is not built into this walmill: use ${env:NAME}, ${file:PATH} or "
	    "${credential:NAME}\n"
	    "t.yaml:2:4: ${aws-secret:...} is not built into this walmill: use ${env:NAME}, ${file:PATH} or "
	    "${credential:NAME}\n");
	/* It may be a password: not repeated. */
	refused("a: pa${ss}word\nb: ${HOME}\nc: ${envy:x}\n",
	    "t.yaml:1:4: unknown reference after \"${\": write ${env:NAME}, ${file:PATH} or ${credential:NAME}, "
	    "or $${ for a literal \"${\"\n"
	    "t.yaml:2:4: unknown reference after \"${\": write ${env:NAME}, ${file:PATH} or ${credential:NAME}, "
	    "or $${ for a literal \"${\"\n"
	    "t.yaml:3:4: unknown reference after \"${\": write ${env:NAME}, ${file:PATH} or ${credential:NAME}, "
	    "or $${ for a literal \"${\"\n");
	refused("a: ${env:X\n", "t.yaml:1:4: \"${\" without \"}\": write $${ for a literal \"${\"\n");
	refused("a: ${env:}\n", "t.yaml:1:4: ${env:} names nothing\n");
}

static void
all_references_of_a_text_are_tried(void **state WM_UNUSED)
{
	refused("a: ${env:WM_NO_A} ${env:WM_NO_B}\n",
	    "t.yaml:1:4: environment variable \"WM_NO_A\" is not set: set it (under systemd with "
	    "EnvironmentFile= in the unit), or use ${file:PATH}\n"
	    "t.yaml:1:4: environment variable \"WM_NO_B\" is not set: set it (under systemd with "
	    "EnvironmentFile= in the unit), or use ${file:PATH}\n");
}

static void
set_uri(const char *text)
{
	static const struct wm_option uri = { .name = "uri", .kind = WM_OPT_STRING };
	char *s = NULL;

	assert_int_equal(wm_option_set(&uri, text, &s, NULL), WM_OK);
	assert_string_equal(s, text);
	free(s);
}

static void
passwords_in_uris(void **state WM_UNUSED)
{
	set_uri("postgresql://u:one%2Fpw@db/shop");
	assert_scrubbed("one%2Fpw one/pw", "*** ***");
	set_uri("postgresql://u:two@pw@db/shop");
	assert_scrubbed("two@pw", "***");
	set_uri("postgresql://u@db:5432/shop?user=x&password=three%21pw&sslpassword=four4pw#f");
	assert_scrubbed("three%21pw three!pw four4pw 5432", "*** *** *** 5432");
	set_uri("smtp://ops:five5pw@mail.example.com:587");
	assert_scrubbed("five5pw mail.example.com:587", "*** mail.example.com:587");
	set_uri("https://hooks.example.com:8443/a");
	assert_scrubbed("hooks.example.com:8443", "hooks.example.com:8443");
}

static void
passwords_in_keyword_strings(void **state WM_UNUSED)
{
	set_uri("host=db1 password=k-one dbname=shop");
	assert_scrubbed("db1 k-one shop", "db1 *** shop");
	set_uri("password = 'k \\'two\\' \\\\x' host='h o s t'");
	assert_scrubbed("k 'two' \\x", "***");
	assert_scrubbed("h o s t", "h o s t");
	set_uri("host = 'a password=kthree' sslpassword=k\\ four user=u");
	assert_scrubbed("kthree k four", "kthree ***");
	set_uri("password=k'five host");
	assert_scrubbed("k'five", "***");
	set_uri("password='k-six");
	assert_scrubbed("k-six", "***");
	set_uri("password");
	set_uri("=");
	set_uri("a=b=password=c c");
}

/* Hiding these words would make messages unreadable, and they are nobody's secret. */
static void
placeholders_are_not_hidden(void **state WM_UNUSED)
{
	set_uri("postgresql://u:password@db/shop");
	setenv("WM_TEST_ONE", "secret", 1);
	becomes("a: ${env:WM_TEST_ONE}\n", "secret", true, "");
	assert_scrubbed("password secret", "password secret");
	unsetenv("WM_TEST_ONE");
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_the_environment),
		cmocka_unit_test(a_secret_is_never_null),
		IN_FOLDER(from_a_file),
		IN_FOLDER(from_a_file_beside_the_document),
		IN_FOLDER(files_that_hold_no_text),
		IN_FOLDER(from_a_credential),
		cmocka_unit_test(dollars_that_are_no_reference),
		cmocka_unit_test(references_that_mean_nothing),
		cmocka_unit_test(all_references_of_a_text_are_tried),
		cmocka_unit_test(passwords_in_uris),
		cmocka_unit_test(passwords_in_keyword_strings),
		cmocka_unit_test(placeholders_are_not_hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
