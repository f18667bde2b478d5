/* SPDX-License-Identifier: PostgreSQL */
/*
 * listen.c - listening sockets: the control socket, and TCP.
 */
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "walmill/strutil.h"

#define BACKLOG 64

static void
closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

enum wm_status
wm_admin_socket_name(const char *path, char *name, size_t size, int *ret_fd, struct wm_error *err)
{
	const char *slash = strrchr(path, '/');
	WM_AUTO(wm_freep) char *folder = NULL;
	int fd;

	if (strlen(path) < size) {
		snprintf(name, size, "%s", path);
		*ret_fd = -1;
		return WM_OK;
	}
	if (slash == NULL || slash == path)
		return wm_fail(err, WM_FATAL, "the name of socket \"%s\" is too long", path);
	if ((folder = strndup(path, (size_t)(slash - path))) == NULL)
		return wm_oom(err, "a socket's name");
	fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return wm_fail(err, WM_FATAL, "could not open folder \"%s\": %s", folder, strerror(errno));
	if ((size_t)snprintf(name, size, "/proc/self/fd/%d%s", fd, slash) >= size) {
		close(fd);
		return wm_fail(err, WM_FATAL, "the name of socket \"%s\" is too long", path);
	}
	*ret_fd = fd;
	return WM_OK;
}

/* The folder of the socket is made when only it is missing: /run is empty after a boot. */
static void
make_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	WM_AUTO(wm_freep) char *folder = slash == NULL || slash == path ? NULL : strndup(path, (size_t)(slash - path));

	if (folder != NULL)
		(void)mkdir(folder, 0755);	/* bind says what is wrong */
}

/* Removes a socket that nobody listens on. */
static enum wm_status
clear_stale(const char *path, const struct sockaddr_un *sa, struct wm_error *err)
{
	WM_AUTO(closep) int fd = -1;
	struct stat st;

	if (lstat(sa->sun_path, &st) != 0)
		return WM_OK;			/* nothing there; for other reasons bind fails */
	if (!S_ISSOCK(st.st_mode))
		return wm_fail(err, WM_FATAL,
		    "could not make control socket \"%s\": a file that is no socket is there; "
		    "remove it or choose another path with admin: {socket: PATH}",
		    path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return wm_fail(err, WM_FATAL, "could not make a socket: %s", strerror(errno));
	if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0 || errno == EAGAIN)
		return wm_fail(err, WM_FATAL,
		    "another daemon answers on control socket \"%s\"; stop it, or give this one "
		    "its own with admin: {socket: PATH}",
		    path);
	if (errno == ECONNREFUSED)
		(void)unlink(sa->sun_path);	/* bind says when that failed */
	return WM_OK;
}

static enum wm_status
bind_unix(const char *path, const struct sockaddr_un *sa, int *ret_fd, struct wm_error *err)
{
	WM_AUTO(closep) int fd = -1;
	enum wm_status status = clear_stale(path, sa, err);

	if (status != WM_OK)
		return status;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* The file is born with this mode (less the umask), so that it is never open to others. */
	if (fd < 0 || fchmod(fd, 0660) != 0 || bind(fd, (const struct sockaddr *)sa, sizeof(*sa)) != 0 ||
	    chmod(sa->sun_path, 0660) != 0 || listen(fd, BACKLOG) != 0)
		return wm_fail(err, WM_FATAL,
		    "could not listen on control socket \"%s\": %s; its folder must exist and be "
		    "writable by this user",
		    path, strerror(errno));
	*ret_fd = fd;
	fd = -1;
	return WM_OK;
}

enum wm_status
wm_admin_listen_unix(const char *path, int *ret_fd, struct wm_error *err)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	WM_AUTO(closep) int folder = -1;
	enum wm_status status;

	make_folder(path);
	status = wm_admin_socket_name(path, sa.sun_path, sizeof(sa.sun_path), &folder, err);
	if (status != WM_OK)
		return status;
	return bind_unix(path, &sa, ret_fd, err);
}

static enum wm_status
bind_tcp(const char *address, const struct addrinfo *ai, int *ret_fd, struct wm_error *err)
{
	WM_AUTO(closep) int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, ai->ai_protocol);
	const int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)
		return wm_fail(err, WM_FATAL, "could not listen on \"%s\": %s; choose another address with "
		    "admin: {listen: HOST:PORT}", address, strerror(errno));
	*ret_fd = fd;
	fd = -1;
	return WM_OK;
}

enum wm_status
wm_admin_listen_tcp(const char *address, int *ret_fd, struct wm_error *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	WM_AUTO(wm_freep) char *host = strdup(address);
	struct addrinfo *list = NULL;
	enum wm_status status;
	char *colon, *name;
	int rc;

	if (host == NULL)
		return wm_oom(err, "an address");
	colon = strrchr(host, ':');
	if (colon == NULL || colon[1] == '\0')
		return wm_fail(err, WM_FATAL, "admin listen address \"%s\" is not HOST:PORT", address);
	*colon = '\0';
	name = host;
	if (name[0] == '[' && colon[-1] == ']') {
		colon[-1] = '\0';
		name++;
	}
	rc = getaddrinfo(name[0] == '\0' || strcmp(name, "*") == 0 ? NULL : name, colon + 1, &hints, &list);
	if (rc != 0)
		return wm_fail(err, WM_FATAL, "could not resolve admin listen address \"%s\": %s", address,
		    rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
	status = bind_tcp(address, list, ret_fd, err);
	freeaddrinfo(list);
	return status;
}
