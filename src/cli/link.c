/* SPDX-License-Identifier: PostgreSQL */
/*
 * link.c - a source and a target given by URIs: their names, slot, state folder and configuration.
 */
#include "link.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "walmill/strutil.h"

#define CONFIG_MAX ((size_t)1 << 20)
#define SLOT_NAME_MAX 46	/* of 63: "walmill_" before it, "_" and eight digits behind */

void
wm_link_free(struct wm_link *p)
{
	free(p->source_uri);
	free(p->target_uri);
	free(p->source);
	free(p->slot);
	free(p->publication);
	free(p->state);
	*p = (struct wm_link){ 0 };
}

/* ---- the target's URI ---- */

static bool
takes_path(const struct wm_target_ops *ops)
{
	for (const struct wm_option *o = ops->options; o->name != NULL; o++)
		if (strcmp(o->name, ops->uri_option) == 0)
			return o->kind == WM_OPT_PATH;
	return false;
}

static char *
absolute(const char *path)
{
	WM_AUTO(wm_freep) char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);

	return path[0] == '/' ? strdup(path) : here == NULL ? NULL : wm_asprintf("%s/%s", here, path);
}

/* Checked by making an instance, which is not opened; a relative path becomes absolute. */
static enum wm_status
read_target(const char *uri, struct wm_link *p, struct wm_error *err)
{
	struct wm_target *target;
	enum wm_status status = wm_target_from_uri(wm_targets, uri, "target", &target, err);
	size_t n = strcspn(uri, ":") + 1;
	WM_AUTO(wm_freep) char *path = NULL;

	if (status != WM_OK)
		return status;
	p->ops = target->ops;
	wm_target_destroy(target);
	if (!takes_path(p->ops))
		p->target_uri = strdup(uri);
	else if ((path = absolute(uri + n)) != NULL)
		p->target_uri = wm_asprintf("%.*s%s", (int)n, uri, path);
	return p->target_uri == NULL ? wm_oom(err, "the target's URI") : WM_OK;
}

/* ---- names ---- */

/* In the letters that source and slot names may have. */
static char *
plain_name(const char *database, size_t max)
{
	char *name = strndup(database, max);

	for (char *p = name; p != NULL && *p != '\0'; p++)
		*p = isalnum((unsigned char)*p) && (*p & 0x80) == 0 ? (char)tolower((unsigned char)*p) : '_';
	return name;
}

static char *
default_state(const char *name, uint64_t hash, struct wm_error *err)
{
	const char *base = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	WM_AUTO(wm_freep) char *state = NULL;
	char *whole;

	if (base != NULL && base[0] == '/')
		state = wm_asprintf("%s/walmill/%s-%016" PRIx64, base, name, hash);
	else if (home != NULL && home[0] == '/')
		state = wm_asprintf("%s/.local/state/walmill/%s-%016" PRIx64, home, name, hash);
	else {
		wm_fail(err, WM_FATAL,
		    "there is neither XDG_STATE_HOME nor HOME to keep the state in; name a folder with "
		    "--state DIR");
		return NULL;
	}
	whole = state;
	state = NULL;
	if (whole == NULL)
		wm_oom(err, "the state folder's name");
	return whole;
}

static enum wm_status
fill_names(const struct wm_link_flags *flags, const struct wm_uri *source, uint64_t hash, struct wm_link *p,
    struct wm_error *err)
{
	p->source_uri = strdup(flags->source);
	if ((p->source = plain_name(source->database, SLOT_NAME_MAX)) == NULL || p->source_uri == NULL)
		return wm_oom(err, "a source's name");
	p->slot = flags->slot != NULL ? strdup(flags->slot) :
	    wm_asprintf("walmill_%s_%08" PRIx32, p->source, (uint32_t)hash);
	p->publication = flags->publication != NULL ? strdup(flags->publication) :
	    wm_asprintf("walmill_%s_%08" PRIx32, p->source, (uint32_t)hash);
	if (p->slot == NULL || p->publication == NULL)
		return wm_oom(err, "a slot's name");
	p->state = flags->state != NULL ? absolute(flags->state) : default_state(p->source, hash, err);
	if (p->state == NULL)
		return flags->state != NULL ? wm_oom(err, "the state folder's name") : WM_FATAL;
	return WM_OK;
}

