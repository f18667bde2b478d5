/* SPDX-License-Identifier: PostgreSQL */
/*
 * config.c - walmill.yaml as struct wm_config.
 *
 * Each section is read whatever is wrong with the others, so that all mistakes are reported
 * at once; in the end the errors in diags decide whether the configuration is handed out.
 */
#include "walmill/config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "document.h"
#include "file.h"
#include "rulefiles.h"
#include "secrets.h"
#include "sections.h"
#include "walmill/strutil.h"

static const struct wm_option top_options[] = {
	{ .name = "state", .kind = WM_OPT_PATH, .offset = offsetof(struct wm_config, state),
	    .fallback = WM_STATEDIR, .help = "folder of checkpoints, journal and dead letters" },
	{ .name = "memory", .kind = WM_OPT_SIZE, .offset = offsetof(struct wm_config, memory), .fallback = "48MiB",
	    .min = 1 << 20, .max = INT64_MAX, .help = "changes held in memory for each source" },
	{ .name = "mask_key", .kind = WM_OPT_SECRET, .offset = offsetof(struct wm_config, mask_key),
	    .help = "key of sha256 masks; one is made in the state folder when left out" },
	{ 0 },
};

static const char *const top_sections[] = { "sources", "targets", "rules", "journal", "receipts",
	"admin", "alerts", "log", NULL };

static const struct wm_option journal_options[] = {
	{ .name = "max_bytes", .kind = WM_OPT_SIZE, .offset = offsetof(struct wm_config, journal_max_bytes),
	    .fallback = "10GiB", .min = 1 << 20, .max = INT64_MAX,
	    .help = "bound of the journal, where walmill stops acknowledging" },
	{ 0 },
};

static const struct wm_option receipts_options[] = {
	{ .name = "keep",
	    .kind = WM_OPT_DURATION,
	    .offset = offsetof(struct wm_config, receipts_keep),
	    .fallback = "7d",
	    .min = 1000 * 1000,
	    .max = 36500LL * 86400 * 1000 * 1000,
	    .help = "how long receipts are kept" },
	{ .name = "max_bytes",
	    .kind = WM_OPT_SIZE,
	    .offset = offsetof(struct wm_config, receipts_max_bytes),
	    .fallback = "64MiB",
	    .min = 1 << 20,
	    .max = INT64_MAX,
	    .help = "bound of the receipts, where the oldest go" },
	{ 0 },
};

static const struct wm_option admin_options[] = {
	{ .name = "socket", .kind = WM_OPT_PATH, .offset = offsetof(struct wm_config, admin_socket),
	    .fallback = WM_RUNDIR "/walmill.sock", .help = "control socket" },
	{ .name = "listen", .kind = WM_OPT_STRING, .offset = offsetof(struct wm_config, admin_listen),
	    .help = "HOST:PORT of the HTTP API; none when left out" },
	{ .name = "secret_key", .kind = WM_OPT_SECRET, .offset = offsetof(struct wm_config, admin_secret_key),
	    .help = "what callers of the HTTP API must send" },
	{ 0 },
};

static const char *const log_formats[] = { "text", "json", NULL };
static const char *const log_levels[] = { "error", "warning", "info", "debug", NULL };

static const struct wm_option log_options[] = {
	{ .name = "format", .kind = WM_OPT_ENUM, .offset = offsetof(struct wm_config, log_format), .fallback = "text",
	    .words = log_formats, .help = "form of the lines on stderr" },
	{ .name = "level", .kind = WM_OPT_ENUM, .offset = offsetof(struct wm_config, log_level), .fallback = "info",
	    .words = log_levels, .help = "the least important messages that are written" },
	{ 0 },
};

static const struct wm_mark *
mark_of(const struct wm_node *node, const struct wm_node *otherwise)
{
	return node != NULL ? &node->mark : &otherwise->mark;
}

