/* SPDX-License-Identifier: PostgreSQL */
/*
 * typefit.c - compares column types by their SQL names.
 */
#include "typefit.h"

#include <string.h>

#include "walmill/strutil.h"

struct type_name {
	char base[WM_TYPE_NAMELEN]; /* without modifiers and brackets */
	int nmods;
	int64_t mods[2];
	bool array;
};

/* A number that fits any integer type of this many digits. */
struct wider {
	const char *existing, *wanted;
	int64_t digits; /* of wanted, when existing has a precision */
};

static const struct wider wider[] = {
	{ "integer", "smallint", 0 },
	{ "bigint", "smallint", 0 },
	{ "bigint", "integer", 0 },
	{ "bigint", "oid", 0 },
	{ "numeric", "smallint", 5 },
	{ "numeric", "integer", 10 },
	{ "numeric", "bigint", 19 },
	{ "numeric", "oid", 10 },
	{ "double precision", "smallint", 0 },
	{ "double precision", "integer", 0 },
	{ "double precision", "real", 0 },
	{ "json", "jsonb", 0 },
};

/* "10,2" without the parentheses. */
static bool
parse_mods(const char *s, size_t len, struct type_name *t)
{
	char text[32];
	char *comma;

	if (len == 0 || len >= sizeof(text))
		return false;
	memcpy(text, s, len);
	text[len] = '\0';
	comma = strchr(text, ',');
	if (comma != NULL)
		*comma = '\0';
	t->nmods = comma != NULL ? 2 : 1;
	return wm_parse_i64(text, &t->mods[0]) &&
	    (comma == NULL || wm_parse_i64(comma + 1, &t->mods[1]));
}

static bool
parse_type(const char *name, struct type_name *ret)
{
	const char *open = strchr(name, '('), *close = open == NULL ? NULL : strchr(open, ')');
	size_t len = strlen(name), head;

	memset(ret, 0, sizeof(*ret));
	if (len >= sizeof(ret->base) || (open != NULL && close == NULL))
		return false;
	head = open == NULL ? len : (size_t)(open - name);
	memcpy(ret->base, name, head);
	if (open != NULL) {
		if (!parse_mods(open + 1, (size_t)(close - open - 1), ret))
			return false;
		memcpy(ret->base + head, close + 1, strlen(close + 1) + 1);
	}
	len = strlen(ret->base);
	while (len > 2 && strcmp(ret->base + len - 2, "[]") == 0) {
		ret->array = true;
		ret->base[len -= 2] = '\0';
	}
	return true;
}

/* The same base type: do existing's modifiers leave room for wanted's? */
static bool
mods_hold(const struct type_name *existing, const struct type_name *wanted)
{
	if (existing->nmods == 0)
		return true;
	if (existing->nmods != wanted->nmods)
		return false;
	/* The scale shows in the text form, and padding does too: those must be the same. */
	if (existing->nmods == 2)
		return existing->mods[0] >= wanted->mods[0] && existing->mods[1] == wanted->mods[1];
	if (strcmp(existing->base, "character") == 0 || strcmp(existing->base, "bit") == 0)
		return existing->mods[0] == wanted->mods[0];
	return existing->mods[0] >= wanted->mods[0];
}

static bool
base_holds(const struct type_name *existing, const struct type_name *wanted)
{
	const char *e = existing->base, *w = wanted->base;

	if (strcmp(e, w) == 0)
		return mods_hold(existing, wanted);
	if ((strcmp(e, "character varying") == 0 && strcmp(w, "character") == 0) ||
	    (strcmp(e, "bit varying") == 0 && strcmp(w, "bit") == 0))
		return mods_hold(existing, wanted);
	for (size_t i = 0; i < WM_ARRAY_SIZE(wider); i++) {
		if (strcmp(e, wider[i].existing) != 0 || strcmp(w, wider[i].wanted) != 0)
			continue;
		return existing->nmods == 0 ||
		    (existing->mods[1] == 0 && existing->mods[0] >= wider[i].digits);
	}
	return false;
}

bool
wm_typefit_holds(const char *existing, const char *wanted)
{
	struct type_name e, w;
	bool any_text;

	if (strcmp(existing, wanted) == 0)
		return true;
	if (!parse_type(existing, &e) || !parse_type(wanted, &w))
		return false;
	any_text = e.nmods == 0 &&
	    (strcmp(e.base, "text") == 0 || strcmp(e.base, "character varying") == 0);
	if (any_text && (!e.array || w.array))
		return true;
	return e.array == w.array && base_holds(&e, &w);
}

void
wm_typefit_add_cast(struct wm_buf *b, const char *type)
{
	struct type_name t;

	if (!parse_type(type, &t)) {
		wm_buf_adds(b, type);
		return;
	}
	/* Without a length "character" and "bit" mean one character, one bit. */
	if (strcmp(t.base, "character") == 0)
		wm_buf_adds(b, "bpchar");
	else if (strcmp(t.base, "bit") == 0)
		wm_buf_adds(b, "\"bit\"");
	else
		wm_buf_adds(b, t.base);
	if (t.array)
		wm_buf_adds(b, "[]");
}

bool
wm_typefit_portable(const struct wm_type *type)
{
	return type->builtin && type->class != WM_TYPE_DYNAMIC && type->class != WM_TYPE_UNKNOWN &&
	    strncmp(type->name, "reg", 3) != 0 && strncmp(type->name, "aclitem", 7) != 0;
}

const char *
wm_typefit_declared(const struct wm_view_column *column)
{
	if (column->override != NULL)
		return column->override;
	return wm_typefit_portable(&column->type) ? column->type.name : "text";
}

bool
wm_typefit_valid(const char *name)
{
	static const char plain[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ .[]";
	bool quoted = false, words = false;
	int depth = 0;

	for (const char *p = name; *p != '\0'; p++) {
		if (*p == '"') {
			quoted = !quoted;
			words = true;
		} else if (quoted) {
			continue;
		} else if (*p == '(') {
			depth++;
		} else if (*p == ')') {
			if (--depth < 0)
				return false;
		} else if (*p == ',' ? depth == 0 :
				       strchr(plain, *p) == NULL && (unsigned char)*p < 0x80) {
			return false;
		} else if (*p != ' ') {
			words = true;
		}
	}
	return words && depth == 0 && !quoted;
}
