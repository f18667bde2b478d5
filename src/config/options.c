/* SPDX-License-Identifier: PostgreSQL */
/*
 * options.c - option tables applied to maps of a configuration file, or to single texts.
 *
 * A text is checked and stored in one place (set_text); its error is the end of a sentence
 * that begins with the option's name.  Values that came from a secret are never repeated.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "file.h"
#include "secrets.h"
#include "walmill/buf.h"
#include "walmill/config.h"
#include "walmill/strutil.h"

struct unit {
	const char	*name;
	int64_t		 factor;
};

static const struct unit sizes[] = {
	{ "GiB", 1ll << 30 },
	{ "MiB", 1ll << 20 },
	{ "KiB", 1ll << 10 },
	{ " bytes", 1 },
};

static const struct unit durations[] = {
	{ "d", 86400 * 1000000ll },
	{ "h", 3600 * 1000000ll },
	{ "min", 60 * 1000000ll },
	{ "s", 1000000ll },
	{ "ms", 1000 },
};

static void *
field(const struct wm_option *option, void *base)
{
	return (char *)base + option->offset;
}

static const void *
const_field(const struct wm_option *option, const void *base)
{
	return (const char *)base + option->offset;
}

static bool
holds_string(const struct wm_option *option)
{
	return option->kind == WM_OPT_STRING || option->kind == WM_OPT_SECRET || option->kind == WM_OPT_PATH;
}

/* A bound in the largest unit that divides it. */
static void
add_quantity(struct wm_buf *b, const struct unit *units, size_t n, int64_t v)
{
	for (size_t i = 0; i < n; i++) {
		if (v % units[i].factor == 0 && (v != 0 || i == n - 1)) {
			wm_buf_addf(b, "%" PRId64 "%s", v / units[i].factor, units[i].name);
			return;
		}
	}
	assert(!"a bound finer than its smallest unit");
}

static void
add_bound(struct wm_buf *b, const struct wm_option *option, int64_t v)
{
	if (option->kind == WM_OPT_SIZE)
		add_quantity(b, sizes, WM_ARRAY_SIZE(sizes), v);
	else if (option->kind == WM_OPT_DURATION)
		add_quantity(b, durations, WM_ARRAY_SIZE(durations), v);
	else
		wm_buf_addf(b, "%" PRId64, v);
}

static void
add_range(struct wm_buf *b, const struct wm_option *option)
{
	if (option->min == 0 && option->max == 0)
		return;
	if (option->max == INT64_MAX) {
		wm_buf_adds(b, " of at least ");
		add_bound(b, option, option->min);
		return;
	}
	wm_buf_adds(b, " from ");
	add_bound(b, option, option->min);
	wm_buf_adds(b, " to ");
	add_bound(b, option, option->max);
}

static size_t
count(const char *const *words)
{
	size_t n = 0;

	while (words != NULL && words[n] != NULL)
		n++;
	return n;
}

/* What the option takes: "must be ..." */
static void
add_expected(struct wm_buf *b, const struct wm_option *option)
{
	static const char *const expected[] = {
		[WM_OPT_STRING] = "a text",
		[WM_OPT_SECRET] = "a text",
		[WM_OPT_PATH] = "a path",
		[WM_OPT_BOOL] = "true or false",
		[WM_OPT_INT] = "a whole number",
		[WM_OPT_SIZE] = "a size such as 512KiB, 8MiB or 10GiB",
		[WM_OPT_DURATION] = "a duration such as 100ms, 5s, 10min, 2h or 1d",
		[WM_OPT_ENUM] = "one of ",
	};

	wm_buf_adds(b, "must be ");
	wm_buf_adds(b, expected[option->kind]);
	if (option->kind == WM_OPT_ENUM) {
		for (size_t i = 0; option->words[i] != NULL; i++)
			wm_buf_addf(b, "%s%s", i > 0 ? ", " : "", option->words[i]);
	}
	/* The example speaks of any size: "..., of at least 1MiB". */
	if (option->kind != WM_OPT_INT && (option->min != 0 || option->max != 0))
		wm_buf_addc(b, ',');
	add_range(b, option);
}

/* text: what was given; NULL when it may not be shown. */
static enum wm_status
refuse(const struct wm_option *option, const char *text, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf b;
	const char *nearest = NULL;

	wm_buf_init(&b, 1000);
	add_expected(&b, option);
	if (text != NULL && option->kind != WM_OPT_SECRET) {
		wm_buf_addf(&b, ", not \"%.100s\"", text);
		nearest = option->kind == WM_OPT_ENUM ? wm_nearest(text, option->words, count(option->words)) : NULL;
	}
	if (nearest != NULL)
		wm_buf_addf(&b, " (did you mean \"%s\"?)", nearest);
	return wm_fail(err, WM_FATAL, "%s", b.data);
}

