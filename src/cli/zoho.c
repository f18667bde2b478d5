/* SPDX-License-Identifier: PostgreSQL */
/*
 * zoho.c - walmill zoho login: a grant code becomes a refresh token, stored where the configuration looks for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "cli.h"
#include "walmill/strutil.h"
#include "walmill/zoho.h"

#define TYPE "zoho_analytics"
#define CODE_MAX 512

static void
free_configp(struct wm_config **config)
{
	wm_config_free(*config);
}

static void
destroyp(struct wm_target **target)
{
	wm_target_destroy(*target);
}

static const char *
type_of(const struct wm_target_config *section)
{
	const struct wm_node *type = wm_node_get(section->node, "type");

	return type != NULL && type->kind == WM_NODE_SCALAR ? type->text : "";
}

/* The section of this name or, without one, the only one of the type. */
static enum wm_status
find_section(const struct wm_config *config, const char *name, const struct wm_target_config **ret,
    struct wm_error *err)
{
	*ret = NULL;
	for (size_t i = 0; i < config->ntargets; i++) {
		const struct wm_target_config *section = &config->targets[i];

		if (strcmp(type_of(section), TYPE) != 0 || (name != NULL && strcmp(section->name, name) != 0))
			continue;
		if (*ret != NULL)
			return wm_fail(err, WM_FATAL,
			    "%s has several targets of type " TYPE ": say which, with --target",
			    config->path);
		*ret = section;
	}
	if (*ret != NULL)
		return WM_OK;
	return wm_fail(err, WM_FATAL,
	    "%s has no target%s%s of type " TYPE "; its client_id and client_secret are needed",
	    config->path, name != NULL ? " " : "", name != NULL ? name : "");
}

/* A target with what can be read of its section: the refresh token is not there yet. */
static enum wm_status
make_target(const struct wm_target_config *section, struct wm_target **ret, struct wm_error *err)
{
	static const char *const also[] = { "type", NULL };
	struct wm_diags diags = { 0 };
	const struct wm_target_ops *ops = wm_target_find(wm_targets, TYPE);
	enum wm_status st = wm_target_create(ops, section->name, ret, err);

	if (st == WM_OK)
		wm_options_fill(ops->options, section->node, "target", also, *ret, &diags);
	wm_diags_free(&diags);
	return st;
}

/* ---- where it goes ---- */

static enum wm_status
find_place(const struct wm_target_config *section, const char *store, char **ret, struct wm_error *err)
{
	const struct wm_node *token = wm_node_get(section->node, "refresh_token");

	*ret = store != NULL ? strdup(store) : token != NULL ? wm_node_file(token) : NULL;
	if (*ret != NULL)
		return WM_OK;
	return wm_fail(err, WM_FATAL,
	    "target \"%s\": \"refresh_token\" does not say which file it comes from: write "
	    "refresh_token: ${file:PATH}, or name the file with --store (what LoadCredential= of the unit points to, say)",
	    section->name);
}

/* Beside its place, and before the code is used up, which is good once. */
static enum wm_status
prepare(const char *path, char **ret_beside, int *ret_fd, struct wm_error *err)
{
	*ret_beside = wm_asprintf("%s.new", path);
	if (*ret_beside == NULL)
		return wm_oom(err, "a path");
	(void)unlink(*ret_beside);
	*ret_fd = open(*ret_beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*ret_fd >= 0)
		return WM_OK;
	return wm_fail(err, WM_FATAL, "could not make \"%s\" for the refresh token: %s", *ret_beside, strerror(errno));
}

static enum wm_status
put(const char *path, const char *beside, int fd, const char *token, struct wm_error *err)
{
	size_t n = strlen(token);

	if (write(fd, token, n) != (ssize_t)n || write(fd, "\n", 1) != 1 || fsync(fd) != 0 || rename(beside, path) != 0)
		return wm_fail(err, WM_FATAL,
		    "could not store the refresh token in \"%s\": %s; make another grant code when "
		    "that is mended",
		    path, strerror(errno));
	return WM_OK;
}

