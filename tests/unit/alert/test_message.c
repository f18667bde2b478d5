/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_message.c - what a receiver is told, byte by byte.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static const struct kind full = { "journal_full", "source", false };

static const char *
text_of(const cJSON *json, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
}

static void
json(void **state)
{
	static char object[] = "gr\303\266\303\237e \"x\"", text[] = "a\nb\t\x01";
	struct message m = { .state = MESSAGE_CLEARED, .kind = &full, .object = object, .text = text,
		.since = 1700000000123456, .until = 1700000060000000, .times = 2 };
	WM_AUTO(wm_buf_free) struct wm_buf b;
	cJSON *j;

	(void)state;
	wm_buf_init(&b, 10000);
	message_json(&m, &b);
	assert_false(b.failed);
	j = cJSON_Parse(b.data);
	assert_non_null(j);
	assert_string_equal(text_of(j, "state"), "cleared");
	assert_string_equal(text_of(j, "kind"), "journal_full");
	assert_string_equal(text_of(j, "type"), "source");
	assert_string_equal(text_of(j, "object"), object);
	assert_string_equal(text_of(j, "reason"), text);
	assert_string_equal(text_of(j, "since"), "2023-11-14T22:13:20Z");
	assert_string_equal(text_of(j, "until"), "2023-11-14T22:14:20Z");
	assert_string_equal(text_of(j, "version"), PACKAGE_VERSION);
	assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(j, "times")), 2);
	assert_non_null(strstr(text_of(j, "text"), "began 2 times since"));
	assert_non_null(strstr(text_of(j, "text"), "since 2023-11-14T22:13:20Z, over at 2023-11-14T22:14:20Z"));
	cJSON_Delete(j);
	/* Too large is said, not cut. */
	wm_buf_free(&b);
	wm_buf_init(&b, 50);
	message_json(&m, &b);
	assert_true(b.failed);
}

/* Undoes quoted-printable, with its own rules for subjects. */
static void
decode(const char *s, const char *end, bool subject, struct wm_buf *out)
{
	while (s < end) {
		unsigned int c;

		if (strncmp(s, "=\r\n", 3) == 0) {
			s += 3;
		} else if (subject && strncmp(s, "?=\r\n =?UTF-8?Q?", 15) == 0) {
			s += 15;
		} else if (*s == '=' && sscanf(s + 1, "%2X", &c) == 1) {
			wm_buf_addc(out, (char)c);
			s += 3;
		} else
			wm_buf_addc(out, *s++);
	}
}

static void
assert_lines(const char *mail, size_t max)
{
	for (const char *p = mail, *end; *p != '\0'; p = end + 2) {
		end = strstr(p, "\r\n");
		assert_non_null(end);
		assert_true((size_t)(end - p) <= max);
		for (const char *c = p; c < end; c++)
			assert_true((*c >= ' ' && *c <= '~') || *c == '\t');
	}
}

static void
assert_begins(const struct wm_buf *b, const char *with)
{
	if (strncmp(b->data, with, strlen(with)) != 0)
		fail_msg("it does not begin with %s:\n%s", with, b->data);
}

static void
mail(void **state)
{
	char object[200] = "", text[3000] = "first = line \n.\n";
	struct message m = { .state = MESSAGE_RAISED, .kind = &full, .object = object, .text = text, .times = 1 };
	WM_AUTO(wm_buf_free) struct wm_buf b;
	WM_AUTO(wm_buf_free) struct wm_buf plain;
	const char *at, *end;

	(void)state;
	for (int i = 0; i < 60; i++)
		strncat(object, i % 2 ? "\303\266" : "x", sizeof(object) - strlen(object) - 1);
	for (int i = 0; i < 200; i++)
		strncat(text, "\342\202\254 and ", sizeof(text) - strlen(text) - 1);
	wm_buf_init(&b, 100000);
	wm_buf_init(&plain, 100000);
	message_mail(&m, "walmill@h", "a@b,c@d", &b);
	assert_false(b.failed);
	assert_lines(b.data, 78);
	assert_begins(&b, "From: walmill <walmill@h>\r\nTo: a@b,\r\n c@d\r\nDate: ");
	at = strstr(b.data, "\r\nSubject: =?UTF-8?Q?");
	assert_non_null(at);
	at += 21;
	end = strstr(at, "?=\r\n\r\n");
	assert_non_null(end);
	decode(at, end, true, &plain);
	assert_begins(&plain, "[walmill] raised: journal_full, source \"x\303\266x");
	assert_non_null(strstr(plain.data, object));
	wm_buf_reset(&plain);
	decode(end + 6, b.data + b.len, false, &plain);
	assert_begins(&plain, "first = line \r\n.\r\n\342\202\254 and ");
	assert_non_null(strstr(plain.data, "\r\n-- \r\nwalmill " PACKAGE_VERSION "\r\n"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json),
		cmocka_unit_test(mail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
