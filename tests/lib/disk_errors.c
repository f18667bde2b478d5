/* SPDX-License-Identifier: PostgreSQL */
/*
 * disk_errors.c - a disk that refuses, for LD_PRELOAD.
 *
 * The file named by WM_DISK_ERRORS says what fails from now on, one word: "fsync" or "write", with EIO, "space" for
 * writes with ENOSPC; nothing while it is empty or missing.  Only files below a folder "journal" are concerned.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
fails(int fd, const char *what)
{
	const char *control = getenv("WM_DISK_ERRORS");
	char link[64], path[4096], word[16] = "";
	ssize_t n;
	FILE *f;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (control == NULL || n < 0)
		return 0;
	path[n] = '\0';
	if (strstr(path, "/journal/") == NULL || (f = fopen(control, "r")) == NULL)
		return 0;
	if (fscanf(f, "%15s", word) != 1)
		word[0] = '\0';
	fclose(f);
	return strcmp(word, what) == 0;
}

static int
sync_as(int fd, const char *name, int (**real)(int))
{
	if (*real == NULL)
		*(void **)real = dlsym(RTLD_NEXT, name);
	if (fails(fd, "fsync")) {
		errno = EIO;
		return -1;
	}
	return (*real)(fd);
}

int
fsync(int fd)
{
	static int (*real)(int);

	return sync_as(fd, "fsync", &real);
}

int
fdatasync(int fd)
{
	static int (*real)(int);

	return sync_as(fd, "fdatasync", &real);
}

ssize_t
pwrite64(int fd, const void *bytes, size_t len, off64_t at)
{
	static ssize_t (*real)(int, const void *, size_t, off64_t);
	int no_space = fails(fd, "space");

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "pwrite64");
	if (no_space || fails(fd, "write")) {
		/* Half of it is there before it fails: the worst that a disk does. */
		if (len > 1)
			(void)!real(fd, bytes, len / 2, at);
		errno = no_space ? ENOSPC : EIO;
		return -1;
	}
	return real(fd, bytes, len, at);
}

ssize_t
pwrite(int fd, const void *bytes, size_t len, off_t at)
{
	return pwrite64(fd, bytes, len, at);
}
