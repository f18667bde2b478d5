/* SPDX-License-Identifier: PostgreSQL */
/*
 * common.c - what more than one command needs.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli.h"
#include "walmill/strutil.h"

#define DEFAULT_CONFIG WM_SYSCONFDIR "/walmill.yaml"
#define DEFAULT_SOCKET WM_RUNDIR "/walmill.sock"
#define ASK_TIMEOUT (60 * WM_SEC)

int
wm_cli_exit_code(enum wm_status status)
{
	if (status == WM_OK)
		return WM_EXIT_OK;
	return status == WM_OPERATOR ? WM_EXIT_OPERATOR : WM_EXIT_FAILED;
}

int
wm_cli_fail(const struct wm_error *err)
{
	fprintf(stderr, "walmill: %s\n", err->text);
	return wm_cli_exit_code(err->status);
}

void
wm_cli_print_diags(const struct wm_diags *diags)
{
	for (size_t i = 0; i < diags->n; i++) {
		const struct wm_diag *d = &diags->list[i];

		if (d->severity == WM_NOTE)
			continue;
		fprintf(stderr, "%s%s%s%s%s%s\n", d->place == NULL ? "" : d->place, d->place == NULL ? "" : ": ",
		    d->severity == WM_WARNING ? "warning: " : "", d->text, d->fix == NULL ? "" : "; ",
		    d->fix == NULL ? "" : d->fix);
	}
}

const char *
wm_cli_config_path(const char *config)
{
	const char *env = getenv("WALMILL_CONFIG");

	if (config != NULL)
		return config;
	return env != NULL && env[0] != '\0' ? env : DEFAULT_CONFIG;
}

struct wm_setup *
wm_cli_load_setup(const char *path, struct wm_diags *diags)
{
	/* Rules and targets are looked at even so, to show all mistakes at once. */
	struct wm_config *config = wm_config_load_partial(path, diags);

	return config == NULL ? NULL : wm_setup_create(config, diags);
}

/* ---- finding a daemon ---- */

static void
free_configp(struct wm_config **config)
{
	wm_config_free(*config);
}

/*
 * What can be read of the configuration: a mistake in a rule being edited, or a secret that
 * this user may not read, must not hide the daemon that runs.  NULL after printing why.
 */
static struct wm_config *
read_what_can_be_read(const char *path)
{
	struct wm_diags diags = { 0 };
	struct wm_config *config = wm_config_load_partial(path, &diags);

	if (config == NULL)
		wm_cli_print_diags(&diags);
	wm_diags_free(&diags);
	return config;
}

/* Nobody named a configuration, and there is none: the daemon of a package may run all the same. */
static bool
without_config(const struct wm_cli_reach *reach)
{
	return reach->config == NULL && getenv("WALMILL_CONFIG") == NULL && access(DEFAULT_CONFIG, F_OK) != 0;
}

char *
wm_cli_socket(const struct wm_cli_reach *reach)
{
	WM_AUTO(free_configp) struct wm_config *config = NULL;
	const char *path = wm_cli_config_path(reach->config);

	if (reach->socket != NULL)
		return strdup(reach->socket);
	if (reach->state != NULL)
		return wm_asprintf("%s/walmill.sock", reach->state);
	if (without_config(reach))
		return strdup(DEFAULT_SOCKET);
	config = read_what_can_be_read(path);
	if (config == NULL || config->admin_socket == NULL) {
		fprintf(stderr, "walmill: %s names no control socket; name the daemon's with --socket\n", path);
		return NULL;
	}
	return strdup(config->admin_socket);
}

char *
wm_cli_state(const struct wm_cli_reach *reach)
{
	WM_AUTO(free_configp) struct wm_config *config = NULL;

	if (reach->state != NULL)
		return strdup(reach->state);
	if (reach->socket != NULL)
		return NULL;
	if (without_config(reach))
		return strdup(WM_STATEDIR);
	config = read_what_can_be_read(wm_cli_config_path(reach->config));
	return config == NULL || config->state == NULL ? NULL : strdup(config->state);
}

int
wm_cli_call(const struct wm_cli_reach *reach, const char *method, const char *path, const struct cJSON *body,
    wm_usec timeout, char **ret)
{
	WM_AUTO(wm_freep) char *socket = wm_cli_socket(reach);
	struct wm_error err;

	if (socket == NULL)
		return WM_EXIT_USAGE;
	if (wm_admin_call(socket, method, path, body, timeout, ret, &err) != WM_OK)
		return wm_cli_fail(&err);
	return -1;
}

int
wm_cli_ask(const struct wm_cli_reach *reach, const struct wm_buf *path, wm_cli_reader *read, const void *arg,
    char **ret)
{
	WM_AUTO(wm_freep) char *socket = wm_cli_socket(reach);
	WM_AUTO(wm_freep) char *folder = NULL;
	struct wm_error err, none;

	if (socket == NULL)
		return WM_EXIT_USAGE;
	if (path->failed) {
		wm_oom(&err, "the call");
		return wm_cli_fail(&err);
	}
	if (wm_admin_call(socket, "GET", path->data, NULL, ASK_TIMEOUT, ret, &err) == WM_OK)
		return -1;
	if (strcmp(err.code, WM_ADMIN_NO_DAEMON) != 0 || (folder = wm_cli_state(reach)) == NULL)
		return wm_cli_fail(&err);
	switch (read(folder, arg, ret, &none)) {
	case WM_OK:
		return -1;
	case WM_REJECT:
		return wm_cli_fail(&none);
	default:
		fprintf(stderr, "walmill: %s\n", err.text);
		return wm_cli_fail(&none);
	}
}

/* ---- the process ---- */

#if defined(__SANITIZE_ADDRESS__)
#define NEEDS_PTRACE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NEEDS_PTRACE 1
#endif
#endif

void
wm_cli_no_core(void)
{
	const struct rlimit none = { 0, 0 };

	(void)setrlimit(RLIMIT_CORE, &none);
#ifndef NEEDS_PTRACE
	/* A core_pattern that pipes to a program does not look at the limit. */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

enum wm_status
wm_cli_flush(struct wm_error *err)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return wm_fail(err, WM_FATAL, "could not write to standard output: %s", strerror(errno));
	return WM_OK;
}

void
wm_cli_free_setupp(struct wm_setup **setup)
{
	wm_setup_unref(*setup);
}

void
wm_cli_free_statep(struct wm_state **state)
{
	wm_state_close(*state);
}

void
wm_cli_free_jsonp(struct cJSON **json)
{
	cJSON_Delete(*json);
}