static uint64_t
hash_text(const char *text, uint64_t seed)
{
	return wm_hash(text, strlen(text) + 1, seed);
}

/* Hash of both sides without passwords; refuses to copy a database into itself. */
static enum wm_status
compare(const struct wm_uri *source, struct wm_link *p, uint64_t *ret_hash, struct wm_error *err)
{
	WM_AUTO(wm_uri_free) struct wm_uri target = { 0 };
	enum wm_status status;

	*ret_hash = hash_text(source->canonical, 0);
	if (!wm_uri_is_postgres(p->target_uri)) {
		*ret_hash = hash_text(p->target_uri, *ret_hash);
		return WM_OK;
	}
	if ((status = wm_uri_parse(p->target_uri, "target", &target, err)) != WM_OK)
		return status;
	p->target_password = target.has_password;
	*ret_hash = hash_text(target.canonical, *ret_hash);
	if (strcmp(source->place, target.place) == 0)
		return wm_fail(err, WM_FATAL,
		    "source and target are the same database (%s); the target must be another",
		    source->place);
	return WM_OK;
}

enum wm_status
wm_link_make(const struct wm_link_flags *flags, struct wm_link *ret, struct wm_error *err)
{
	WM_AUTO(wm_uri_free) struct wm_uri source = { 0 };
	WM_AUTO(wm_link_free) struct wm_link p = { 0 };
	enum wm_status status;
	uint64_t hash;

	if ((status = wm_uri_parse(flags->source, "source", &source, err)) != WM_OK ||
	    (status = read_target(flags->target, &p, err)) != WM_OK ||
	    (status = compare(&source, &p, &hash, err)) != WM_OK ||
	    (status = fill_names(flags, &source, hash, &p, err)) != WM_OK)
		return status;
	p.source_password = source.has_password;
	*ret = p;
	p = (struct wm_link){ 0 };
	return WM_OK;
}

/* ---- the configuration ---- */

void
wm_link_quote(struct wm_buf *out, const char *text)
{
	wm_buf_addc(out, '"');
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\')
			wm_buf_addf(out, "\\%c", *p);
		else if ((unsigned char)*p < 0x20 || *p == 0x7f)
			wm_buf_addf(out, "\\x%02x", (unsigned char)*p);
		else if (*p == '$' && p[1] == '{')
			wm_buf_adds(out, "$$");
		else
			wm_buf_addc(out, *p);
	}
	wm_buf_addc(out, '"');
}

void
wm_link_target_option(const struct wm_target_ops *ops, const char *uri, struct wm_buf *out)
{
	wm_buf_addf(out, "%s: ", ops->uri_option);
	wm_link_quote(out, ops->uri_strip ? uri + strcspn(uri, ":") + 1 : uri);
}

static void
add_rule(struct wm_buf *out, const char *name, const struct wm_buf *tables, const char *view)
{
	if (tables->len == 0)
		return;
	wm_buf_addf(out, "  - name: %s\n    view: \"%s\"\n    table:\n%s", name, view, tables->data);
}

static void
add_pattern(struct wm_buf *out, const char *schema, size_t n, const char *table)
{
	WM_AUTO(wm_freep) char *pattern = wm_asprintf("%.*s.%s", (int)n, schema, table);

	if (pattern == NULL) {
		out->failed = true;
		return;
	}
	wm_buf_adds(out, "      - ");
	wm_link_quote(out, pattern);
	wm_buf_addc(out, '\n');
}

