/* SPDX-License-Identifier: PostgreSQL */
/*
 * fault.c - the process kills itself at a point that WALMILL_FAULT_AT names.
 */
#include "walmill/fault.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "walmill/strutil.h"

#define VARIABLE "WALMILL_FAULT_AT"
#define USAGE 2		/* the exit status of wrong usage */

#define NAME(name, what) #name,
#define WHAT(name, what) what,

static const char *const names[] = { WM_FAULT_POINTS(NAME) };
static const char *const whats[] = { WM_FAULT_POINTS(WHAT) };

/* Written before there are threads. */
static enum wm_fault_point armed = WM_FAULT_COUNT_;
static uint64_t deadly;
static atomic_uint_fast64_t passed;

static void
list(void)
{
	for (size_t i = 0; i < WM_FAULT_COUNT_; i++)
		printf("%s\t%s\n", names[i], whats[i]);
	exit(fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

static void
refuse(const char *given, const char *name)
{
	const char *nearest = wm_nearest(name, names, WM_FAULT_COUNT_);

	fprintf(stderr, "walmill: " VARIABLE "=%s: ", given);
	if (armed != WM_FAULT_COUNT_)
		fprintf(stderr, "behind \"%s:\" stands at which pass of it the process ends, from 1\n", name);
	else if (nearest != NULL)
		fprintf(stderr, "there is no such point (did you mean \"%s\"?)\n", nearest);
	else
		fputs("there is no such point (\"list\" lists them)\n", stderr);
	exit(USAGE);
}

void
wm_fault_start(void)
{
	const char *given = getenv(VARIABLE), *colon;
	WM_AUTO(wm_freep) char *name = NULL;

	if (given == NULL)
		return;
	if (strcmp(given, "list") == 0)
		list();
	colon = strchr(given, ':');
	name = colon == NULL ? strdup(given) : strndup(given, (size_t)(colon - given));
	if (name == NULL)
		abort();
	for (size_t i = 0; i < WM_FAULT_COUNT_; i++)
		if (strcmp(names[i], name) == 0)
			armed = (enum wm_fault_point)i;
	if (armed == WM_FAULT_COUNT_ || colon == NULL || !wm_parse_u64(colon + 1, &deadly) || deadly == 0)
		refuse(given, name);
}

void
wm_fault_pass(enum wm_fault_point point)
{
	if (point != armed || atomic_fetch_add(&passed, 1) + 1 != deadly)
		return;
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}
