/* SPDX-License-Identifier: PostgreSQL */
/*
 * mask.c - what hides or replaces one value: masks and value tables.
 */
#include "mask.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "walmill/strutil.h"

#define KEEP_MAX 99			/* of lastN */

bool
wm_mask_parse(const char *value, struct wm_mask *ret)
{
	uint64_t keep;

	if (value[0] == '=') {
		*ret = (struct wm_mask){ .kind = WM_MASK_TEXT, .text = value + 1 };
		return true;
	}
	if (strncmp(value, "last", 4) == 0 && wm_parse_u64(value + 4, &keep) && keep >= 1 && keep <= KEEP_MAX) {
		*ret = (struct wm_mask){ .kind = WM_MASK_LAST, .keep = (unsigned)keep };
		return true;
	}
	if (strcmp(value, "sha256") == 0)
		*ret = (struct wm_mask){ .kind = WM_MASK_SHA256 };
	else if (strcmp(value, "redact") == 0)
		*ret = (struct wm_mask){ .kind = WM_MASK_REDACT };
	else if (strcmp(value, "null") == 0)
		*ret = (struct wm_mask){ .kind = WM_MASK_NULL };
	else
		return false;
	return true;
}

static struct wm_value
text_value(const char *text, size_t len)
{
	return (struct wm_value){ .data = text, .len = (uint32_t)len, .kind = WM_VALUE_TEXT };
}

static enum wm_status
mask_sha256(const void *key, size_t key_len, const struct wm_value *in, struct wm_arena *arena, struct wm_value *ret,
    struct wm_error *err)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned n;
	char *text;

	if (HMAC(EVP_sha256(), key, (int)key_len,
		(const unsigned char *)(in->len > 0 ? in->data : ""), in->len, hash, &n) == NULL)
		return wm_fail(err, WM_FATAL, "libcrypto cannot compute HMAC-SHA256");
	text = wm_arena_alloc(arena, 2 * (size_t)n);
	if (text == NULL)
		return wm_oom(err, "a masked value");
	for (unsigned i = 0; i < n; i++) {
		text[2 * i] = digits[hash[i] >> 4];
		text[2 * i + 1] = digits[hash[i] & 15];
	}
	*ret = text_value(text, 2 * (size_t)n);
	return WM_OK;
}

static bool
starts_char(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

static enum wm_status
mask_last(unsigned keep, const struct wm_value *in, struct wm_arena *arena, struct wm_value *ret, struct wm_error *err)
{
	size_t chars = 0, stars, from = in->len;
	char *text;

	for (size_t i = 0; i < in->len; i++)
		chars += starts_char(in->data[i]);
	/* A value no longer than what is kept would not be hidden at all. */
	stars = chars > keep ? chars - keep : chars;
	for (size_t kept = chars - stars; kept > 0; kept--) {
		do
			from--;
		while (!starts_char(in->data[from]));
	}
	text = wm_arena_alloc(arena, stars + in->len - from);
	if (text == NULL)
		return wm_oom(err, "a masked value");
	memset(text, '*', stars);
	memcpy(text + stars, in->data + from, in->len - from);
	*ret = text_value(text, stars + in->len - from);
	return WM_OK;
}

enum wm_status
wm_mask_apply(const struct wm_mask *mask, const void *key, size_t key_len, const struct wm_value *in,
    struct wm_arena *arena, struct wm_value *ret, struct wm_error *err)
{
	if (mask->kind == WM_MASK_NULL) {
		*ret = (struct wm_value){ .kind = WM_VALUE_NULL };
		return WM_OK;
	}
	if (in->kind == WM_VALUE_NULL || in->kind == WM_VALUE_UNCHANGED) {
		*ret = *in;
		return WM_OK;
	}
	switch (mask->kind) {
	case WM_MASK_SHA256:
		return mask_sha256(key, key_len, in, arena, ret, err);
	case WM_MASK_LAST:
		if (in->kind == WM_VALUE_TEXT && in->len > 0)
			return mask_last(mask->keep, in, arena, ret, err);
		*ret = text_value("***", in->len > 0 ? 3 : 0);
		return WM_OK;
	case WM_MASK_REDACT:
		*ret = text_value("***", 3);
		return WM_OK;
	case WM_MASK_TEXT:
		*ret = text_value(mask->text, strlen(mask->text));
		return WM_OK;
	case WM_MASK_NULL:
	case WM_MASK_NONE:
		break;
	}
	*ret = *in;
	return WM_OK;
}

/* ---- value tables ---- */

struct entry {
	const char	*from;
	size_t		 len;
	const char	*to;		/* NULL is SQL's NULL */
};

struct wm_lookup {
	bool		 has_rest;
	const char	*rest;		/* of "*" */
	size_t		 n;
	struct entry	 list[];	/* sorted */
};

static int
compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return memcmp(x->from, y->from, x->len);
}

struct wm_lookup *
wm_lookup_create(const struct wm_translate *table, bool boolean)
{
	const struct wm_settings *values = &table->values;
	struct wm_lookup *l = calloc(1, sizeof(*l) + values->n * sizeof(l->list[0]));

	if (l == NULL)
		return NULL;
	for (size_t i = 0; i < values->n; i++) {
		const char *from = values->list[i].column;

		if (strcmp(from, "*") == 0) {
			l->has_rest = true;
			l->rest = values->list[i].value;
			continue;
		}
		if (boolean && strcmp(from, "true") == 0)
			from = "t";
		else if (boolean && strcmp(from, "false") == 0)
			from = "f";
		l->list[l->n++] = (struct entry){ .from = from, .len = strlen(from), .to = values->list[i].value };
	}
	qsort(l->list, l->n, sizeof(l->list[0]), compare_entries);
	return l;
}

void
wm_lookup_free(struct wm_lookup *l)
{
	free(l);
}

struct wm_value
wm_lookup_find(const struct wm_lookup *l, const struct wm_value *in)
{
	const struct entry sought = { .from = in->len > 0 ? in->data : "", .len = in->len };
	const struct entry *found;
	const char *to;

	if (in->kind != WM_VALUE_TEXT)
		return *in;
	found = bsearch(&sought, l->list, l->n, sizeof(l->list[0]), compare_entries);
	if (found == NULL && !l->has_rest)
		return *in;
	to = found != NULL ? found->to : l->rest;
	return to != NULL ? text_value(to, strlen(to)) : (struct wm_value){ .kind = WM_VALUE_NULL };
}
