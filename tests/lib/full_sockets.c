/* SPDX-License-Identifier: PostgreSQL */
/*
 * full_sockets.c - sockets that have no room for a moment, for LD_PRELOAD.
 *
 * A send of more than a page is refused with EAGAIN, as when the other side is slow, and taken when it comes a third time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

ssize_t
send(int fd, const void *data, size_t len, int flags)
{
	static ssize_t (*real)(int, const void *, size_t, int);
	static _Thread_local unsigned times;

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "send");
	if (len > 4096 && times++ % 3 != 2) {
		errno = EAGAIN;
		return -1;
	}
	return real(fd, data, len, flags);
}
