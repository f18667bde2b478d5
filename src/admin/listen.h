/* SPDX-License-Identifier: PostgreSQL */
/*
 * listen.h - listening sockets: the control socket, and TCP.
 */
#ifndef WM_ADMIN_LISTEN_H
#define WM_ADMIN_LISTEN_H

#include <stddef.h>

#include "walmill/error.h"

/*
 * A name for path that fits into a socket address: path itself, or one through an open
 * descriptor of its folder (*ret_fd, else -1), to be closed when the name is no longer used.
 */
enum wm_status wm_admin_socket_name(const char *path, char *name, size_t size, int *ret_fd, struct wm_error *err)
    WM_MUST_CHECK;
/* The control socket, mode 0660.  A file that nobody listens on is replaced. */
enum wm_status wm_admin_listen_unix(const char *path, int *ret_fd, struct wm_error *err) WM_MUST_CHECK;
/* address is host:port, an IPv6 host in brackets. */
enum wm_status wm_admin_listen_tcp(const char *address, int *ret_fd, struct wm_error *err) WM_MUST_CHECK;

#endif
