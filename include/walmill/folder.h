/* SPDX-License-Identifier: PostgreSQL */
/*
 * folder.h - folders of our own: state, journal.
 */
#ifndef WM_FOLDER_H
#define WM_FOLDER_H

#include <stdbool.h>

#include "walmill/error.h"

/* Makes the folder and what is missing above it, mode 0700; one that is there stays as it is.  WM_FATAL: it cannot be made. */
enum wm_status wm_folder_make(const char *folder, struct wm_error *err) WM_MUST_CHECK;
/* Makes the names in it durable; false: errno says why not. */
bool wm_folder_sync(const char *folder) WM_MUST_CHECK;

#endif
