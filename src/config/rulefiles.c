/* SPDX-License-Identifier: PostgreSQL */
/*
 * rulefiles.c - finding and reading the rules files.
 *
 * What a rule's keys mean is the rules module's; here a rule is a map that lies in a list.
 */
#include "rulefiles.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "document.h"
#include "file.h"
#include "walmill/strutil.h"

#define DEFAULT_RULES "rules.d"

static const char *const known_keys[] = { "rules", NULL };

bool
wm_rulefiles_keep(struct wm_config *config, struct wm_document *doc)
{
	struct wm_document **list = reallocarray(config->documents, config->ndocuments + 1, sizeof(*list));

	if (list == NULL)
		return false;
	config->documents = list;
	list[config->ndocuments++] = doc;
	return true;
}

static void
out_of_memory(const struct wm_mark *mark, struct wm_diags *diags)
{
	wm_diags_at(diags, WM_ERROR, mark, "out of memory for the rules");
}

static void
add_rules(struct wm_config *config, const struct wm_node *list, struct wm_diags *diags)
{
	const struct wm_node **rules;

	if (list->kind != WM_NODE_LIST) {
		wm_diags_at(diags, WM_ERROR, &list->mark, "rules must be a list, such as \"- table: public.orders\"");
		return;
	}
	rules = reallocarray(config->rules, config->nrules + list->n + 1, sizeof(*rules));
	if (rules == NULL) {
		out_of_memory(&list->mark, diags);
		return;
	}
	config->rules = rules;
	for (size_t i = 0; i < list->n; i++) {
		if (list->items[i]->kind == WM_NODE_MAP)
			rules[config->nrules++] = list->items[i];
		else
			wm_diags_at(diags, WM_ERROR, &list->items[i]->mark,
			    "a rule must be a map, such as \"- table: public.orders\"");
	}
}

static void
read_file(struct wm_config *config, const char *path, const struct wm_mark *mark, struct wm_diags *diags)
{
	struct wm_document *doc = wm_document_load_partial(path, mark, diags);
	const struct wm_node *root, *list;

	if (doc == NULL)
		return;
	if (!wm_rulefiles_keep(config, doc)) {
		out_of_memory(mark, diags);
		wm_document_free(doc);
		return;
	}
	root = wm_document_root(doc);
	if (root == NULL || wm_node_is_null(root))
		return;
	if (root->kind != WM_NODE_MAP) {
		add_rules(config, root, diags);
		return;
	}
	wm_node_known_keys(root, "the rules file", known_keys, diags);
	list = wm_node_get(root, "rules");
	if (list != NULL && !wm_node_is_null(list))
		add_rules(config, list, diags);
}

static int
is_rules_file(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return entry->d_name[0] != '.' && (strcmp(dot != NULL ? dot : "", ".yaml") == 0 ||
	    strcmp(dot != NULL ? dot : "", ".yml") == 0);
}

/* Not alphasort, which depends on the locale. */
static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void
read_folder(struct wm_config *config, const char *folder, const struct wm_mark *mark, struct wm_diags *diags)
{
	struct dirent **entries;
	int n = scandir(folder, &entries, is_rules_file, by_name);

	if (n < 0) {
		wm_diags_at(diags, WM_ERROR, mark, "rules folder \"%s\" cannot be read: %s", folder, strerror(errno));
		return;
	}
	for (int i = 0; i < n; i++) {
		WM_AUTO(wm_freep) char *path = wm_file_join(folder, entries[i]->d_name);

		if (path != NULL)
			read_file(config, path, mark, diags);
		else
			out_of_memory(mark, diags);
		free(entries[i]);
	}
	free(entries);
}

static void
read_path(struct wm_config *config, const char *path, const struct wm_mark *mark, struct wm_diags *diags)
{
	struct stat st;

	if (stat(path, &st) != 0 && errno == ENOENT)
		wm_diags_at(diags, WM_ERROR, mark,
		    "rules \"%s\" does not exist: make that folder, or name the folder or "
		    "file that holds the rules in \"rules:\"",
		    path);
	else if (stat(path, &st) != 0)
		wm_diags_at(diags, WM_ERROR, mark, "rules \"%s\" cannot be read: %s", path, strerror(errno));
	else if (S_ISDIR(st.st_mode))
		read_folder(config, path, mark, diags);
	else
		read_file(config, path, mark, diags);
}

void
wm_rulefiles_load(struct wm_config *config, const struct wm_node *root, const char *written_folder,
    struct wm_diags *diags)
{
	const struct wm_node *node = wm_node_get(root, "rules");
	const struct wm_mark *mark = node != NULL ? &node->mark : &root->mark;
	const char *text = node != NULL && node->kind == WM_NODE_SCALAR ? node->text : DEFAULT_RULES;
	WM_AUTO(wm_freep) char *path = wm_file_join(written_folder, text);
	size_t errors = diags->errors;

	if (node != NULL && node->bad)
		return;
	if (path == NULL) {
		out_of_memory(mark, diags);
		return;
	}
	if (node != NULL && node->kind == WM_NODE_MAP)
		wm_diags_at(diags, WM_ERROR, mark, "\"rules\" must be a folder, a file, or a list of rules, not a map");
	else if (node != NULL && node->kind == WM_NODE_LIST)
		add_rules(config, node, diags);
	else if (node != NULL && (wm_node_is_null(node) || node->text[0] == '\0'))
		wm_diags_at(diags, WM_ERROR, mark,
		    "\"rules\" has no value: name a folder or a file, or list the rules");
	else
		read_path(config, path, mark, diags);
	if (config->nrules == 0 && diags->errors == errors)
		wm_diags_at(diags, WM_WARNING, mark, "there are no rules%s%s: nothing will be replicated",
		    node == NULL || node->kind == WM_NODE_SCALAR ? " in " : "",
		    node == NULL || node->kind == WM_NODE_SCALAR ? path : "");
}
