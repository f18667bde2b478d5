/* SPDX-License-Identifier: PostgreSQL */
/*
 * slow_sends.c - sockets that have room only at the third try, for LD_PRELOAD.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>

ssize_t
send(int fd, const void *bytes, size_t len, int flags)
{
	static ssize_t (*real)(int, const void *, size_t, int);
	static _Thread_local unsigned calls;

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "send");
	if (calls++ % 3 < 2) {
		errno = EAGAIN;
		return -1;
	}
	return real(fd, bytes, len, flags);
}
