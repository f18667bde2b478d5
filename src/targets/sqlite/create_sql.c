/* SPDX-License-Identifier: PostgreSQL */
/*
 * create_sql.c - a table's CREATE TABLE statement, written anew with other column types.
 *
 * SQLite keeps the statement as the user wrote it: defaults, checks, collations, comments.  Only
 * the name and the types in question are replaced; the rest is copied byte by byte.  The caller
 * verifies what SQLite makes of the result.
 */
#include "sqlite.h"

#include <stdlib.h>
#include <string.h>

#include "walmill/strutil.h"

/* A token is the text from start to p; kind is its first byte, 'a' for any bare word. */
struct scanner {
	const char	*start, *p;
	char		 kind;		/* 0: the end */
};

static bool
is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	    c == '$' || (unsigned char)c >= 0x80;
}

/* Skips blanks and comments. */
static const char *
skip_blanks(const char *p)
{
	for (;;) {
		p += strspn(p, " \t\r\n\f");
		if (strncmp(p, "--", 2) == 0)
			p += strcspn(p, "\n");
		else if (strncmp(p, "/*", 2) == 0) {
			const char *end = strstr(p + 2, "*/");

			p = end != NULL ? end + 2 : p + strlen(p);
		} else
			return p;
	}
}

/* Behind the closing quote of a token that begins at p; a doubled quote stands for itself. */
static const char *
skip_quoted(const char *p)
{
	char close = *p == '[' ? ']' : *p;

	for (p++; *p != '\0'; p++) {
		if (*p != close)
			continue;
		if (close == ']' || p[1] != close)
			return p + 1;
		p++;
	}
	return p;
}

static void
scan(struct scanner *s)
{
	s->start = skip_blanks(s->p);
	s->p = s->start;
	s->kind = *s->p;
	if (s->kind == '\0')
		return;
	if (strchr("\"'`[", s->kind) != NULL)
		s->p = skip_quoted(s->p);
	else if (is_word(s->kind)) {
		s->kind = 'a';
		while (is_word(*s->p))
			s->p++;
	} else
		s->p++;
}

/* At an opening parenthesis: on to the token behind the closing one. */
static void
skip_parentheses(struct scanner *s)
{
	int depth = 0;

	do {
		if (s->kind == '(')
			depth++;
		else if (s->kind == ')')
			depth--;
		scan(s);
	} while (depth > 0 && s->kind != '\0');
}

static bool
is_keyword(const struct scanner *s, const char *const *words)
{
	for (; s->kind == 'a' && *words != NULL; words++)
		if (strlen(*words) == (size_t)(s->p - s->start) &&
		    sqlite3_strnicmp(*words, s->start, (int)strlen(*words)) == 0)
			return true;
	return false;
}

/* A name without its quotes; NULL when memory is out. */
static char *
unquote(const struct scanner *s)
{
	char *name = malloc((size_t)(s->p - s->start) + 1), *to = name;
	bool bare = s->kind == 'a';

	if (name == NULL)
		return NULL;
	for (const char *p = s->start + !bare; p < s->p - !bare; p++) {
		*to++ = *p;
		if (!bare && s->kind != '[' && *p == s->kind)
			p++;
	}
	*to = '\0';
	return name;
}

/*
 * One column, s at its name: copies everything from *from to the end of its name, the new type,
 * and leaves *from behind the old one.
 */
static bool
rewrite_column(struct scanner *s, const char **from, wm_sqlite_declare_fn *declare, const void *arg,
    struct wm_buf *b)
{
	static const char *const after_type[] = { "CONSTRAINT", "PRIMARY", "NOT", "NULL", "UNIQUE", "CHECK",
		"DEFAULT", "COLLATE", "REFERENCES", "GENERATED", "AS", NULL };
	WM_AUTO(wm_freep) char *name = unquote(s);
	const char *declared = name != NULL ? declare(arg, name) : NULL;
	const char *end = s->p;			/* of the name, then of the type */

	if (name == NULL)
		return false;
	if (declared != NULL)
		wm_buf_add(b, *from, (size_t)(s->p - *from));
	scan(s);
	while (s->kind != '\0' && s->kind != ',' && s->kind != ')' && !is_keyword(s, after_type)) {
		if (s->kind == '(') {
			while (s->kind != ')' && s->kind != '\0')
				scan(s);
		}
		end = s->p;
		scan(s);
	}
	if (declared != NULL) {
		wm_sqlite_add_type(b, declared);
		*from = end;
	}
	while (s->kind != '\0' && s->kind != ',' && s->kind != ')') {
		if (s->kind == '(')
			skip_parentheses(s);
		else
			scan(s);
	}
	return s->kind != '\0';
}

bool
wm_sqlite_create_sql(const char *sql, const char *name, wm_sqlite_declare_fn *declare, const void *arg,
    struct wm_buf *b)
{
	static const char *const constraints[] = { "CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN", NULL };
	struct scanner s = { .p = sql };
	const char *from;

	do
		scan(&s);
	while (s.kind != '\0' && s.kind != '(');
	if (s.kind == '\0')
		return false;
	from = s.start;
	wm_buf_adds(b, "CREATE TABLE ");
	wm_sqlite_quote(b, name);
	wm_buf_addc(b, ' ');
	do {
		scan(&s);
		if (is_keyword(&s, constraints))
			break;
		if (strchr("a\"'`[", s.kind) == NULL || s.kind == '\0')
			return false;
		if (!rewrite_column(&s, &from, declare, arg, b))
			return false;
	} while (s.kind == ',');
	wm_buf_adds(b, from);
	return true;
}
