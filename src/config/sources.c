/* SPDX-License-Identifier: PostgreSQL */
/*
 * sources.c - the section "sources" of walmill.yaml.
 */
#include <stdlib.h>
#include <string.h>

#include "sections.h"
#include "walmill/strutil.h"

#define NAME_MAX_BYTES 63	/* of PostgreSQL's names */

static const char *const failover_words[] = { "auto", "true", "false", NULL };
static const char *const slot_lost_words[] = { "stop", "seed", NULL };

static const struct wm_option source_options[] = {
	{ .name = "uri", .kind = WM_OPT_STRING, .offset = offsetof(struct wm_source_config, uri), .required = true,
	    .help = "the database, as postgresql://USER@HOST/DATABASE" },
	{ .name = "slot", .kind = WM_OPT_STRING, .offset = offsetof(struct wm_source_config, slot),
	    .help = "replication slot; default walmill_<source>" },
	{ .name = "publication", .kind = WM_OPT_STRING, .offset = offsetof(struct wm_source_config, publication),
	    .help = "publication; default walmill_<source>" },
	{ .name = "manage", .kind = WM_OPT_BOOL, .offset = offsetof(struct wm_source_config, manage),
	    .fallback = "true", .help = "make and alter slot and publication" },
	{ .name = "discover", .kind = WM_OPT_DURATION, .offset = offsetof(struct wm_source_config, discover),
	    .fallback = "5s", .min = 100 * 1000, .max = INT64_MAX, .help = "time between looks for new tables" },
	{ .name = "silence", .kind = WM_OPT_DURATION, .offset = offsetof(struct wm_source_config, silence),
	    .fallback = "60s", .min = 1000 * 1000, .max = INT64_MAX,
	    .help = "longest time without a sign of life from the server" },
	{ .name = "streaming", .kind = WM_OPT_BOOL, .offset = offsetof(struct wm_source_config, streaming),
	    .fallback = "false", .help = "take large transactions before they have committed" },
	{ .name = "two_phase", .kind = WM_OPT_BOOL, .offset = offsetof(struct wm_source_config, two_phase),
	    .fallback = "false", .help = "take transactions when they are prepared, not when they commit" },
	{ .name = "failover", .kind = WM_OPT_ENUM, .offset = offsetof(struct wm_source_config, failover),
	    .fallback = "auto", .words = failover_words, .help = "have standbys keep a copy of the slot" },
	{ .name = "on_slot_lost", .kind = WM_OPT_ENUM, .offset = offsetof(struct wm_source_config, on_slot_lost),
	    .fallback = "stop", .words = slot_lost_words, .help = "when the slot is gone: stop, or seed all again" },
	{ .name = "slots", .kind = WM_OPT_INT, .offset = offsetof(struct wm_source_config, lanes),
	    .fallback = "1", .min = 1, .max = WM_LANES_MAX, .help = "replication slots that share the tables" },
	{ 0 },
};

static const struct wm_option canary_options[] = {
	{ .name = "every", .kind = WM_OPT_DURATION, .offset = offsetof(struct wm_source_config, canary_every),
	    .fallback = "1min", .min = 1000 * 1000, .max = INT64_MAX / 4,
	    .help = "quiet time after which a message is sent through the source" },
	{ .name = "within", .kind = WM_OPT_DURATION, .offset = offsetof(struct wm_source_config, canary_within),
	    .fallback = "5min", .min = 1000 * 1000, .max = INT64_MAX / 4,
	    .help = "time in which it must come back" },
	{ 0 },
};

