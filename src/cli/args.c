/* SPDX-License-Identifier: PostgreSQL */
/*
 * args.c - a command's options as a table: parsing, --help, and the nearest name for a typo.
 */
#include "args.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "walmill/clock.h"
#include "walmill/lsn.h"
#include "walmill/strutil.h"

#define FLAGS_MAX 24
#define FIRST_LONG 256		/* getopt's value of the first flag; letters are below */
#define SECONDS_MAX 31536000	/* a year: far from overflowing microseconds */

int
wm_args_mistake(const char *command, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "walmill %s: ", command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\nTry \"walmill %s --help\".\n", command);
	return 2;
}

static void
print_help(const struct wm_usage *usage, const struct wm_flag *flags)
{
	printf("Usage: walmill %s%s%s%s\n\n%s\n\nOptions:\n", usage->command, " [OPTION]...",
	    usage->arguments[0] == '\0' ? "" : " ", usage->arguments, usage->help);
	for (const struct wm_flag *f = flags; f->name != NULL; f++) {
		char left[64];

		snprintf(left, sizeof(left), "%c%c%s --%s%s%s", f->letter == 0 ? ' ' : '-',
		    f->letter == 0 ? ' ' : f->letter, f->letter == 0 ? " " : ",", f->name, f->value == NULL ? "" : " ",
		    f->value == NULL ? "" : f->value);
		printf("  %-26s %s\n", left, f->help);
	}
	printf("  %-26s %s\n", "-h, --help", "print this");
}

static bool
parse_seconds(const char *text, wm_usec *ret)
{
	const char *dot = strchr(text, '.');
	WM_AUTO(wm_freep) char *whole = dot == NULL ? strdup(text) : strndup(text, (size_t)(dot - text));
	uint64_t seconds, fraction = 0;
	size_t digits = dot == NULL ? 0 : strlen(dot + 1);

	if (whole == NULL || !wm_parse_u64(whole, &seconds) || seconds > SECONDS_MAX || digits > 6 ||
	    (dot != NULL && !wm_parse_u64(dot + 1, &fraction)))
		return false;
	for (; digits < 6; digits++)
		fraction *= 10;
	*ret = (wm_usec)seconds * WM_SEC + (wm_usec)fraction;
	return true;
}

static bool
append(struct wm_flag_list *list, const char *text, int argc)
{
	if (list->list == NULL && (list->list = calloc((size_t)argc, sizeof(*list->list))) == NULL)
		return false;
	list->list[list->n++] = text;
	return true;
}

/* NULL, or what the value should have been. */
static const char *
store(const struct wm_flag *flag, const char *text, int argc)
{
	switch (flag->kind) {
	case WM_FLAG_SWITCH:
		*(bool *)flag->into = true;
		return NULL;
	case WM_FLAG_TEXT:
		*(const char **)flag->into = text;
		return text[0] == '\0' ? "something" : NULL;
	case WM_FLAG_LIST:
		return text[0] != '\0' && append(flag->into, text, argc) ? NULL : "something";
	case WM_FLAG_NUMBER:
		return wm_parse_i64(text, flag->into) && *(int64_t *)flag->into >= 0 ? NULL : "a whole number";
	case WM_FLAG_SECONDS:
		return parse_seconds(text, flag->into) ? NULL : "a number of seconds";
	case WM_FLAG_LSN:
		return wm_lsn_parse(text, flag->into) ? NULL : "a position such as 16/B374D848";
	}
	return "something else";
}

struct parser {
	const struct wm_usage	*usage;
	const struct wm_flag	*flags;
	size_t			 n;
	struct option		 longs[FLAGS_MAX + 2];
	char			 letters[2 * FLAGS_MAX + 4];
};

/* Of the flags and --help. */
static void
make_tables(struct parser *p)
{
	size_t at = 0;

	p->letters[at++] = ':';		/* tell a missing value from an unknown option */
	p->letters[at++] = 'h';
	for (const struct wm_flag *f = p->flags; f->name != NULL && p->n < FLAGS_MAX; f++, p->n++) {
		p->longs[p->n] = (struct option){ f->name, f->value == NULL ? no_argument : required_argument, NULL,
		    FIRST_LONG + (int)p->n };
		if (f->letter != 0) {
			p->letters[at++] = f->letter;
			if (f->value != NULL)
				p->letters[at++] = ':';
		}
	}
	p->longs[p->n] = (struct option){ "help", no_argument, NULL, 'h' };
}

static const struct wm_flag *
flag_of(const struct parser *p, int c)
{
	for (size_t i = 0; i < p->n; i++)
		if (c == FIRST_LONG + (int)i || (c != 0 && c == p->flags[i].letter))
			return &p->flags[i];
	return NULL;
}

static int
unknown(const struct parser *p, const char *arg)
{
	WM_AUTO(wm_freep) char *word = strdup(arg);
	const char *names[FLAGS_MAX + 1], *nearest;

	if (word == NULL || strncmp(word, "--", 2) != 0)
		return wm_args_mistake(p->usage->command, "unknown option \"%s\"", arg);
	word[strcspn(word, "=")] = '\0';
	for (size_t i = 0; i < p->n; i++)
		names[i] = p->flags[i].name;
	names[p->n] = "help";
	nearest = wm_nearest(word + 2, names, p->n + 1);
	if (nearest == NULL)
		return wm_args_mistake(p->usage->command, "unknown option \"%s\"", word);
	return wm_args_mistake(p->usage->command, "unknown option \"%s\" (did you mean \"--%s\"?)", word, nearest);
}

static int
one_option(const struct parser *p, int c, int argc, char **argv)
{
	const struct wm_flag *flag = flag_of(p, c == '?' || c == ':' ? optopt : c);
	char letter[] = { '-', (char)optopt, '\0' };
	const char *expected;

	if (c == 'h') {
		print_help(p->usage, p->flags);
		return 0;
	}
	if (c == ':' && flag != NULL)
		return wm_args_mistake(p->usage->command, "option --%s needs a value: %s", flag->name, flag->value);
	if (c == '?' && flag != NULL)
		return wm_args_mistake(p->usage->command, "option --%s takes no value", flag->name);
	if (c == '?' || flag == NULL)
		return unknown(p, optopt != 0 && optopt < FIRST_LONG ? letter : argv[optind - 1]);
	expected = store(flag, optarg, argc);
	if (expected == NULL)
		return -1;
	return wm_args_mistake(p->usage->command, "option --%s: \"%s\" is not %s", flag->name,
	    optarg == NULL ? "" : optarg, expected);
}

int
wm_args_parse(const struct wm_usage *usage, const struct wm_flag *flags, int argc, char **argv, int *ret_first)
{
	struct parser p = { .usage = usage, .flags = flags };
	int c, code;

	make_tables(&p);
	opterr = 0;
	optind = 0;			/* 0 makes getopt start afresh */
	while ((c = getopt_long(argc, argv, p.letters, p.longs, NULL)) != -1)
		if ((code = one_option(&p, c, argc, argv)) != -1)
			return code;
	if (argc - optind < usage->min)
		return wm_args_mistake(usage->command, "%s is missing", usage->arguments);
	if (argc - optind > usage->max)
		return wm_args_mistake(usage->command, "unexpected argument \"%s\"", argv[optind + usage->max]);
	*ret_first = optind;
	return -1;
}
