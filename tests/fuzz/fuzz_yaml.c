/* SPDX-License-Identifier: PostgreSQL */
/*
 * fuzz_yaml.c - fuzz target of the YAML reader: a document, and the same bytes as a
 * configuration.
 *
 * Besides not crashing: a document is there exactly when no error was found, and every node of
 * it and every error has a place.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "walmill/config.h"
#include "walmill/strutil.h"

static void
walk(const struct wm_node *node)
{
	require(node->mark.file != NULL && node->mark.line > 0 && node->mark.column > 0);
	if (node->kind == WM_NODE_SCALAR)
		require(node->text != NULL && !node->bad);
	for (size_t i = 0; i < node->n; i++) {
		if (node->kind == WM_NODE_LIST) {
			walk(node->items[i]);
			continue;
		}
		/* Keys are unique. */
		require(wm_node_get(node, node->pairs[i].key) == node->pairs[i].value);
		walk(node->pairs[i].value);
	}
}

static void
check_diags(struct wm_diags *diags, bool success)
{
	require(success == (diags->errors == 0));
	for (size_t i = 0; i < diags->n; i++)
		require(diags->list[i].place != NULL && diags->list[i].text[0] != '\0');
	wm_diags_free(diags);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	WM_AUTO(wm_freep) char *text = strndup((const char *)data, size);
	struct wm_diags diags = { 0 };
	struct wm_document *doc;
	struct wm_config *config;

	if (size > 65536 || text == NULL)
		return 0;
	doc = wm_document_parse("fuzz.yaml", (const char *)data, size, &diags);
	if (doc != NULL && wm_document_root(doc) != NULL)
		walk(wm_document_root(doc));
	check_diags(&diags, doc != NULL);
	wm_document_free(doc);
	config = wm_config_parse("fuzz.yaml", text, "/nonexistent", &diags);
	check_diags(&diags, config != NULL);
	wm_config_free(config);
	return 0;
}
