/* SPDX-License-Identifier: PostgreSQL */
/*
 * clock_jumps.c - a clock that is set while programs run, for LD_PRELOAD.
 *
 * The file named by WM_CLOCK says by how many seconds the time of day is off from now on; 0 while it is empty or missing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long
shift(void)
{
	const char *control = getenv("WM_CLOCK");
	FILE *f = control == NULL ? NULL : fopen(control, "r");
	long seconds = 0;

	if (f == NULL)
		return 0;
	if (fscanf(f, "%ld", &seconds) != 1)
		seconds = 0;
	fclose(f);
	return seconds;
}

int
clock_gettime(clockid_t clock, struct timespec *ret)
{
	static int (*real)(clockid_t, struct timespec *);
	int rc;

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
	rc = real(clock, ret);
	if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		ret->tv_sec += shift();
	return rc;
}

int
gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
	struct timespec now;

	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &now) != 0)
		return -1;
	ret->tv_sec = now.tv_sec;
	ret->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *ret)
{
	struct timespec now;

	if (clock_gettime(CLOCK_REALTIME, &now) != 0)
		return (time_t)-1;
	if (ret != NULL)
		*ret = now.tv_sec;
	return now.tv_sec;
}