static enum wm_status
log_in(const struct wm_target_config *section, const char *store, const char *code, struct wm_error *err)
{
	WM_AUTO(destroyp) struct wm_target *target = NULL;
	WM_AUTO(wm_freep) char *path = NULL;
	WM_AUTO(wm_freep) char *beside = NULL;
	WM_AUTO(wm_freep) char *token = NULL;
	int fd = -1;
	enum wm_status st = make_target(section, &target, err);

	if (st == WM_OK)
		st = find_place(section, store, &path, err);
	if (st == WM_OK)
		st = prepare(path, &beside, &fd, err);
	if (st != WM_OK)
		return st;
	st = wm_zoho_grant(target, code, &token, err);
	if (st == WM_OK)
		st = put(path, beside, fd, token, err);
	(void)close(fd);
	if (st != WM_OK)
		(void)unlink(beside);
	else
		fprintf(stderr, "walmill: the refresh token of target \"%s\" is in %s\n", section->name, path);
	return st;
}

/* From standard input, so that it need not stand in the shell's history. */
static bool
read_code(char *code, size_t size)
{
	if (fgets(code, (int)size, stdin) == NULL)
		return false;
	code[strcspn(code, "\r\n")] = '\0';
	return code[0] != '\0';
}

static int
login(int argc, char **argv)
{
	const char *config_path = NULL, *name = NULL, *store = NULL;
	const struct wm_flag flags[] = {
		WM_FLAG_CONFIG(config_path),
		{ "target", 0, WM_FLAG_TEXT, &name, "NAME", "which target, if there are several of the type" },
		{ "store", 0, WM_FLAG_TEXT, &store, "FILE", "where the refresh token goes (default: the file of "
		    "\"refresh_token\")" },
		WM_FLAG_END,
	};
	const struct wm_usage usage = { "zoho login", "[CODE]",
		"Exchanges a grant code of Zoho's API console for a refresh token and stores that, with\n"
		"mode 0600, where the target's \"refresh_token\" looks for it.  Without CODE the code is read\n"
		"from standard input.", 0, 1 };
	WM_AUTO(free_configp) struct wm_config *config = NULL;
	const struct wm_target_config *section;
	struct wm_diags diags = { 0 };
	struct wm_error err;
	char code[CODE_MAX];
	int first, exit_code = wm_args_parse(&usage, flags, argc, argv, &first);

	if (exit_code != -1)
		return exit_code;
	config = wm_config_load_partial(wm_cli_config_path(config_path), &diags);
	if (config == NULL)
		wm_cli_print_diags(&diags);
	wm_diags_free(&diags);
	if (config == NULL)
		return WM_EXIT_USAGE;
	if (find_section(config, name, &section, &err) != WM_OK) {
		(void)wm_cli_fail(&err);
		return WM_EXIT_USAGE;
	}
	if (first < argc)
		(void)snprintf(code, sizeof(code), "%s", argv[first]);
	else if (!read_code(code, sizeof(code)))
		return wm_args_mistake("zoho login", "no grant code came from standard input");
	return log_in(section, store, code, &err) == WM_OK ? WM_EXIT_OK : wm_cli_fail(&err);
}

int
wm_cli_zoho(int argc, char **argv)
{
	if (argc >= 2 && strcmp(argv[1], "login") == 0)
		return login(argc - 1, argv + 1);
	if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		puts(
		    "Usage: walmill zoho login [OPTION]... [CODE]\n\nStores the refresh token of a target of Zoho Analytics.");
		return WM_EXIT_OK;
	}
	if (argc < 2)
		return wm_args_mistake("zoho", "an action is missing: login");
	return wm_args_mistake("zoho", "unknown action \"%s\"; there is: login", argv[1]);
}
