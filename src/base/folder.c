/* SPDX-License-Identifier: PostgreSQL */
/*
 * folder.c - making a folder with all above it, and what is in it durable.
 */
#include "walmill/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "walmill/strutil.h"

enum wm_status
wm_folder_make(const char *folder, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *path = strdup(folder);
	struct stat st;

	if (path == NULL)
		return wm_oom(err, "a folder's name");
	for (char *p = path + 1; *folder != '\0'; p++) {
		char end = *p;

		if (end != '/' && end != '\0')
			continue;
		*p = '\0';
		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			return wm_fail(err, WM_FATAL,
			    "could not make folder \"%s\": %s; make it for the user that runs "
			    "walmill, or give another state folder with \"state:\"",
			    path, strerror(errno));
		if (end == '\0')
			break;
		*p = '/';
	}
	if (stat(folder, &st) != 0 || !S_ISDIR(st.st_mode))
		return wm_fail(err, WM_FATAL, "\"%s\" is not a folder", folder);
	return WM_OK;
}

bool
wm_folder_sync(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), why;
	bool done = fd >= 0 && fsync(fd) == 0;

	why = errno;
	if (fd >= 0)
		close(fd);
	errno = why;
	return done;
}
