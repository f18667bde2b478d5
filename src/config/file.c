/* SPDX-License-Identifier: PostgreSQL */
/*
 * file.c - paths, and whole small files read into memory.
 *
 * Only regular files are read: a FIFO or a device could keep the daemon waiting for ever.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "walmill/buf.h"
#include "walmill/strutil.h"

static void
closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static enum wm_status
read_all(int fd, struct wm_buf *b, struct wm_error *err)
{
	char chunk[16384];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return wm_fail(err, WM_FATAL, "%s", strerror(errno));
		wm_buf_add(b, chunk, (size_t)n);
		if (b->failed)
			return wm_fail(err, WM_FATAL, "it is larger than %zu bytes", b->max);
	}
	explicit_bzero(chunk, sizeof(chunk));
	return WM_OK;
}

enum wm_status
wm_file_read(const char *path, size_t max, char **ret, size_t *ret_n, struct stat *ret_stat, struct wm_error *err)
{
	WM_AUTO(closep) int fd = -1;
	WM_AUTO(wm_buf_free) struct wm_buf b;
	struct stat st;
	size_t n;
	char *bytes;

	wm_buf_init(&b, max);
	/* Looked at before it is opened, because opening a device may do something. */
	if (stat(path, &st) != 0)
		return wm_fail(err, WM_FATAL, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return wm_fail(err, WM_FATAL, "it is %s, not a regular file",
		    S_ISDIR(st.st_mode) ? "a folder" : "a device, socket or pipe");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return wm_fail(err, WM_FATAL, "%s", strerror(errno));
	if (read_all(fd, &b, err) != WM_OK)
		return WM_FATAL;
	n = b.len;
	bytes = wm_buf_steal(&b);
	if (bytes == NULL)
		return wm_oom(err, "a file");
	*ret = bytes;
	*ret_n = n;
	if (ret_stat != NULL)
		*ret_stat = st;
	return WM_OK;
}

char *
wm_file_join(const char *folder, const char *path)
{
	size_t n = strlen(folder);

	if (path[0] == '/' || n == 0)
		return strdup(path);
	return wm_asprintf("%s%s%s", folder, folder[n - 1] == '/' ? "" : "/", path);
}

char *
wm_file_folder(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return strdup("");
	return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

char *
wm_file_absolute(const char *path)
{
	WM_AUTO(wm_freep) char *here = NULL;

	if (path[0] == '/')
		return strdup(path);
	here = getcwd(NULL, 0);
	if (here == NULL || path[0] == '\0' || strcmp(path, ".") == 0)
		return here != NULL ? strdup(here) : NULL;
	return wm_file_join(here, strncmp(path, "./", 2) == 0 ? path + 2 : path);
}