static bool
in_slot(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* walmill_<source>, in the letters that a slot's name may have. */
static char *
default_slot(const char *source)
{
	char *slot = wm_asprintf("walmill_%s", source);

	for (char *p = slot; p != NULL && *p != '\0'; p++) {
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
		else if (!in_slot(*p))
			*p = '_';
	}
	return slot;
}

static void
check_slot(struct wm_source_config *source, const struct wm_node *map, struct wm_diags *diags)
{
	const struct wm_node *slot = wm_node_get(map, "slot"), *publication = wm_node_get(map, "publication");
	/* Further lanes have a number behind theirs. */
	size_t number = source->lanes < 2 ? 0 : source->lanes < 10 ? 2 : 3;

	if (!wm_section_consists_of(source->slot, in_slot) || strlen(source->slot) + number > NAME_MAX_BYTES)
		wm_diags_at(diags, WM_ERROR, slot != NULL ? &slot->mark : &source->mark,
		    "slot name \"%s\" of source \"%s\" must be 1 to %d of a-z, 0-9 and \"_\"%s", source->slot,
		    source->name, (int)(NAME_MAX_BYTES - number),
		    slot == NULL ? ": add \"slot:\" with a shorter one" : "");
	if (source->publication[0] == '\0' || strlen(source->publication) + number > NAME_MAX_BYTES)
		wm_diags_at(diags, WM_ERROR, publication != NULL ? &publication->mark : &source->mark,
		    "publication name \"%s\" of source \"%s\" must have 1 to %d bytes%s", source->publication,
		    source->name, (int)(NAME_MAX_BYTES - number),
		    publication == NULL ? ": add \"publication:\" with a shorter one" : "");
}

static void
check_source_uri(const struct wm_source_config *source, const struct wm_node *map, struct wm_diags *diags)
{
	const struct wm_node *uri = wm_node_get(map, "uri");

	if (source->uri == NULL || strncmp(source->uri, "postgresql://", 13) == 0 ||
	    strncmp(source->uri, "postgres://", 11) == 0)
		return;
	if (strstr(source->uri, "://") != NULL || strchr(source->uri, '=') == NULL)
		wm_diags_at(diags, WM_ERROR, &uri->mark, "\"uri\" in source \"%s\" must be "
		    "postgresql://USER@HOST/DATABASE or host=HOST dbname=DATABASE ...", source->name);
}

/* Two readers of one slot take changes away from each other. */
static void
check_shared_slot(const struct wm_config *config, const struct wm_source_config *source, struct wm_diags *diags)
{
	for (const struct wm_source_config *other = config->sources; other < source; other++) {
		/* Two lanes of one source differ. */
		if (strcmp(source->base, other->base) != 0 && source->uri != NULL &&
		    other->uri != NULL && source->slot != NULL && other->slot != NULL &&
		    strcmp(source->uri, other->uri) == 0 && strcmp(source->slot, other->slot) == 0)
			wm_diags_at(diags, WM_ERROR, &source->mark,
			    "sources \"%s\" and \"%s\" use the same slot \"%s\" "
			    "of the same database: give each its own \"slot:\"",
			    other->base, source->base, source->slot);
	}
}

static void
read_canary(struct wm_source_config *source, const struct wm_node *map, struct wm_diags *diags)
{
	const struct wm_node *node = map->kind == WM_NODE_MAP ? wm_node_get(map, "canary") : NULL;

	source->canary = !wm_section_off(node);
	if (wm_section_off(node) || wm_section_on(node))
		node = NULL;
	wm_options_fill(canary_options, node, "canary", NULL, source, diags);
}

static bool
read_source(const struct wm_pair *pair, struct wm_source_config *source, struct wm_diags *diags)
{
	static const char *const also[] = { "canary", NULL };
	WM_AUTO(wm_freep) char *what = wm_asprintf("source \"%s\"", pair->key);

	source->mark = pair->mark;
	source->lane = 1;
	source->name = strdup(pair->key);
	source->base = strdup(pair->key);
	if (source->name == NULL || source->base == NULL || what == NULL)
		return false;
	wm_section_check_name(pair, "source", diags);
	wm_options_fill(source_options, pair->value, what, also, source, diags);
	read_canary(source, pair->value, diags);
	if (source->slot == NULL)
		source->slot = default_slot(source->name);
	if (source->publication == NULL)
		source->publication = default_slot(source->name);
	if (source->slot == NULL || source->publication == NULL)
		return false;
	check_slot(source, pair->value, diags);
	check_source_uri(source, pair->value, diags);
	if (!source->manage && source->on_slot_lost == WM_SLOT_LOST_SEED)
		wm_diags_at(diags, WM_ERROR, &wm_node_get(pair->value, "on_slot_lost")->mark,
		    "\"on_slot_lost: seed\" in source \"%s\" needs a new slot, which \"manage: false\" forbids",
		    source->name);
	return true;
}

/* Another lane of the source that first is. */
static bool
make_lane(const struct wm_source_config *first, int lane, struct wm_source_config *ret)
{
	struct wm_error err;

	ret->mark = first->mark;
	ret->lane = lane;
	ret->canary = first->canary;
	ret->name = wm_lane_name(first->base, (unsigned)lane);
	ret->base = strdup(first->base);
	if (ret->name == NULL || ret->base == NULL || wm_options_copy(source_options, first, ret, &err) != WM_OK ||
	    wm_options_copy(canary_options, first, ret, &err) != WM_OK)
		return false;
	free(ret->slot);
	free(ret->publication);
	ret->slot = wm_asprintf("%s_%d", first->slot, lane);
	ret->publication = wm_asprintf("%s_%d", first->publication, lane);
	return ret->slot != NULL && ret->publication != NULL;
}

static bool
add_source(struct wm_config *config, const struct wm_pair *pair, struct wm_diags *diags)
{
	size_t first = config->nsources;

	config->nsources++;
	if (!read_source(pair, &config->sources[first], diags))
		return false;
	for (int lane = 2; lane <= config->sources[first].lanes && lane <= WM_LANES_MAX; lane++)
		if (!make_lane(&config->sources[first], lane, &config->sources[config->nsources++]))
			return false;
	for (size_t i = first; i < config->nsources; i++)
		check_shared_slot(config, &config->sources[i], diags);
	return true;
}

void
wm_sources_read(struct wm_config *config, const struct wm_node *root, struct wm_diags *diags)
{
	const struct wm_node *map = wm_section_named(root, "sources",
	    "{NAME: {uri: postgresql://USER@HOST/DATABASE}}", diags);

	if (map == NULL)
		return;
	config->sources = calloc(map->n * WM_LANES_MAX, sizeof(*config->sources));
	for (size_t i = 0; config->sources != NULL && i < map->n; i++)
		if (!add_source(config, &map->pairs[i], diags))
			wm_section_out_of_memory(&map->pairs[i].mark, diags);
	if (config->sources == NULL)
		wm_section_out_of_memory(&map->mark, diags);
}

void
wm_sources_free(struct wm_config *config)
{
	for (size_t i = 0; i < config->nsources; i++) {
		wm_options_free(source_options, &config->sources[i]);
		free(config->sources[i].name);
		free(config->sources[i].base);
	}
	free(config->sources);
}