/* YAML's ways to write a switch in place of a map or a path; quoted they are texts. */
static bool
is_switch(const struct wm_node *node, const char *a, const char *b, const char *c)
{
	return node != NULL && node->kind == WM_NODE_SCALAR && node->plain &&
	    (strcasecmp(node->text, a) == 0 || strcasecmp(node->text, b) == 0 ||
	    strcasecmp(node->text, c) == 0);
}

bool
wm_section_off(const struct wm_node *node)
{
	return is_switch(node, "off", "no", "false");
}

bool
wm_section_on(const struct wm_node *node)
{
	return is_switch(node, "on", "yes", "true");
}

bool
wm_section_consists_of(const char *s, bool (*allowed)(char c))
{
	if (s[0] == '\0')
		return false;
	while (*s != '\0' && allowed(*s))
		s++;
	return *s == '\0';
}

static bool
in_name(char c)
{
	return (c & 0x80) == 0 && (isalnum((unsigned char)c) || c == '_' || c == '.' || c == '-');
}

void
wm_section_check_name(const struct wm_pair *pair, const char *what, struct wm_diags *diags)
{
	if (!wm_section_consists_of(pair->key, in_name))
		wm_diags_at(diags, WM_ERROR, &pair->mark,
		    "%s name \"%s\" must be made of letters, digits, \"_\", \".\" and \"-\"", what, pair->key);
	else if (*pair->key == '.')
		/* Names are names of folders, too. */
		wm_diags_at(diags, WM_ERROR, &pair->mark, "%s name \"%s\" must not begin with a dot", what, pair->key);
}

/* A section that must have entries; NULL after an error. */
const struct wm_node *
wm_section_named(const struct wm_node *root, const char *key, const char *example, struct wm_diags *diags)
{
	const struct wm_node *node = wm_node_get(root, key);

	if (node == NULL || wm_node_is_null(node) || (node->kind == WM_NODE_MAP && node->n == 0)) {
		wm_diags_at(diags, WM_ERROR, mark_of(node, root), "there are no %s: add \"%s: %s\"", key, key, example);
		return NULL;
	}
	if (node->kind != WM_NODE_MAP) {
		wm_diags_at(diags, WM_ERROR, &node->mark, "%s must be a map of names, such as \"%s: %s\"", key, key,
		    example);
		return NULL;
	}
	return node;
}

void
wm_section_out_of_memory(const struct wm_mark *mark, struct wm_diags *diags)
{
	wm_diags_at(diags, WM_ERROR, mark, "out of memory for the configuration");
}

/* ---- targets ---- */

static void
check_target(const struct wm_pair *pair, struct wm_diags *diags)
{
	const struct wm_node *type = wm_node_get(pair->value, "type");

	wm_section_check_name(pair, "target", diags);
	if (pair->value->kind != WM_NODE_MAP)
		wm_diags_at(diags, WM_ERROR, &pair->value->mark,
		    "target \"%s\" must be a map of options, such as {type: sqlite, path: FILE}", pair->key);
	else if (type == NULL)
		wm_diags_at(diags, WM_ERROR, &pair->value->mark,
		    "target \"%s\" lacks \"type\" (its kind, such as sqlite or postgres)", pair->key);
	else if (type->kind != WM_NODE_SCALAR || wm_node_is_null(type))
		wm_diags_at(diags, WM_ERROR, &type->mark,
		    "\"type\" in target \"%s\" must be a word, such as sqlite%s", pair->key,
		    type->kind == WM_NODE_SCALAR ?
			"; the target that keeps nothing is \"null\", in quotes" :
			"");
}

static void
read_targets(struct wm_config *config, const struct wm_node *root, struct wm_diags *diags)
{
	const struct wm_node *map = wm_section_named(root, "targets", "{NAME: {type: sqlite, path: FILE}}", diags);

	if (map == NULL)
		return;
	config->targets = calloc(map->n, sizeof(*config->targets));
	for (size_t i = 0; config->targets != NULL && i < map->n; i++) {
		const struct wm_pair *pair = &map->pairs[i];
		struct wm_target_config *target = &config->targets[config->ntargets];

		check_target(pair, diags);
		if (pair->value->kind != WM_NODE_MAP)
			continue;
		target->name = strdup(pair->key);
		if (target->name == NULL) {
			wm_section_out_of_memory(&pair->mark, diags);
			return;
		}
		target->mark = pair->mark;
		target->node = pair->value;
		config->ntargets++;
	}
	if (config->targets == NULL)
		wm_section_out_of_memory(&map->mark, diags);
}

