/* SPDX-License-Identifier: PostgreSQL */
/*
 * cli.h - the commands, and what more than one of them needs.
 */
#ifndef WM_CLI_H
#define WM_CLI_H

#include "walmill/admin.h"
#include "walmill/diag.h"
#include "walmill/error.h"
#include "walmill/pipeline.h"

enum {
	WM_EXIT_OK = 0,
	WM_EXIT_FAILED = 1,
	WM_EXIT_USAGE = 2,	/* usage or configuration */
	WM_EXIT_OPERATOR = 3,	/* restarting will not help */
};

/* argv[0] is the command's name; the exit code is returned. */
typedef int wm_command_fn(int argc, char **argv);
wm_command_fn wm_cli_check, wm_cli_errors, wm_cli_init, wm_cli_pause, wm_cli_receipts,
    wm_cli_resume, wm_cli_row, wm_cli_run, wm_cli_status, wm_cli_sync, wm_cli_teardown, wm_cli_wait, wm_cli_zoho;

/* The exit code that a status means. */
int wm_cli_exit_code(enum wm_status status);
/* "walmill: text" on stderr; returns the exit code. */
int wm_cli_fail(const struct wm_error *err);
/* Findings as "place: [warning: ]text" on stderr; notes are left out. */
void wm_cli_print_diags(const struct wm_diags *diags);
/* config, $WALMILL_CONFIG, or the installed one. */
const char *wm_cli_config_path(const char *config);
/* NULL after errors.  Diags are the caller's to print. */
struct wm_setup *wm_cli_load_setup(const char *path, struct wm_diags *diags);

/* How the user named a running daemon; NULL: not said. */
struct wm_cli_reach {
	const char	*config, *socket, *state;
};
/* Path of its control socket, malloc'd; NULL after printing why (exit 2). */
char *wm_cli_socket(const struct wm_cli_reach *reach);
/* Its state folder, malloc'd; NULL when it cannot be known. */
char *wm_cli_state(const struct wm_cli_reach *reach);
/* A call to the daemon; the exit code, -1: go on with the answer's text in *ret (caller frees it). */
int wm_cli_call(const struct wm_cli_reach *reach, const char *method, const char *path, const struct cJSON *body,
    wm_usec timeout, char **ret);

/* What the daemon would answer, made from the state folder. */
typedef enum wm_status wm_cli_reader(const char *folder, const void *arg, char **ret, struct wm_error *err);
/* GET of path (whose memory may have run out), or, when no daemon runs, what read gives; as wm_cli_call. */
int wm_cli_ask(const struct wm_cli_reach *reach, const struct wm_buf *path, wm_cli_reader *read, const void *arg,
    char **ret);

/* Keeps secrets out of core dumps: for commands that hold any for long. */
void wm_cli_no_core(void);
/* WM_FATAL when stdout could not take all of it. */
enum wm_status wm_cli_flush(struct wm_error *err);

void wm_cli_free_setupp(struct wm_setup **setup);	/* these for WM_AUTO */
void wm_cli_free_statep(struct wm_state **state);
void wm_cli_free_jsonp(struct cJSON **json);

#endif