/*
 * A glob goes to the rule of public, to that of the other schemas, or to both: tables of
 * public keep their name, others have their schema in the view's, so that no two meet.
 */
static void
sort_glob(const char *glob, struct wm_buf *public, struct wm_buf *others)
{
	bool exclude = glob[0] == '!';
	const char *schema = glob + exclude, *dot = strchr(schema, '.');
	const char *table = dot == NULL ? schema : dot + 1;
	WM_AUTO(wm_freep) char *pattern =
	    strndup(dot == NULL ? "public" : schema, dot == NULL ? 6 : (size_t)(dot - schema));
	WM_AUTO(wm_freep) char *marked = pattern == NULL ? NULL : wm_asprintf("%s%s", exclude ? "!" : "", pattern);

	if (marked == NULL) {
		others->failed = true;
		return;
	}
	if (wm_glob_match(pattern, "public"))
		add_pattern(public, exclude ? "!public" : "public", 6 + exclude, table);
	if (strcmp(pattern, "public") != 0)
		add_pattern(others, marked, strlen(marked), table);
}

static void
add_rules(const struct wm_link *p, const struct wm_flag_list *tables, struct wm_buf *out)
{
	static const char *const all[] = { "*.*" };
	const char *const *globs = tables->n > 0 ? tables->list : all;
	size_t n = tables->n > 0 ? tables->n : 1;
	WM_AUTO(wm_buf_free) struct wm_buf public, others;

	wm_buf_init(&public, CONFIG_MAX);
	wm_buf_init(&others, CONFIG_MAX);
	for (size_t i = 0; i < n; i++)
		sort_glob(globs[i], &public, &others);
	if (others.len > 0)
		wm_buf_adds(&others, "      - \"!public.*\"\n");
	wm_buf_adds(out, "rules:\n");
	add_rule(out, "public", &public, "{table}");
	add_rule(out, "others", &others,
	    strcmp(p->ops->type, "postgres") == 0 ? "{schema}.{table}" : "{schema}_{table}");
	out->failed |= public.failed || others.failed;
}

void
wm_link_config(const struct wm_link *p, const struct wm_flag_list *tables, struct wm_buf *out)
{
	WM_AUTO(wm_freep) char *socket = wm_asprintf("%s/walmill.sock", p->state);

	wm_buf_adds(out, "sources:\n  ");
	wm_link_quote(out, p->source);
	wm_buf_adds(out, ":\n    uri: ");
	wm_link_quote(out, p->source_uri);
	wm_buf_adds(out, "\n    slot: ");
	wm_link_quote(out, p->slot);
	wm_buf_adds(out, "\n    publication: ");
	wm_link_quote(out, p->publication);
	wm_buf_addf(out, "\ntargets:\n  %s:\n    type: %s\n    ", p->ops->type, p->ops->type);
	wm_link_target_option(p->ops, p->target_uri, out);
	wm_buf_adds(out, "\n");
	add_rules(p, tables, out);
	wm_buf_adds(out, "state: ");
	wm_link_quote(out, p->state);
	wm_buf_adds(out, "\njournal: off\nadmin:\n  socket: ");
	wm_link_quote(out, socket == NULL ? "" : socket);
	wm_buf_addc(out, '\n');
	out->failed |= socket == NULL;
}

struct wm_setup *
wm_link_setup(const struct wm_link *p, const struct wm_flag_list *tables, struct wm_diags *diags)
{
	WM_AUTO(wm_buf_free) struct wm_buf text;
	struct wm_config *config;

	wm_buf_init(&text, CONFIG_MAX);
	wm_link_config(p, tables, &text);
	if (text.failed) {
		wm_diags_add(diags, WM_ERROR, NULL, NULL, "out of memory for the configuration");
		return NULL;
	}
	config = wm_config_parse("command line", text.data, "/", diags);
	return config == NULL ? NULL : wm_setup_create(config, diags);
}