/* ---- the small sections ---- */

static void
read_journal(struct wm_config *config, const struct wm_node *root, struct wm_diags *diags)
{
	const struct wm_node *node = wm_node_get(root, "journal");

	config->journal = !wm_section_off(node);
	if (wm_section_off(node) || wm_section_on(node))
		node = NULL;
	wm_options_fill(journal_options, node, "journal", NULL, config, diags);
}

static void
read_receipts(struct wm_config *config, const struct wm_node *root, struct wm_diags *diags)
{
	const struct wm_node *node = wm_node_get(root, "receipts");

	config->receipts = !wm_section_off(node);
	if (wm_section_off(node) || wm_section_on(node))
		node = NULL;
	wm_options_fill(receipts_options, node, "receipts", NULL, config, diags);
}

/* HOST:PORT; an IPv6 address stands in brackets. */
static bool
is_address(const char *s)
{
	const char *colon = strrchr(s, ':');
	uint64_t port;

	if (colon == NULL || colon == s || !wm_parse_u64(colon + 1, &port) || port < 1 || port > 65535)
		return false;
	if (s[0] == '[')
		return colon[-1] == ']';
	return memchr(s, ':', (size_t)(colon - s)) == NULL;
}

static void
check_placeholder(const char *secret, const struct wm_node *node, const char *key, struct wm_diags *diags)
{
	if (secret != NULL && wm_secrets_is_placeholder(secret))
		wm_diags_at(diags, WM_ERROR, &node->mark,
		    "\"%s\" is a placeholder: make a real one with \"openssl rand -hex 32\"", key);
}

static void
check_admin(const struct wm_config *config, const struct wm_node *admin, struct wm_diags *diags)
{
	const struct wm_node *listen = wm_node_get(admin, "listen"), *key = wm_node_get(admin, "secret_key");

	check_placeholder(config->admin_secret_key, key, "secret_key", diags);
	if (config->admin_listen == NULL)
		return;
	if (!is_address(config->admin_listen))
		wm_diags_at(diags, WM_ERROR, &listen->mark,
		    "\"listen\" in admin must be HOST:PORT, such as 127.0.0.1:8042, not \"%s\"",
		    listen->secret ? "***" : config->admin_listen);
	if (key == NULL)
		wm_diags_at(diags, WM_ERROR, &listen->mark, "\"listen\" in admin needs a \"secret_key\": "
		    "add secret_key: ${env:WALMILL_SECRET_KEY}");
}

static void
read_admin(struct wm_config *config, const struct wm_node *root, struct wm_diags *diags)
{
	const struct wm_node *admin = wm_node_get(root, "admin");

	wm_options_fill(admin_options, admin, "admin", NULL, config, diags);
	check_admin(config, admin, diags);
	if (wm_section_off(wm_node_get(admin, "socket"))) {
		free(config->admin_socket);
		config->admin_socket = NULL;
	}
}

/* ---- the whole ---- */

static void
read_root(struct wm_config *config, const struct wm_node *root, const char *written_folder, struct wm_diags *diags)
{
	wm_options_fill(top_options, root, "the configuration", top_sections, config, diags);
	check_placeholder(config->mask_key, wm_node_get(root, "mask_key"), "mask_key", diags);
	wm_sources_read(config, root, diags);
	read_targets(config, root, diags);
	read_journal(config, root, diags);
	read_receipts(config, root, diags);
	read_admin(config, root, diags);
	wm_alerts_read(config, root, diags);
	wm_options_fill(log_options, wm_node_get(root, "log"), "log", NULL, config, diags);
	wm_rulefiles_load(config, root, written_folder, diags);
}