static bool
parse_bool(const char *text, bool *ret)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on" };

	for (size_t i = 0; i < WM_ARRAY_SIZE(words); i++) {
		if (strcasecmp(text, words[i]) == 0) {
			*ret = i % 2 == 1;
			return true;
		}
	}
	return false;
}

static bool
parse_word(const char *text, const char *const *words, int *ret)
{
	for (int i = 0; words[i] != NULL; i++) {
		if (strcmp(text, words[i]) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static bool
within(const struct wm_option *option, int64_t v)
{
	return (option->min == 0 && option->max == 0) || (v >= option->min && v <= option->max);
}

static bool
store_value(const struct wm_option *option, const char *text, void *to)
{
	int64_t i;
	uint64_t u;

	switch (option->kind) {
	case WM_OPT_BOOL:
		return parse_bool(text, to);
	case WM_OPT_ENUM:
		return parse_word(text, option->words, to);
	case WM_OPT_INT:
		if (!wm_parse_i64(text, &i) || !within(option, i))
			return false;
		memcpy(to, &i, sizeof(i));
		return true;
	case WM_OPT_DURATION:
		if (!wm_parse_duration(text, &i) || !within(option, i))
			return false;
		memcpy(to, &i, sizeof(i));
		return true;
	case WM_OPT_SIZE:
		if (!wm_parse_size(text, &u) || !within(option, u > INT64_MAX ? INT64_MAX : (int64_t)u))
			return false;
		memcpy(to, &u, sizeof(u));
		return true;
	case WM_OPT_STRING:
	case WM_OPT_SECRET:
	case WM_OPT_PATH:
		break;
	}
	assert(!"strings are stored elsewhere");
	return false;
}

static enum wm_status
store_string(const struct wm_option *option, const char *text, const char *folder, char **to, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *joined = option->kind == WM_OPT_PATH ? wm_file_join(folder, text) : NULL;
	char *copy = NULL;

	if (text[0] == '\0' && (option->required || option->kind != WM_OPT_STRING))
		return wm_fail(err, WM_FATAL, "must not be empty");
	if (option->kind != WM_OPT_PATH)
		copy = strdup(text);
	else if (joined != NULL)
		copy = wm_file_absolute(joined);
	if (copy == NULL)
		return wm_oom(err, option->name);
	if (option->kind == WM_OPT_SECRET)
		wm_secrets_register(copy);
	wm_secrets_note_passwords(copy);
	free(*to);
	*to = copy;
	return WM_OK;
}

static enum wm_status
set_text(const struct wm_option *option, const char *text, bool secret, const char *folder, void *base,
    struct wm_error *err)
{
	if (holds_string(option))
		return store_string(option, text, folder, field(option, base), err);
	if (!store_value(option, text, field(option, base)))
		return refuse(option, secret ? NULL : text, err);
	return WM_OK;
}

enum wm_status
wm_option_set(const struct wm_option *option, const char *text, void *base, struct wm_error *err)
{
	struct wm_error why;

	if (set_text(option, text, false, "", base, &why) != WM_OK)
		return wm_fail(err, WM_FATAL, "\"%s\" %s", option->name, why.text);
	return WM_OK;
}

static const struct wm_pair *
find_pair(const struct wm_node *map, const char *key)
{
	for (size_t i = 0; map != NULL && i < map->n; i++) {
		if (strcmp(map->pairs[i].key, key) == 0)
			return &map->pairs[i];
	}
	return NULL;
}

static void
set_default(const struct wm_option *option, const char *folder, void *base, const struct wm_mark *mark,
    const char *what, struct wm_diags *diags)
{
	struct wm_error err;

	if (option->fallback == NULL)
		return;
	/* A fallback that is refused is a mistake in the table, unless memory is out. */
	if (set_text(option, option->fallback, false, folder, base, &err) != WM_OK)
		wm_diags_at(diags, WM_ERROR, mark, "default of \"%s\" in %s: %s", option->name, what, err.text);
}

static void
set_from_pair(const struct wm_option *option, const struct wm_pair *pair, const char *what, void *base,
    struct wm_diags *diags)
{
	const struct wm_node *node = pair->value;
	struct wm_error err;

	if (node->kind != WM_NODE_SCALAR) {
		refuse(option, NULL, &err);
		wm_diags_at(diags, WM_ERROR, &node->mark, "\"%s\" in %s %s, not a %s", option->name, what, err.text,
		    node->kind == WM_NODE_MAP ? "map" : "list");
	} else if (node->bad) {
		return;
	} else if (wm_node_is_null(node)) {
		wm_diags_at(diags, WM_ERROR, &pair->mark, "\"%s\" in %s has no value: give one or leave the key out",
		    option->name, what);
	} else if (set_text(option, node->text, node->secret, node->folder != NULL ? node->folder : "", base, &err) !=
	    WM_OK) {
		wm_diags_at(diags, WM_ERROR, &node->mark, "\"%s\" in %s %s", option->name, what, err.text);
	}
}

static void
report_missing(const struct wm_option *option, const struct wm_mark *mark, const char *what, struct wm_diags *diags)
{
	if (option->help != NULL)
		wm_diags_at(diags, WM_ERROR, mark, "%s lacks \"%s\" (%s)", what, option->name, option->help);
	else
		wm_diags_at(diags, WM_ERROR, mark, "%s lacks \"%s\"", what, option->name);
}

/* The names of the table and of also, NULL-terminated; NULL when memory is out. */
static const char **
known_names(const struct wm_option *options, const char *const *also)
{
	size_t n = 0, nalso = count(also);
	const char **names;

	while (options[n].name != NULL)
		n++;
	names = reallocarray(NULL, n + nalso + 1, sizeof(*names));
	if (names == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++)
		names[i] = options[i].name;
	for (size_t i = 0; i < nalso; i++)
		names[n + i] = also[i];
	names[n + nalso] = NULL;
	return names;
}

static void
check_keys(const struct wm_option *options, const struct wm_node *map, const char *what, const char *const *also,
    struct wm_diags *diags)
{
	WM_AUTO(wm_freep) const char **names = known_names(options, also);

	if (names == NULL)
		wm_diags_at(diags, WM_ERROR, &map->mark, "out of memory for %s", what);
	else
		wm_node_known_keys(map, what, names, diags);
}

void
wm_options_fill(const struct wm_option *options, const struct wm_node *map, const char *what,
    const char *const *also, void *base, struct wm_diags *diags)
{
	const struct wm_mark mark = map != NULL ? map->mark : (struct wm_mark){ 0 };
	const char *folder = map != NULL && map->folder != NULL ? map->folder : "";
	bool refused = false;

	if (map != NULL && map->kind != WM_NODE_MAP) {
		refused = !wm_node_is_null(map);
		if (refused)
			wm_diags_at(diags, WM_ERROR, &mark, "%s must be a map of options, not a %s", what,
			    map->kind == WM_NODE_LIST ? "list" : "text");
		map = NULL;
	}
	if (map != NULL)
		check_keys(options, map, what, also, diags);
	for (const struct wm_option *o = options; o->name != NULL; o++) {
		const struct wm_pair *pair = find_pair(map, o->name);

		/* Also when the file has a value, so that the struct is sound if that is refused. */
		set_default(o, folder, base, &mark, what, diags);
		if (pair != NULL)
			set_from_pair(o, pair, what, base, diags);
		else if (o->required && !refused)
			report_missing(o, &mark, what, diags);
	}
}

void
wm_options_free(const struct wm_option *options, void *base)
{
	for (const struct wm_option *o = options; o->name != NULL; o++) {
		if (holds_string(o)) {
			char **s = field(o, base);

			free(*s);
			*s = NULL;
		}
	}
}

static size_t
value_size(const struct wm_option *option)
{
	switch (option->kind) {
	case WM_OPT_BOOL:
		return sizeof(bool);
	case WM_OPT_ENUM:
		return sizeof(int);
	default:
		return sizeof(int64_t);
	}
}

static bool
copy_string(char *const *from, char **to)
{
	char *copy = *from != NULL ? strdup(*from) : NULL;

	if (*from != NULL && copy == NULL)
		return false;
	free(*to);
	*to = copy;
	return true;
}

enum wm_status
wm_options_copy(const struct wm_option *options, const void *from, void *to, struct wm_error *err)
{
	for (const struct wm_option *o = options; o->name != NULL; o++) {
		if (!holds_string(o))
			memcpy(field(o, to), const_field(o, from), value_size(o));
		else if (!copy_string(const_field(o, from), field(o, to)))
			return wm_oom(err, o->name);
	}
	return WM_OK;
}

static void
report_unknown(const struct wm_pair *pair, const char *what, const char *const *known, struct wm_diags *diags)
{
	WM_AUTO(wm_buf_free) struct wm_buf names;
	const char *nearest = wm_nearest(pair->key, known, count(known));

	wm_buf_init(&names, 1000);
	if (nearest != NULL) {
		wm_diags_at(diags, WM_ERROR, &pair->mark, "unknown key \"%s\" in %s (did you mean \"%s\"?)", pair->key,
		    what, nearest);
		return;
	}
	for (size_t i = 0; known[i] != NULL; i++)
		wm_buf_addf(&names, "%s%s", i > 0 ? ", " : "", known[i]);
	wm_diags_at(diags, WM_ERROR, &pair->mark, "unknown key \"%s\" in %s (known keys: %s)", pair->key, what,
	    names.data);
}

void
wm_node_known_keys(const struct wm_node *map, const char *what, const char *const *known, struct wm_diags *diags)
{
	for (size_t i = 0; map->kind == WM_NODE_MAP && i < map->n; i++) {
		size_t k = 0;

		while (known[k] != NULL && strcmp(known[k], map->pairs[i].key) != 0)
			k++;
		if (known[k] == NULL)
			report_unknown(&map->pairs[i], what, known, diags);
	}
}
