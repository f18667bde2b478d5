/* SPDX-License-Identifier: PostgreSQL */
/*
 * json.c - finding values in JSON text that is known to be well-formed, without changing them.
 */
#include "json.h"

#include <string.h>

static const char blanks[] = " \t\r\n";

static const char *
skip_blanks(const char *p)
{
	return p + strspn(p, blanks);
}

/* Behind the string that begins at p. */
static const char *
string_end(const char *p)
{
	for (p++; *p != '\0' && *p != '"'; p++)
		if (*p == '\\' && p[1] != '\0')
			p++;
	return *p == '"' ? p + 1 : p;
}

/* Behind the value that begins at p. */
static const char *
value_end(const char *p)
{
	unsigned depth = 0;

	do {
		if (*p == '"') {
			p = string_end(p);
			continue;
		}
		if (*p == '{' || *p == '[')
			depth++;
		else if (*p == '}' || *p == ']')
			depth--;
		else if (depth == 0)
			return p + strcspn(p, ",]} \t\r\n");
		p++;
	} while (depth > 0 && *p != '\0');
	return p;
}

bool
wm_json_member(const char *object, const char *name, const char **ret, size_t *ret_len)
{
	size_t n = strlen(name);
	const char *p = skip_blanks(object);

	for (p = *p == '{' ? skip_blanks(p + 1) : ""; *p == '"'; p = skip_blanks(p + 1)) {
		const char *key = p + 1, *end = string_end(p), *value = skip_blanks(end);

		value = skip_blanks(*value == ':' ? value + 1 : value);
		p = value_end(value);
		if ((size_t)(end - 1 - key) == n && memcmp(key, name, n) == 0) {
			*ret = value;
			*ret_len = (size_t)(p - value);
			return true;
		}
		p = skip_blanks(p);
		if (*p != ',')
			return false;
	}
	return false;
}

const char *
wm_json_first(const char *array)
{
	const char *p = skip_blanks(array);

	p = *p == '[' ? skip_blanks(p + 1) : "";
	return *p == ']' || *p == '\0' ? NULL : p;
}

const char *
wm_json_next(const char *item)
{
	const char *p = skip_blanks(value_end(item));

	return *p == ',' ? skip_blanks(p + 1) : NULL;
}