/* Takes the document over.  NULL only when there is nothing to go on with. */
static struct wm_config *
read_config(struct wm_document *doc, const char *path, const char *written_folder, struct wm_diags *diags)
{
	const struct wm_node *root = wm_document_root(doc);
	const struct wm_mark start = { .file = wm_document_file(doc), .line = 1, .column = 1 };
	struct wm_config *config = calloc(1, sizeof(*config));

	if (config == NULL || !wm_rulefiles_keep(config, doc)) {
		wm_section_out_of_memory(&start, diags);
		wm_document_free(doc);
		free(config);
		return NULL;
	}
	config->path = path != NULL ? strdup(path) : NULL;
	config->folder = strdup(wm_document_folder(doc));
	if (config->folder == NULL || (path != NULL && config->path == NULL)) {
		wm_section_out_of_memory(&start, diags);
	} else if (root == NULL || wm_node_is_null(root)) {
		wm_diags_at(diags, WM_ERROR, &start,
		    "the file is empty: add sources and targets, or let walmill init write one");
	} else if (root->kind != WM_NODE_MAP) {
		wm_diags_at(diags, WM_ERROR, &root->mark,
		    "the configuration must be a map with sources, targets and rules");
	} else {
		read_root(config, root, written_folder, diags);
		return config;
	}
	wm_config_free(config);
	return NULL;
}

static struct wm_config *
only_without_errors(struct wm_config *config, const struct wm_diags *diags)
{
	if (diags->errors == 0)
		return config;
	wm_config_free(config);
	return NULL;
}

struct wm_config *
wm_config_load_partial(const char *path, struct wm_diags *diags)
{
	WM_AUTO(wm_freep) char *written_folder = wm_file_folder(path);
	struct wm_document *doc = wm_document_load_partial(path, NULL, diags);

	if (doc == NULL || written_folder == NULL) {
		wm_document_free(doc);
		return NULL;
	}
	return read_config(doc, path, written_folder, diags);
}

struct wm_config *
wm_config_load(const char *path, struct wm_diags *diags)
{
	return only_without_errors(wm_config_load_partial(path, diags), diags);
}

struct wm_config *
wm_config_parse(const char *name, const char *text, const char *folder, struct wm_diags *diags)
{
	struct wm_document *doc = wm_document_parse_partial(name, folder, text, strlen(text), diags);

	if (doc == NULL)
		return NULL;
	return only_without_errors(read_config(doc, NULL, folder, diags), diags);
}

void
wm_config_free(struct wm_config *config)
{
	if (config == NULL)
		return;
	wm_sources_free(config);
	for (size_t i = 0; i < config->ntargets; i++)
		free(config->targets[i].name);
	for (size_t i = 0; i < config->nalerts; i++)
		wm_options_free(wm_alert_options, &config->alerts[i]);
	wm_options_free(top_options, config);
	wm_options_free(admin_options, config);
	for (size_t i = 0; i < config->ndocuments; i++)
		wm_document_free(config->documents[i]);
	free(config->targets);
	free(config->alerts);
	free(config->rules);
	free(config->documents);
	free(config->path);
	free(config->folder);
	free(config);
}

static char *
folder_of(const struct wm_config *config, const char *what, const char *source)
{
	char *folder = wm_asprintf("%s/%s/%s", config->state, what, source);
	char *slash = folder == NULL ? NULL : strrchr(folder, '/'), *lane = strchr(source, '/');

	/* A lane's is beside the source's own, not in it; no name has an "@". */
	if (slash != NULL && lane != NULL)
		*slash = '@';
	return folder;
}

char *
wm_config_journal_folder(const struct wm_config *config, const char *source)
{
	return folder_of(config, "journal", source);
}

char *
wm_config_prepared_folder(const struct wm_config *config, const char *source)
{
	return folder_of(config, "prepared", source);
}
