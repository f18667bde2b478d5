/* SPDX-License-Identifier: PostgreSQL */
/*
 * document.c - YAML files as trees of struct wm_node.
 *
 * libyaml composes its own document; this copies it into an arena, with marks from 1, aliases
 * expanded and secrets filled in.  A copy of an alias is a node of its own, so that a reader
 * meets a tree; the file's size, the nesting and the size of the tree are bounded, which
 * refuses a file whose aliases multiply.
 */
#include "document.h"

#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "file.h"
#include "secrets.h"
#include "syntax.h"
#include "walmill/arena.h"
#include "walmill/strutil.h"

#define FILE_MAX (8u << 20)		/* bytes */
#define TREE_MAX (64u << 20)		/* bytes, aliases expanded */
#define TEXT_MAX (1u << 20)		/* bytes of one scalar with its secrets */

#define STANDARD_TAGS "tag:yaml.org,2002:"

struct wm_document {
	struct wm_arena	*arena;		/* holds everything below */
	char		*file, *folder;
	struct wm_node	*root;		/* NULL: empty file */
};

struct composer {
	struct wm_document	*doc;
	yaml_document_t		*yaml;
	struct wm_diags		*diags;
	unsigned		 depth;
};

static struct wm_node *compose(struct composer *c, int id);

static void
out_of_memory(const struct wm_document *doc, struct wm_diags *diags)
{
	const struct wm_mark mark = { .file = doc->file, .line = 1, .column = 1 };

	wm_diags_at(diags, WM_ERROR, &mark, "out of memory for this file");
}

/*
 * "!public.tmp_*" is YAML for an empty value with a tag, but what a rule means by it is the
 * text; other tags would be lost silently.  Returns the text, or NULL after an error.
 */
