/* SPDX-License-Identifier: PostgreSQL */
/*
 * args.h - a command's options as a table: parsing, --help, and the nearest name for a typo.
 */
#ifndef WM_CLI_ARGS_H
#define WM_CLI_ARGS_H

#include <stddef.h>

enum wm_flag_kind {
	WM_FLAG_SWITCH,		/* bool */
	WM_FLAG_TEXT,		/* const char *, borrowed from argv */
	WM_FLAG_LIST,		/* struct wm_flag_list, may be given several times */
	WM_FLAG_NUMBER,		/* int64_t, not negative */
	WM_FLAG_SECONDS,	/* wm_usec; given in seconds, with a fraction if wanted */
	WM_FLAG_LSN,		/* wm_lsn */
};

struct wm_flag_list {
	size_t		  n;
	const char	**list;		/* strings borrowed from argv; caller frees the list */
};

struct wm_flag {
	const char		*name;		/* without dashes; NULL ends a table */
	char			 letter;	/* or 0 */
	enum wm_flag_kind	 kind;
	void			*into;
	const char		*value;		/* what stands for it in --help; NULL for a switch */
	const char		*help;
};

struct wm_usage {
	const char	*command;	/* "errors list" */
	const char	*arguments;	/* "RULE", "" */
	const char	*help;		/* what it does, lines of at most 80 */
	int		 min, max;	/* how many arguments */
};

/*
 * Fills what the flags point to.  -1: go on, the arguments are argv[*ret_first] and following (argv is permuted);
 * else the exit code: 0 after --help (printed to stdout), 2 after a mistake (on stderr).
 */
int wm_args_parse(const struct wm_usage *usage, const struct wm_flag *flags, int argc, char **argv, int *ret_first);
/* "walmill COMMAND: message" and where help is, on stderr; returns 2. */
int wm_args_mistake(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define WM_FLAG_CONFIG(var) \
	{ "config", 'c', WM_FLAG_TEXT, &(var), "FILE", "configuration (default $WALMILL_CONFIG or " WM_SYSCONFDIR \
	    "/walmill.yaml)" }
#define WM_FLAG_SOCKET(var) { "socket", 0, WM_FLAG_TEXT, &(var), "PATH", "control socket of the daemon" }
#define WM_FLAG_STATE(var) \
	{ "state", 0, WM_FLAG_TEXT, &(var), "DIR", "state folder of a \"walmill sync\"; its socket is DIR/walmill.sock" }
#define WM_FLAG_JSON(var) { "json", 0, WM_FLAG_SWITCH, &(var), NULL, "print JSON" }
#define WM_FLAG_END { NULL, 0, WM_FLAG_SWITCH, NULL, NULL, NULL }

#endif
