/* SPDX-License-Identifier: PostgreSQL */
/*
 * passwords.c - finding the passwords inside URIs and libpq keyword strings.
 *
 * A wrong guess only hides too much in messages, a missed one shows a password; so this reads
 * generously, and does not care whether the text would be accepted as a URI.
 */
#include <stdlib.h>
#include <string.h>

#include "secrets.h"
#include "walmill/strutil.h"

static int
hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at;

	if (c >= 'A' && c <= 'F')
		c += 'a' - 'A';
	at = c != '\0' ? strchr(digits, c) : NULL;
	return at != NULL ? (int)(at - digits) : -1;
}

static void
percent_decode(char *s)
{
	char *out = s;

	for (; *s != '\0'; s++) {
		int high = *s == '%' ? hex_digit(s[1]) : -1, low = high >= 0 ? hex_digit(s[2]) : -1;

		if (low >= 0) {
			*out++ = (char)(high * 16 + low);
			s += 2;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

/* Without memory the password is not covered, but neither will the start-up get far. */
static void
note(const char *p, size_t n, void (*decode)(char *s))
{
	WM_AUTO(wm_freep) char *copy = strndup(p, n);

	if (copy == NULL)
		return;
	wm_secrets_register(copy);
	decode(copy);
	wm_secrets_register(copy);
	explicit_bzero(copy, strlen(copy));
}

/* user:PASSWORD@: libpq ends it at the first @, a user who forgot to encode one means the last. */
static void
note_userinfo(const char *authority)
{
	const char *colon = strchr(authority, ':'), *first = strchr(authority, '@'), *last = strrchr(authority, '@');

	if (colon == NULL || first == NULL || colon > first)
		return;
	note(colon + 1, (size_t)(first - colon - 1), percent_decode);
	note(colon + 1, (size_t)(last - colon - 1), percent_decode);
}

static bool
is_password(const char *word, size_t n)
{
	static const char *const words[] = { "password", "sslpassword" };

	for (size_t i = 0; i < WM_ARRAY_SIZE(words); i++) {
		if (strlen(words[i]) == n && strncmp(word, words[i], n) == 0)
			return true;
	}
	return false;
}

static void
note_query(const char *query)
{
	while (query != NULL) {
		const char *word = query + 1;
		size_t n = strcspn(word, "=&");

		if (word[n] == '=' && is_password(word, n))
			note(word + n + 1, strcspn(word + n + 1, "&#"), percent_decode);
		query = strchr(word, '&');
	}
}

static void
unescape(char *s)
{
	char *out = s;

	for (; *s != '\0'; s++) {
		if (*s == '\\' && s[1] != '\0')
			s++;
		*out++ = *s;
	}
	*out = '\0';
}

/* The length of a keyword string's value, escapes counted; quoted: up to the closing quote. */
static size_t
value_length(const char *value, bool quoted)
{
	size_t n = 0;

	while (value[n] != '\0' && (quoted ? value[n] != '\'' : strchr(" \t\r\n\f\v", value[n]) == NULL))
		n += value[n] == '\\' && value[n + 1] != '\0' ? 2 : 1;
	return n;
}

static void
note_keywords(const char *text)
{
	static const char blanks[] = " \t\r\n\f\v";

	for (;;) {
		const char *word = text + strspn(text, blanks), *value;
		size_t n = strcspn(word, " \t\r\n\f\v="), len;
		bool quoted;

		value = word + n + strspn(word + n, blanks);
		if (*value != '=')
			return;
		value += 1 + strspn(value + 1, blanks);
		quoted = *value == '\'';
		len = value_length(value + quoted, quoted);
		if (is_password(word, n))
			note(value + quoted, len, unescape);
		text = value + quoted + len;
		if (quoted && *text == '\'')
			text++;
	}
}

void
wm_secrets_note_passwords(const char *text)
{
	const char *authority = strstr(text, "://");

	if (authority == NULL) {
		note_keywords(text);
		return;
	}
	note_userinfo(authority + 3);
	note_query(strchr(authority, '?'));
}
