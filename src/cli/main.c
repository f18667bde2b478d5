/* SPDX-License-Identifier: PostgreSQL */
/*
 * main.c - the table of commands.
 */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "walmill/fault.h"
#include "walmill/strutil.h"

#define MALLOC_LARGE (4 << 20)		/* bytes: blocks from here on are mapped, and given back when they are freed */

static const struct {
	const char	*name, *help;
	wm_command_fn	*fn;
} commands[] = {
	{ "sync", "copy one database to one target and follow it, without a configuration", wm_cli_sync },
	{ "run", "the daemon, in the foreground", wm_cli_run },
	{ "check", "check configuration, sources and targets", wm_cli_check },
	{ "init", "write a configuration to start from", wm_cli_init },
	{ "status", "what every source, target and rule does", wm_cli_status },
	{ "wait", "wait until the targets have what the sources have", wm_cli_wait },
	{ "row", "read one row again and write it", wm_cli_row },
	{ "errors", "rows that a target or a rule refused", wm_cli_errors },
	{ "receipts", "what was written where and when", wm_cli_receipts },
	{ "pause", "stop applying a rule; nothing is lost", wm_cli_pause },
	{ "resume", "go on applying a paused rule", wm_cli_resume },
	{ "teardown", "drop the slot and publication that walmill made", wm_cli_teardown },
	{ "zoho", "sign in at Zoho Analytics", wm_cli_zoho },
};

static void
print_usage(FILE *out)
{
	fputs("Usage: walmill COMMAND [OPTION]...\n\n"
	    "Tails PostgreSQL's write-ahead log and keeps tables of other stores in step with it.\n\nCommands:\n", out);
	for (size_t i = 0; i < WM_ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
	fputs("\n\"walmill COMMAND --help\" says more; \"walmill --version\" prints the version.\n", out);
}

static int
unknown_command(const char *word)
{
	const char *names[WM_ARRAY_SIZE(commands)], *nearest;

	for (size_t i = 0; i < WM_ARRAY_SIZE(commands); i++)
		names[i] = commands[i].name;
	nearest = wm_nearest(word, names, WM_ARRAY_SIZE(commands));
	if (nearest != NULL)
		fprintf(stderr, "walmill: unknown command \"%s\" (did you mean \"%s\"?)\n", word, nearest);
	else
		fprintf(stderr, "walmill: unknown command \"%s\"\n", word);
	fputs("Try \"walmill --help\".\n", stderr);
	return WM_EXIT_USAGE;
}

static int
run_command(int argc, char **argv)
{
	if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0 || strcmp(argv[0], "help") == 0) {
		print_usage(stdout);
		return WM_EXIT_OK;
	}
	if (strcmp(argv[0], "--version") == 0 || strcmp(argv[0], "-V") == 0) {
		puts("walmill " PACKAGE_VERSION);
		return WM_EXIT_OK;
	}
	for (size_t i = 0; i < WM_ARRAY_SIZE(commands); i++)
		if (strcmp(argv[0], commands[i].name) == 0)
			return commands[i].fn(argc, argv);
	return unknown_command(argv[0]);
}

int
main(int argc, char **argv)
{
	struct wm_error err;
	int code;

	WM_FAULT_START();
#ifdef __GLIBC__
	/* Else the first segment of the journal that is freed raises both, and what threads free stays with their heaps. */
	(void)mallopt(M_MMAP_THRESHOLD, MALLOC_LARGE);
	(void)mallopt(M_TRIM_THRESHOLD, MALLOC_LARGE);
#endif
	if (argc < 2) {
		print_usage(stderr);
		return WM_EXIT_USAGE;
	}
	code = run_command(argc - 1, argv + 1);
	if (wm_cli_flush(&err) != WM_OK && code == WM_EXIT_OK)
		return wm_cli_fail(&err);
	return code;
}