static const char *
scalar_text(struct composer *c, const yaml_node_t *y, const struct wm_mark *mark)
{
	const char *tag = (const char *)y->tag, *text = (const char *)y->data.scalar.value;

	if (strlen(text) != y->data.scalar.length) {
		wm_diags_at(c->diags, WM_ERROR, mark, "a value must not hold a NUL character");
		return NULL;
	}
	if (tag == NULL || strncmp(tag, STANDARD_TAGS, strlen(STANDARD_TAGS)) == 0)
		return text;
	if (tag[0] == '!' && text[0] == '\0' && y->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		return tag;
	wm_diags_at(c->diags, WM_ERROR, mark, "unknown YAML tag \"%s\": quote a value that begins with \"!\"", tag);
	return NULL;
}

static struct wm_node *
compose_scalar(struct composer *c, const yaml_node_t *y, struct wm_node *node)
{
	WM_AUTO(wm_buf_free) struct wm_buf filled;
	const char *text = scalar_text(c, y, &node->mark);
	enum wm_secrets_outcome outcome = WM_SECRETS_BAD;

	wm_buf_init(&filled, TEXT_MAX);
	if (text != NULL)
		outcome = wm_secrets_fill(text, node->folder, &node->mark, c->diags, &filled);
	if (filled.failed) {
		wm_diags_at(c->diags, WM_ERROR, &node->mark, "this value is longer than %u bytes", TEXT_MAX);
		return NULL;
	}
	node->kind = WM_NODE_SCALAR;
	node->secret = outcome == WM_SECRETS_FILLED;
	node->bad = outcome == WM_SECRETS_BAD;
	/* A secret that reads "null" is still a text. */
	node->plain = outcome == WM_SECRETS_NONE && y->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	    text == (const char *)y->data.scalar.value;
	node->text = wm_arena_dup(c->doc->arena, filled.data, filled.len);
	if (filled.len > 0 && node->secret)
		explicit_bzero(filled.data, filled.len);
	if (node->text != NULL && text != NULL && outcome != WM_SECRETS_NONE)
		node->written = wm_arena_strdup(c->doc->arena, text);
	if (node->text == NULL)
		out_of_memory(c->doc, c->diags);
	return node->text != NULL ? node : NULL;
}

char *
wm_node_file(const struct wm_node *node)
{
	static const char begin[] = "${file:";
	WM_AUTO(wm_freep) char *path = NULL;
	const char *end = node->written == NULL ? NULL : strchr(node->written, '}');

	if (end == NULL || end[1] != '\0' || strncmp(node->written, begin, strlen(begin)) != 0)
		return NULL;
	path = strndup(node->written + strlen(begin), (size_t)(end - node->written) - strlen(begin));
	return path == NULL || path[0] == '\0' ? NULL : wm_file_join(node->folder, path);
}

static int
compare_pairs(const void *a, const void *b)
{
	const struct wm_pair *const *x = a, *const *y = b;
	int order = strcmp((*x)->key, (*y)->key);

	/* The pairs lie in one array, in the file's order. */
	return order != 0 ? order : (*x > *y) - (*x < *y);
}

static bool
report_duplicates(struct composer *c, const struct wm_node *node)
{
	WM_AUTO(wm_freep) const struct wm_pair **sorted =
	    reallocarray(NULL, node->n + 1, sizeof(const struct wm_pair *));
	size_t first = 0;

	if (sorted == NULL) {
		out_of_memory(c->doc, c->diags);
		return false;
	}
	for (size_t i = 0; i < node->n; i++)
		sorted[i] = &node->pairs[i];
	qsort(sorted, node->n, sizeof(struct wm_pair *), compare_pairs);
	for (size_t i = 1; i < node->n; i++) {
		if (strcmp(sorted[first]->key, sorted[i]->key) != 0)
			first = i;
		else
			wm_diags_at(c->diags, WM_ERROR, &sorted[i]->mark, "duplicate key \"%s\" (first in line %u)",
			    sorted[i]->key, sorted[first]->mark.line);
	}
	return true;
}

static bool
is_absent(const struct wm_node *node)
{
	return node->kind == WM_NODE_SCALAR && node->plain && node->text[0] == '\0';
}

/* False stops all; a key that is no text is reported and left out. */
static bool
compose_pair(struct composer *c, const yaml_node_pair_t *from, struct wm_node *map)
{
	const yaml_node_t *key = yaml_document_get_node(c->yaml, from->key);
	struct wm_pair *pair = &map->pairs[map->n];
	const char *text;

	pair->mark = wm_syntax_mark(c->doc->file, &key->start_mark);
	if (key->type != YAML_SCALAR_NODE) {
		wm_diags_at(c->diags, WM_ERROR, &pair->mark, "a key must be a text, not a %s",
		    key->type == YAML_MAPPING_NODE ? "map" : "list");
		return true;
	}
	text = scalar_text(c, key, &pair->mark);
	if (text == NULL)
		return true;
	pair->key = wm_arena_strdup(c->doc->arena, text);
	if (pair->key == NULL) {
		out_of_memory(c->doc, c->diags);
		return false;
	}
	pair->value = compose(c, from->value);
	if (pair->value == NULL)
		return false;
	/* libyaml places a value that is not there at whatever follows it. */
	if (is_absent(pair->value))
		pair->value->mark = pair->mark;
	map->n++;
	return true;
}

static struct wm_node *
compose_map(struct composer *c, const yaml_node_t *y, struct wm_node *node)
{
	const yaml_node_pair_t *from = y->data.mapping.pairs.start, *end = y->data.mapping.pairs.top;

	node->kind = WM_NODE_MAP;
	node->pairs = wm_arena_calloc(c->doc->arena, (size_t)(end - from), sizeof(*node->pairs));
	if (node->pairs == NULL) {
		out_of_memory(c->doc, c->diags);
		return NULL;
	}
	for (; from < end; from++) {
		if (!compose_pair(c, from, node))
			return NULL;
	}
	return report_duplicates(c, node) ? node : NULL;
}

static struct wm_node *
compose_list(struct composer *c, const yaml_node_t *y, struct wm_node *node)
{
	const yaml_node_item_t *from = y->data.sequence.items.start, *end = y->data.sequence.items.top;

	node->kind = WM_NODE_LIST;
	node->items = wm_arena_calloc(c->doc->arena, (size_t)(end - from), sizeof(*node->items));
	if (node->items == NULL) {
		out_of_memory(c->doc, c->diags);
		return NULL;
	}
	for (; from < end; from++) {
		node->items[node->n] = compose(c, *from);
		if (node->items[node->n++] == NULL)
			return NULL;
	}
	return node;
}

/* NULL after an error that leaves no tree. */
static struct wm_node *
compose(struct composer *c, int id)
{
	const yaml_node_t *y = yaml_document_get_node(c->yaml, id);
	struct wm_mark mark = wm_syntax_mark(c->doc->file, &y->start_mark);
	struct wm_node *node;

	if (c->depth >= WM_SYNTAX_DEPTH_MAX) {
		wm_diags_at(c->diags, WM_ERROR, &mark, "aliases nest maps and lists deeper than %d levels here "
		    "(one that holds itself?)", WM_SYNTAX_DEPTH_MAX);
		return NULL;
	}
	if (wm_arena_used(c->doc->arena) > TREE_MAX) {
		wm_diags_at(c->diags, WM_ERROR, &mark, "the file grows beyond %u MiB when its aliases are expanded",
		    TREE_MAX >> 20);
		return NULL;
	}
	node = wm_arena_calloc(c->doc->arena, 1, sizeof(*node));
	if (node == NULL) {
		out_of_memory(c->doc, c->diags);
		return NULL;
	}
	node->mark = mark;
	node->folder = c->doc->folder;
	if (y->type == YAML_SCALAR_NODE)
		return compose_scalar(c, y, node);
	c->depth++;
	node = y->type == YAML_MAPPING_NODE ? compose_map(c, y, node) : compose_list(c, y, node);
	c->depth--;
	return node;
}

static bool
fill_document(struct wm_document *doc, const char *bytes, size_t n, struct wm_diags *diags)
{
	yaml_parser_t storage;
	WM_AUTO(wm_syntax_delete_parserp) yaml_parser_t *parser = &storage;
	struct composer c = { .doc = doc, .diags = diags };
	yaml_document_t yaml;

	/* Cleared by a failed initialisation, so deleting it is safe. */
	if (!yaml_parser_initialize(parser)) {
		out_of_memory(doc, diags);
		return false;
	}
	yaml_parser_set_input_string(parser, (const unsigned char *)bytes, n);
	if (!yaml_parser_load(parser, &yaml)) {
		wm_syntax_report(doc->file, parser, bytes, n, diags);
		return false;
	}
	c.yaml = &yaml;
	if (yaml_document_get_root_node(&yaml) != NULL) {
		doc->root = compose(&c, 1);
		yaml_document_delete(&yaml);
		return doc->root != NULL;
	}
	yaml_document_delete(&yaml);
	return true;
}

static struct wm_document *
new_document(const char *name, const char *folder)
{
	WM_AUTO(wm_freep) char *written = folder != NULL ? strdup(folder) : wm_file_folder(name);
	WM_AUTO(wm_freep) char *absolute = written != NULL ? wm_file_absolute(written) : NULL;
	struct wm_document *doc = calloc(1, sizeof(*doc));

	if (doc != NULL)
		doc->arena = wm_arena_create(16384);
	if (doc != NULL && doc->arena != NULL && absolute != NULL) {
		doc->file = wm_arena_strdup(doc->arena, name);
		doc->folder = wm_arena_strdup(doc->arena, absolute);
	}
	if (doc == NULL || doc->file == NULL || doc->folder == NULL) {
		wm_document_free(doc);
		return NULL;
	}
	return doc;
}

struct wm_document *
wm_document_parse_partial(const char *name, const char *folder, const char *bytes, size_t n, struct wm_diags *diags)
{
	struct wm_document *doc = new_document(name, folder);
	const struct wm_mark mark = { .file = name, .line = 1, .column = 1 };

	if (doc == NULL) {
		wm_diags_at(diags, WM_ERROR, &mark, "out of memory for this file");
		return NULL;
	}
	if (n > FILE_MAX) {
		wm_diags_at(diags, WM_ERROR, &mark, "the file is larger than %u MiB", FILE_MAX >> 20);
	} else if (wm_syntax_check(doc->file, bytes, n, diags) && fill_document(doc, bytes, n, diags)) {
		return doc;
	}
	wm_document_free(doc);
	return NULL;
}

struct wm_document *
wm_document_load_partial(const char *path, const struct wm_mark *mark, struct wm_diags *diags)
{
	WM_AUTO(wm_freep) char *bytes = NULL;
	struct wm_error err;
	size_t n;

	if (wm_file_read(path, FILE_MAX, &bytes, &n, NULL, &err) != WM_OK) {
		if (mark != NULL)
			wm_diags_at(diags, WM_ERROR, mark, "file \"%s\" cannot be read: %s", path, err.text);
		else
			wm_diags_add(diags, WM_ERROR, path, "name the file with -c, or let walmill init write one",
			    "this file cannot be read: %s", err.text);
		return NULL;
	}
	return wm_document_parse_partial(path, NULL, bytes, n, diags);
}

const char *
wm_document_file(const struct wm_document *doc)
{
	return doc->file;
}

const char *
wm_document_folder(const struct wm_document *doc)
{
	return doc->folder;
}

static struct wm_document *
only_without_errors(struct wm_document *doc, size_t errors, const struct wm_diags *diags)
{
	if (doc == NULL || diags->errors == errors)
		return doc;
	wm_document_free(doc);
	return NULL;
}

struct wm_document *
wm_document_load(const char *path, struct wm_diags *diags)
{
	size_t errors = diags->errors;

	return only_without_errors(wm_document_load_partial(path, NULL, diags), errors, diags);
}

struct wm_document *
wm_document_parse(const char *name, const char *bytes, size_t n, struct wm_diags *diags)
{
	size_t errors = diags->errors;

	return only_without_errors(wm_document_parse_partial(name, NULL, bytes, n, diags), errors, diags);
}

const struct wm_node *
wm_document_root(const struct wm_document *doc)
{
	return doc->root;
}

void
wm_document_free(struct wm_document *doc)
{
	if (doc == NULL)
		return;
	wm_arena_destroy(doc->arena);
	free(doc);
}

const struct wm_node *
wm_node_get(const struct wm_node *map, const char *key)
{
	if (map == NULL || map->kind != WM_NODE_MAP)
		return NULL;
	for (size_t i = 0; i < map->n; i++) {
		if (strcmp(map->pairs[i].key, key) == 0)
			return map->pairs[i].value;
	}
	return NULL;
}

bool
wm_node_is_null(const struct wm_node *node)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };

	if (node->kind != WM_NODE_SCALAR || !node->plain)
		return false;
	for (size_t i = 0; i < WM_ARRAY_SIZE(words); i++) {
		if (strcmp(node->text, words[i]) == 0)
			return true;
	}
	return false;
}
